import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { chromiumPath, startBrowser } from '../../../test/support/browser.js';
import { freePort, serveWeft, type ServedWeft } from '../../../test/support/served-weft.js';
import { startSlowProxy, type SlowProxy } from '../../../test/support/slow-proxy.js';
import {
  anonymousIdOf,
  choose,
  createWeftServer,
  dehydrate,
  newAnonymousId,
  signIdentifier,
  type Problem,
  type WeftServer,
} from '../src/server.js';
import type { SegmentChange, Weft, WeftOptions } from '../src/weft.js';
import { startShop, type InPage, type Shop } from './support/shop.js';

/* Both clients ask a Weft that runs as it is deployed; a proxy makes it slow. */

let weft: ServedWeft;
let proxy: SlowProxy;
let edge: { readonly secret: string; readonly signingSecret: string };
let shopPort: number;

beforeAll(async () => {
  weft = await serveWeft();
  proxy = await startSlowProxy(weft.url);
  await weft.defineEdgeSegment('cart_owners', 'performed("add_to_cart")');
  await weft.defineEdgeSegment('buyers', 'performed("purchase")');
  shopPort = await freePort();
  edge = await weft.createEdgeKey([`http://127.0.0.1:${String(shopPort)}`]);
});

afterAll(async () => {
  await proxy.close();
  await weft.close();
});

beforeEach(() => {
  proxy.setDelay(0);
});

