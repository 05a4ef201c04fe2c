import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { chromiumPath, startBrowser } from '../../../test/support/browser.js';
import type { Consent, WeftOptions } from '../src/weft.js';
import { startShop, type InPage, type Shop } from './support/shop.js';
import { createTrackedSite, first, refuseWith, type TrackedSite } from './support/tracked-site.js';

/* The client in Chromium, in pages of a site of its own, sends to Weft itself; faults are put between the two. */

const path = chromiumPath();

describe.skipIf(path === null)('the client in a browser', () => {
  let site: TrackedSite;
  let shop: Shop;
  let browser: Browser;
  let context: BrowserContext;
  let page: Page;
  let options: Partial<WeftOptions> = {};

  beforeAll(async () => {
    site = await createTrackedSite();
    shop = await startShop({
      client: () => ({ url: site.url, writeKey: site.writeKey, flushDelayMs: 20, ...options }),
    });
    browser = await startBrowser(path ?? '');
  });

  afterAll(async () => {
    await browser.close();
    await shop.close();
    await site.close();
  });

  beforeEach(async () => {
    options = {};
    shop.cookies.length = 0;
    await site.begin();
    context = await browser.newContext();
    page = await context.newPage();
  });

  afterEach(() => context.close());

  const open = (at = '/'): Promise<unknown> => page.goto(shop.url + at);
  const track = (on: Page, from: number, count: number): Promise<void> =>
    on.evaluate(
      ([start, length]) => {
        const { weft } = globalThis as unknown as InPage;
        for (let i = start; i < start + length; i++) weft.track(`event-${String(i).padStart(2, '0')}`);
      },
      [from, count] as const,
    );
  const flush = (on: Page, timeoutMs = 0): Promise<boolean> =>
    on.evaluate((ms) => (globalThis as unknown as InPage).weft.flush(ms), timeoutMs);
  const stats = (on: Page) => on.evaluate(() => (globalThis as unknown as InPage).weft.stats());
  const stored = (on: Page): Promise<string[]> => on.evaluate(() => Object.keys(localStorage).sort());
  const expected = (count: number): string[] =>
    Array.from({ length: count }, (_, i) => `event-${String(i).padStart(2, '0')}`);
  const names = async (): Promise<string[]> => (await site.events()).map(({ name }) => name).sort();

  it('sends page, identify and track as one visitor, whom the server of the site knows by a cookie', async () => {
    await open('/?utm_source=mail&utm_campaign=spring');
    await page.evaluate(() => {
      const { weft } = globalThis as unknown as InPage;
      weft.page('Home');
      weft.identify('ann', { email: 'ann@acme.org' });
      weft.track('Product Viewed', { sku: 'A-7' });
    });
    const events = await site.arrived(3);
    const byType = new Map(events.map((event) => [event.type, event]));
    expect(byType.get('page')).toMatchObject({ properties: { name: 'Home', title: 'Shop', path: '/' } });
    expect(byType.get('identify')).toMatchObject({ traits: { email: 'ann@acme.org' } });
    expect(byType.get('track')).toMatchObject({ name: 'Product Viewed', properties: { sku: 'A-7' } });
    expect(byType.get('track')?.context).toMatchObject({
      campaign: { source: 'mail', name: 'spring' },
      page: { path: '/' },
      library: { name: '@weft/js' },
    });
    const ids = events.map(({ identifiers }) => identifiers.find(({ ns }) => ns === 'anonymous_id')?.value);
    expect(new Set(ids).size).toBe(1);
    await open('/other');
    expect(shop.cookies.at(-1)).toBe(`weft_id=${String(ids[0])}`);
    const [cookie] = await context.cookies();
    expect(cookie).toMatchObject({ name: 'weft_id', sameSite: 'Lax', path: '/', httpOnly: false });
    expect(cookie?.expires).toBeGreaterThan(Date.now() / 1_000 + 389 * 86_400);
  });

  it('remembers the user on the next page, until reset makes somebody new', async () => {
    await open();
    await page.evaluate(() => (globalThis as unknown as InPage).weft.identify('ann'));
    await open('/other');
    await page.evaluate(() => {
      const { weft } = globalThis as unknown as InPage;
      weft.track('as ann');
      weft.reset();
      weft.track('as somebody new');
    });
    const byName = new Map((await site.arrived(3)).map((event) => [event.name, event.identifiers]));
    const namespaces = (name: string): (string | undefined)[] | undefined =>
      byName
        .get(name)
        ?.map(({ ns }) => ns)
        .sort();
    expect(namespaces('as ann')).toEqual(['anonymous_id', 'user_id']);
    expect(namespaces('as somebody new')).toEqual(['anonymous_id']);
    const anonymous = (name: string) => byName.get(name)?.find(({ ns }) => ns === 'anonymous_id')?.value;
    expect(anonymous('as ann')).not.toBe(anonymous('as somebody new'));
  });

  it('sends what was done offline once it is online again', async () => {
    await open();
    await context.setOffline(true);
    await track(page, 0, 3);
    expect(await flush(page)).toBe(false);
    expect(await stats(page)).toEqual({ sent: 0, dropped: 0, queued: 3 });
    await context.setOffline(false);
    await site.arrived(3);
    expect(await names()).toEqual(expected(3));
  });

  it('sends on a later page what an earlier one could not', async () => {
    await open();
    await site.stop();
    await track(page, 0, 3);
    await open('/plain');
    await site.start();
    await open('/other');
    await site.arrived(3);
    expect(await names()).toEqual(expected(3));
    // No event waits any more; what is left is the token of the last answer.
    await expect.poll(() => stored(page)).toEqual(['weft:token']);
  });

  it('loses and doubles nothing over 429, lost answers and a restart of the server', async () => {
    await open();
    site.setFault(first(2, refuseWith(429, { 'retry-after': '1' })));
    await track(page, 0, 5);
    expect(await flush(page, 30_000)).toBe(true);
    expect(site.faults()).toBe(2);
    site.setFault(first(1, () => 'lose the answer'));
    await track(page, 5, 5);
    // Chromium itself sends once more what was cut off on a connection that it had used before.
    await flush(page, 30_000);
    expect(site.faults()).toBe(3);
    await site.stop();
    await track(page, 10, 5);
    expect(await flush(page)).toBe(false);
    await site.start();
    expect(await flush(page, 30_000)).toBe(true);
    expect(await names()).toEqual(expected(15));
    expect(await stats(page)).toEqual({ sent: 15, dropped: 0, queued: 0 });
  });

  it('takes the events of a page with it that is left at once', async () => {
    options = { flushDelayMs: 60_000 };
    await open();
    // A browser that is closed while it is on its way from page to page may not end.
    const isLeft = page.waitForURL('**/plain');
    await page.evaluate(() => {
      (globalThis as unknown as InPage).weft.track('clicked a link');
      location.href = '/plain';
    });
    await isLeft;
    await site.arrived(1);
    expect(await names()).toEqual(['clicked a link']);
  });

  it('takes the events of a tab with it that is closed', async () => {
    options = { flushDelayMs: 60_000 };
    await open();
    await track(page, 0, 3);
    await page.close({ runBeforeUnload: true });
    await site.arrived(3);
    page = await context.newPage();
    await open('/other');
    expect(await flush(page, 30_000)).toBe(true);
    expect(await names()).toEqual(expected(3));
  });

  it.each([
    ['with Web Locks', false],
    ['without Web Locks, by a lease', true],
  ])('two tabs do not send the same events twice, %s', async (_name, isWithoutLocks) => {
    if (isWithoutLocks) {
      await context.addInitScript(() => Object.defineProperty(navigator, 'locks', { value: undefined }));
    }
    await open();
    const other = await context.newPage();
    await other.goto(shop.url);
    // Both tabs have the same events before them, and their own.
    await site.stop();
    await Promise.all([track(page, 0, 20), track(other, 20, 20)]);
    await Promise.all([flush(page), flush(other)]);
    await site.start();
    expect(await Promise.all([flush(page, 30_000), flush(other, 30_000)])).toEqual([true, true]);
    expect(await names()).toEqual(expected(40));
    const received = site.received.flat();
    expect(received).toHaveLength(40);
    expect(new Set(received).size).toBe(40);
  });

  it('drops a stored event that is no JSON any more, and sends the others', async () => {
    options = { flushDelayMs: 60_000 };
    await open();
    await track(page, 0, 3);
    await page.evaluate(() => {
      const key = Object.keys(localStorage)
        .filter((name) => name.startsWith('weft:event:'))
        .sort()[1];
      localStorage.setItem(key ?? '', '{"broken');
    });
    expect(await flush(page, 30_000)).toBe(true);
    expect(await names()).toEqual(['event-00', 'event-02']);
    expect(await stats(page)).toEqual({ sent: 2, dropped: 1, queued: 0 });
  });

  it('works where storage and cookies are blocked', async () => {
    await context.addInitScript(() => {
      Object.defineProperty(window, 'localStorage', {
        get: () => {
          throw new DOMException('blocked', 'SecurityError');
        },
      });
      Object.defineProperty(document, 'cookie', { get: () => '', set: () => undefined });
    });
    await open();
    await track(page, 0, 3);
    const events = await site.arrived(3);
    expect(await names()).toEqual(expected(3));
    expect(new Set(events.map(({ identifiers }) => identifiers[0]?.value)).size).toBe(1);
  });

  describe('with consent', () => {
    const requests: string[] = [];

    beforeEach(() => {
      requests.length = 0;
      page.on('request', (request) => {
        if (request.url().startsWith(site.url)) requests.push(request.url());
      });
    });

    const setConsent = (consent: Consent): Promise<void> =>
      page.evaluate((next) => (globalThis as unknown as InPage).weft.setConsent(next), consent);
    const leftBehind = async () => ({ stored: await stored(page), cookies: await context.cookies(), requests });
    const nothing = { stored: [], cookies: [], requests: [] };
    const act = (): Promise<boolean> =>
      page.evaluate(async () => {
        const { weft } = globalThis as unknown as InPage;
        weft.page('Home');
        weft.identify('ann');
        weft.track('clicked');
        await weft.segments();
        return weft.flush();
      });

    it('pending, stores and sends nothing, not even when the page is left', async () => {
      options = { consent: 'pending', edgeKey: 'weft_e_any' };
      await open();
      expect(await act()).toBe(false);
      await open('/plain');
      expect(await leftBehind()).toEqual(nothing);
    });

    it('granted later, sends what was held, with the times at which it happened', async () => {
      options = { consent: 'pending' };
      await page.clock.install();
      await open();
      await act();
      await page.clock.fastForward(3_600_000);
      await setConsent('granted');
      const events = await site.arrived(3);
      expect(events.map(({ type }) => type).sort()).toEqual(['identify', 'page', 'track']);
      for (const { occurredAt } of events) expect(occurredAt).toBeLessThanOrEqual(Date.now() - 3_600_000);
      expect(await context.cookies()).toHaveLength(1);
    });

    it('denied, drops what was held', async () => {
      options = { consent: 'pending' };
      await open();
      await act();
      await setConsent('denied');
      await act();
      expect(await leftBehind()).toEqual(nothing);
    });

    it('denied after it was granted, removes the ids and what waits', async () => {
      options = { flushDelayMs: 60_000 };
      await open();
      await page.evaluate(() => {
        const { weft } = globalThis as unknown as InPage;
        weft.identify('ann');
      });
      expect(await stored(page)).toHaveLength(2);
      await setConsent('denied');
      expect(await leftBehind()).toEqual(nothing);
      expect(await stats(page)).toEqual({ sent: 0, dropped: 0, queued: 0 });
    });

    it.each(['globalPrivacyControl', 'doNotTrack'])('refused by the browser (%s), begins denied', async (signal) => {
      await context.addInitScript((name) => {
        Object.defineProperty(navigator, name, { value: name === 'doNotTrack' ? '1' : true });
      }, signal);
      await open();
      await act();
      expect(await leftBehind()).toEqual(nothing);
      options = { honourPrivacySignals: false };
      await open();
      expect(await act()).toBe(true);
      await site.arrived(3);
    });
  });
});