describe('the client of a server', () => {
  const problems: Problem[] = [];
  const client = (more: Partial<Parameters<typeof createWeftServer>[0]> = {}): WeftServer =>
    createWeftServer({
      url: proxy.url,
      edgeKey: edge.secret,
      writeKey: weft.writeKey,
      deadlineMs: 1_000,
      onProblem: (problem) => problems.push(problem),
      ...more,
    });
  const anonymous = (value: string) => ({ namespace: 'anonymous_id', value });

  beforeEach(() => {
    problems.length = 0;
  });

  it('is told what a visitor is in, and that it does not know somebody new', async () => {
    const server = client();
    const value = newAnonymousId();
    expect(await server.profile({ identifier: anonymous(value) })).toMatchObject({
      known: false,
      degraded: false,
      segments: [],
    });
    server.track({ anonymousId: value, event: 'add_to_cart' });
    expect(await server.flush()).toBe(true);
    await expect.poll(() => server.segments({ identifier: anonymous(value) })).toEqual(['cart_owners']);
    expect(problems).toEqual([]);
  });

  it('is told of a user by a signature that it makes itself, or that it is given', async () => {
    client().track({ userId: 'ann', event: 'purchase' });
    const identifier = { namespace: 'user_id', value: 'ann' };
    const signing = client({ signingSecret: edge.signingSecret });
    await expect.poll(() => signing.segments({ identifier })).toEqual(['buyers']);
    const signature = signIdentifier(edge.signingSecret, 'user_id', 'ann', 60);
    expect(await client().segments({ identifier: { ...identifier, signature } })).toEqual(['buyers']);
  });

  it('names nobody who can be named in an address, which logs keep', async () => {
    const asked = vi.spyOn(globalThis, 'fetch');
    const signing = client({ signingSecret: edge.signingSecret });
    await signing.profile({ identifier: { namespace: 'email', value: 'ann@example.com' } });
    await signing.profile({ identifier: anonymous(newAnonymousId()) });
    const calls = asked.mock.calls.map(([url, init]) => [init?.method ?? 'GET', url as string]);
    asked.mockRestore();
    expect(calls.map(([method]) => method)).toEqual(['POST', 'GET']);
    expect(calls[0]?.[1]).not.toMatch(/ann|example\.com|variables/);
    expect(problems).toEqual([]);
  });

  it('asks for the next visitor after a question that was too long', async () => {
    const server = client({ signingSecret: edge.signingSecret });
    const value = newAnonymousId();
    server.track({ anonymousId: value, event: 'purchase' });
    await expect.poll(() => server.segments({ identifier: anonymous(value) })).toEqual(['buyers']);
    expect(await server.segments({ identifier: anonymous('x'.repeat(30_000)) })).toEqual([]);
    expect(problems).toMatchObject([{ code: 'PROFILE_REFUSED' }]);
    expect(await server.segments({ identifier: anonymous(value) })).toEqual(['buyers']);
  });

  it('never vouches for an anonymous id that could be guessed, as a cookie may hold, unless it is told to', async () => {
    client().track({ anonymousId: 'guest-7', event: 'purchase' });
    const signing = client({ signingSecret: edge.signingSecret });
    const signature = signIdentifier(edge.signingSecret, 'anonymous_id', 'guest-7', 60);
    await expect
      .poll(() => signing.segments({ identifier: { ...anonymous('guest-7'), signature } }))
      .toEqual(['buyers']);
    problems.length = 0;
    expect(await signing.segments({ identifier: anonymous('guest-7') })).toEqual([]);
    expect(problems).toMatchObject([{ code: 'PROFILE_REFUSED', cause: 'FORBIDDEN' }]);
  });

  it.each([
    ['none', undefined],
    ['one that is over', () => signIdentifier(edge.signingSecret, 'user_id', 'ann', 60, Date.now() - 3_600_000)],
    ['one of somebody else', () => signIdentifier(edge.signingSecret, 'user_id', 'bea', 60)],
    ['one by another secret', () => signIdentifier('weft_s_wrong', 'user_id', 'ann', 60)],
  ])('shows the default for a user without a signature that holds: %s', async (_name, sign) => {
    const signature = sign === undefined ? {} : { signature: sign() };
    const profile = await client().profile({
      identifier: { namespace: 'user_id', value: 'ann', ...signature },
      default: { segments: ['everybody'], traits: { country: 'AT' } },
    });
    expect(profile).toEqual({
      known: false,
      degraded: true,
      asOf: null,
      segments: ['everybody'],
      traits: { country: 'AT' },
      scores: [],
    });
    expect(problems).toMatchObject([{ code: 'PROFILE_REFUSED', cause: 'FORBIDDEN' }]);
  });

  it('answers with the default within the deadline where Weft is slow', async () => {
    proxy.setDelay(Infinity);
    const startMs = performance.now();
    const answer = client().segments({
      identifier: anonymous(newAnonymousId()),
      deadlineMs: 50,
      default: { segments: ['everybody'] },
    });
    expect(await answer).toEqual(['everybody']);
    expect(performance.now() - startMs).toBeLessThan(1_000);
  });

  it('answers with the default where nobody listens, the key is wrong, or there is none', async () => {
    const nobody = `http://127.0.0.1:${String(await freePort())}`;
    for (const more of [{ url: nobody }, { edgeKey: 'weft_e_wrong' }, { edgeKey: undefined }]) {
      const profile = await client(more).profile({ identifier: anonymous(newAnonymousId()) });
      expect(profile).toMatchObject({ degraded: true, asOf: null, segments: [] });
    }
  });

  it('tells a deadline, a network that is down, and each refusal of Weft apart', async () => {
    const nobody = `http://127.0.0.1:${String(await freePort())}`;
    const identifier = anonymous(newAnonymousId());
    await client({ url: nobody }).segments({ identifier });
    await client({ edgeKey: weft.writeKey }).segments({ identifier });
    await client({ edgeKey: edge.secret.slice(0, -1) }).segments({ identifier });
    proxy.setDelay(Infinity);
    await client().segments({ identifier, deadlineMs: 50 });
    expect(problems).toMatchObject([
      { code: 'PROFILE_UNREACHABLE' },
      { code: 'PROFILE_REFUSED', cause: 'UNAUTHENTICATED', message: 'the API key is missing or not valid' },
      { code: 'PROFILE_REFUSED', cause: 'UNAUTHENTICATED' },
      { code: 'PROFILE_LATE' },
    ]);
    expect(problems[1]?.hint).toBe('this looks like a write key; page views take an edge key, weft_e_…');
    expect(problems[2]?.hint).toContain('weft_e_ and 43 letters and digits');
  });

  it('asks no more at once than it may', async () => {
    proxy.setDelay(Infinity);
    const server = client({ maxConcurrent: 3, deadlineMs: 300 });
    const startMs = performance.now();
    const waits = await Promise.all(
      Array.from({ length: 10 }, async () => {
        await server.segments({ identifier: anonymous(newAnonymousId()) });
        return performance.now() - startMs;
      }),
    );
    expect(waits.filter((ms) => ms >= 250)).toHaveLength(3);
  });
});

const path = chromiumPath();

describe.skipIf(path === null)('the client in a browser', () => {
  const VARIANTS = { buyers: 'Thank you', cart_owners: 'Your cart is waiting' };
  let shop: Shop;
  let browser: Browser;
  let context: BrowserContext;
  let page: Page;
  let options: Partial<WeftOptions> & { takesState?: boolean } = {};

  beforeAll(async () => {
    const server = createWeftServer({ url: weft.url, edgeKey: edge.secret, deadlineMs: 1_000 });
    shop = await startShop({
      port: shopPort,
      client: () => ({
        url: proxy.url,
        writeKey: weft.writeKey,
        edgeKey: edge.secret,
        flushDelayMs: 20,
        ...options,
      }),
      render: async (start, request) => {
        const value = anonymousIdOf(request.headers.cookie);
        const profile =
          value === null ? null : await server.profile({ identifier: { namespace: 'anonymous_id', value } });
        const hero = choose(profile?.segments ?? [], VARIANTS, 'Welcome');
        const state = profile === null || value === null ? 'null' : dehydrate(profile, value);
        // The page chooses again by itself, as a framework does that hydrates what a server rendered.
        return `<!doctype html><title>Shop</title><h1>${hero}</h1><script>window.state = ${state}</script>${start}<script>
          const show = () => { document.querySelector('h1').textContent =
            Weft.choose(weft.current.segments, ${JSON.stringify(VARIANTS)}, 'Welcome'); };
          show();
          weft.onSegmentChange(show);
        </script>`;
      },
    });
    browser = await startBrowser(path ?? '');
  });

  afterAll(async () => {
    await browser.close();
    await shop.close();
  });

  beforeEach(async () => {
    options = {};
    context = await browser.newContext();
    await context.addInitScript(() => {
      const shown: string[] = [];
      Object.assign(globalThis, { shown });
      new MutationObserver(() => {
        const text = document.querySelector('h1')?.textContent;
        if (text !== undefined && text !== '' && text !== shown.at(-1)) shown.push(text);
      }).observe(document, { subtree: true, childList: true, characterData: true });
    });
    page = await context.newPage();
  });

  afterEach(() => context.close());

  const shown = (): Promise<string[]> => page.evaluate(() => (globalThis as unknown as { shown: string[] }).shown);
  const track = (event: string): Promise<void> =>
    page.evaluate((name) => (globalThis as unknown as InPage).weft.track(name), event);
  /** With more time than a page would give: a busy machine applies own events late, and the answer waits for them. */
  const segments = (): Promise<readonly string[]> =>
    page.evaluate(() => (globalThis as unknown as InPage).weft.segments({ deadlineMs: 10_000 }));
  const profileNow = () => page.evaluate(() => (globalThis as unknown as InPage).weft.profile());
  /** What is known at present, once it is not the default. */
  const ready = () => page.evaluate(() => (globalThis as unknown as InPage).weft.ready);

  it('counts what the visitor did just before, on this page and on the next', async () => {
    await page.goto(shop.url);
    await track('add_to_cart');
    expect(await page.evaluate(() => (globalThis as unknown as InPage).weft.flush(5_000))).toBe(true);
    expect(await segments()).toEqual(['cart_owners']);
    await track('purchase');
    expect(await page.evaluate(() => (globalThis as unknown as InPage).weft.flush(5_000))).toBe(true);
    await page.goto(`${shop.url}/other`);
    expect(await segments()).toEqual(['buyers', 'cart_owners']);
  });

  it('tells a listener what changed, once, and nothing where nothing did', async () => {
    await page.goto(shop.url);
    await ready();
    await page.evaluate(() => {
      const changes: SegmentChange[] = [];
      Object.assign(globalThis, { changes });
      (globalThis as unknown as InPage).weft.onSegmentChange((change) => changes.push(change));
    });
    const changes = () => page.evaluate(() => (globalThis as unknown as { changes: SegmentChange[] }).changes);
    await track('looked around');
    await track('add_to_cart');
    await expect.poll(changes).toMatchObject([{ entered: ['cart_owners'], left: [], segments: ['cart_owners'] }]);
    await track('purchase');
    await expect.poll(async () => (await changes()).length).toBe(2);
    expect((await changes())[1]).toMatchObject({ entered: ['buyers'], left: [] });
    await track('looked around');
    expect(await page.evaluate(() => (globalThis as unknown as InPage).weft.flush(5_000))).toBe(true);
    await segments();
    expect(await changes()).toHaveLength(2);
  });

  it('does not flicker: the first paint shows the variant, and it stays', async () => {
    await page.goto(shop.url);
    await track('add_to_cart');
    await expect.poll(() => page.locator('h1').textContent()).toBe('Your cart is waiting');
    options = { takesState: true };
    await page.goto(shop.url);
    await segments();
    expect(await shown()).toEqual(['Your cart is waiting']);
    // And without the state of the server it does, which is what the state is for.
    options = {};
    await page.goto(shop.url);
    await segments();
    await expect.poll(shown).toEqual(['Your cart is waiting', 'Welcome', 'Your cart is waiting']);
  });

  it('does not take the state of another visitor for its own, as a cache may hand it out', async () => {
    const other = dehydrate(
      { known: true, degraded: false, asOf: new Date().toISOString(), segments: ['buyers'], traits: {}, scores: [] },
      newAnonymousId(),
    );
    options = { initial: other };
    await page.goto(shop.url);
    expect(await page.evaluate(() => (globalThis as unknown as InPage).weft.current.segments)).toEqual([]);
  });

  it('shows the default within its deadline where Weft is slow, and afterwards what it knew before', async () => {
    options = { default: { segments: ['everybody'] }, deadlineMs: 200 };
    await page.goto(shop.url);
    await track('add_to_cart');
    await expect
      .poll(() => page.evaluate(() => (globalThis as unknown as InPage).weft.current.segments))
      .toEqual(['cart_owners']);
    proxy.setDelay(Infinity);
    const profile = () => page.evaluate(() => (globalThis as unknown as InPage).weft.profile());
    expect(await profile()).toMatchObject({ segments: ['cart_owners'], degraded: true });
    await page.goto(`${shop.url}/other`);
    expect(await profile()).toMatchObject({ segments: ['everybody'], degraded: true, asOf: null });
  });

  it.each([
    [
      'of an origin that the key does not name',
      () => edge.secret,
      'is not allowed for pages of',
      'weft keys origins weft_e_',
    ],
    ['with a key of another kind', () => weft.writeKey, 'is missing or not valid', 'this looks like a write key'],
    ['with a key that is none', () => `weft_e_${'0'.repeat(43)}`, 'is missing or not valid', 'weft keys list'],
  ])('shows the default on a page %s, says why, and asks no more', async (_name, edgeKey, message, hint) => {
    const stranger = await startShop({
      client: () => ({ url: proxy.url, edgeKey: edgeKey(), default: { segments: ['everybody'] } }),
    });
    const warnings: string[] = [];
    page.on('console', (said) => said.type() === 'warning' && warnings.push(said.text()));
    try {
      await page.goto(stranger.url);
      proxy.methods.length = 0;
      for (let i = 0; i < 3; i += 1) expect(await segments()).toEqual(['everybody']);
      expect(proxy.methods).toEqual(['GET']);
      expect(warnings).toHaveLength(1);
      expect(warnings[0]).toContain(message);
      expect(warnings[0]).toContain(hint);
    } finally {
      await stranger.close();
    }
  });

  it('asks nothing for a while after 429, and then again', async () => {
    const slow = await weft.createEdgeKey([shop.url], 1);
    await page.goto(`${shop.url}/plain`);
    await page.addScriptTag({ url: `${shop.url}/weft.js` });
    await page.evaluate(
      (client) => {
        const problems: Problem[] = [];
        const { Weft } = globalThis as unknown as { Weft: { createWeft(of: WeftOptions): Weft } };
        const made = Weft.createWeft({ ...client, onProblem: (problem) => problems.push(problem) });
        Object.assign(globalThis, { problems, weft: made });
      },
      { url: proxy.url, edgeKey: slow.secret },
    );
    const problems = () => page.evaluate(() => (globalThis as unknown as { problems: Problem[] }).problems);
    const others = { headers: { authorization: `Bearer ${slow.secret}` } };
    while ((await fetch(`${weft.url}/graphql`, others)).status !== 429);
    proxy.methods.length = 0;
    await page.evaluate(async () => {
      for (let i = 0; i < 5; i += 1) await (globalThis as unknown as InPage).weft.segments();
    });
    expect(proxy.methods).toEqual(['GET']);
    expect(await problems()).toMatchObject([{ code: 'PROFILE_REFUSED', cause: 'RATE_LIMITED' }]);
    await expect.poll(async () => (await profileNow()).degraded, { timeout: 10_000 }).toBe(false);
    expect(await problems()).toHaveLength(1);
  });

  it('asks for a user by the signature that the server of the site made', async () => {
    const user = `user-${newAnonymousId()}`;
    await page.goto(shop.url);
    await page.evaluate((id) => (globalThis as unknown as InPage).weft.identify(id), user);
    await track('purchase');
    expect(await page.evaluate(() => (globalThis as unknown as InPage).weft.flush(5_000))).toBe(true);
    const identifier = {
      namespace: 'user_id',
      value: user,
      signature: signIdentifier(edge.signingSecret, 'user_id', user, 60),
    };
    const asked = page.evaluate(
      (of) => (globalThis as unknown as InPage).weft.segments({ identifier: of }),
      identifier,
    );
    expect(await asked).toEqual(['buyers']);
  });

  it('asks without a preflight', async () => {
    proxy.methods.length = 0;
    await page.goto(shop.url);
    await track('add_to_cart');
    expect(await page.evaluate(() => (globalThis as unknown as InPage).weft.flush(5_000))).toBe(true);
    await segments();
    expect([...new Set(proxy.methods)].sort()).toEqual(['GET', 'POST']);
  });

  it('knows nothing of the visitor any more after reset', async () => {
    await page.goto(shop.url);
    await track('add_to_cart');
    await expect.poll(() => page.locator('h1').textContent()).toBe('Your cart is waiting');
    await page.evaluate(() => (globalThis as unknown as InPage).weft.reset());
    await expect.poll(() => page.locator('h1').textContent()).toBe('Welcome');
    expect(await segments()).toEqual([]);
  });
});
