import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { chromiumPath, startBrowser } from '../support/browser.js';
import { FIXTURES } from '../support/php.js';
import { siteVisitor } from '../support/site-visitor.js';
import { CONSENT, createWordPressWorld, wordpressCore, type WordPressWorld } from '../support/wordpress-world.js';

const core = wordpressCore();
const path = chromiumPath();

const BLOCK = `<!-- wp:weft/segment-content {"mode":"client"} -->
<!-- wp:weft/segment-variant {"is":["vip"]} --><!-- wp:paragraph --><p>Dear VIP</p><!-- /wp:paragraph --><!-- /wp:weft/segment-variant -->
<!-- wp:weft/segment-variant {"not":["regular"]} --><!-- wp:paragraph --><p>Dear stranger</p><!-- /wp:paragraph --><!-- /wp:weft/segment-variant -->
<!-- wp:weft/segment-default --><!-- wp:paragraph --><p>Dear all</p><!-- /wp:paragraph --><!-- /wp:weft/segment-default -->
<!-- /wp:weft/segment-content -->
<!-- wp:paragraph --><p>[weft_segment is="vip" mode="client"]yes[weft_else]no[/weft_segment]</p><!-- /wp:paragraph -->`;

/** What a page notes about itself from its first moment on. */
interface Notes {
  /** What could be read in the block, frame by frame, without repetitions. */
  readonly seen: string[];
  /** Cumulative layout shift. */
  readonly shift: number;
  readonly shortcode: string;
}

describe.skipIf(core === null || path === null)('pages of a WordPress site in Chromium', () => {
  let world: WordPressWorld;
  let browser: Browser;
  let context: BrowserContext;
  let url: string;

  beforeAll(async () => {
    [world, browser] = await Promise.all([createWordPressWorld(core ?? ''), startBrowser(path ?? '')]);
    url = await world.aPost(BLOCK);
  });

  afterAll(async () => {
    await browser.close();
    await world.close();
  });

  beforeEach(async () => {
    await world.door.set('open');
    await world.configure();
    context = await browser.newContext();
    await context.addInitScript({ path: `${FIXTURES}in-page.js` });
  });

  afterEach(async () => {
    await context.close();
    expect(await world.wordpress.complaints()).toEqual([]);
  });

  async function setCookies(cookies: Readonly<Record<string, string>>): Promise<void> {
    await context.addCookies(
      Object.entries(cookies).map(([name, value]) => ({ name, value, url: world.wordpress.url })),
    );
  }

  /** A page view of this visitor, until the block is decided. */
  async function view(page: Page, target = url): Promise<Notes> {
    await page.goto(target);
    await page.waitForSelector('.wp-block-weft-segment-content[data-weft-done]');
    return page.evaluate('inPage.readNotes()');
  }

  const known = async (...events: string[]): Promise<void> =>
    setCookies({ ...CONSENT, weft_id: await world.aVisitor(...events) });

  it('show each the variant of the segment, though all get the same page from a cache', async () => {
    const cached = `${url}&cached=1`;
    await siteVisitor().get(cached);
    const ofVip = await siteVisitor({ ...CONSENT, weft_id: await world.aVisitor('Vip') }).get(cached);
    expect(ofVip.headers.get('x-page-cache')).toBe('hit');
    const shown = async (...events: string[]): Promise<Notes> => {
      await context.clearCookies();
      await known(...events);
      return view(await context.newPage(), cached);
    };
    expect(await shown('Vip', 'Regular')).toEqual({ seen: ['Dear VIP'], shift: 0, shortcode: 'yes' });
    expect(await shown('Regular')).toEqual({ seen: ['Dear all'], shift: 0, shortcode: 'no' });
    expect(await shown('Other')).toEqual({ seen: ['Dear stranger'], shift: 0, shortcode: 'no' });
  });

  it('know from the second view on what to show, before Weft has answered', async () => {
    await known('Vip');
    const page = await context.newPage();
    await view(page);
    await world.door.set('silent');
    expect(await view(page)).toEqual({ seen: ['Dear VIP'], shift: 0, shortcode: 'yes' });
  });

  it('show the default, and are not changed afterwards, where Weft is silent, stopped or the key is wrong', async () => {
    await known('Vip');
    const shown = async (): Promise<string[]> => (await view(await context.newPage())).seen;
    await world.configure({ deadline_ms: 150 });
    await world.door.set('silent');
    expect(await shown()).toEqual(['Dear all']);
    await world.door.set('shut');
    expect(await shown()).toEqual(['Dear all']);
    await world.door.set('open');
    await world.configure({ edge_key: `weft_e_${'A'.repeat(43)}` });
    expect(await shown()).toEqual(['Dear all']);
    await world.configure({ edge_key: '' });
    const page = await context.newPage();
    await page.goto(url);
    expect(await page.innerText('.wp-block-weft-segment-content')).toBe('Dear all');
  });

  it('show the default where scripts do not run', async () => {
    const silent = await browser.newContext({ javaScriptEnabled: false });
    const page = await silent.newPage();
    await page.goto(url);
    expect(await page.innerText('.wp-block-weft-segment-content')).toBe('Dear all');
    expect(await page.isVisible('.wp-block-weft-segment-content')).toBe(true);
    await silent.close();
  });

  it('ask, tell and store nothing before the visitor agrees, then tell', async () => {
    await world.told(0);
    const page = await context.newPage();
    expect((await view(page)).seen).toEqual(['Dear all']);
    expect(await page.evaluate('inPage.stored()')).toEqual(['', []]);
    expect(world.door.takeRequests()).toEqual([]);
    await page.evaluate('inPage.agree()');
    const [event] = await world.told(1);
    expect(event).toMatchObject({ type: 'page', properties: { name: 'A page', post_type: 'post' } });
    const { value } = (await context.cookies()).find(({ name }) => name === 'weft_id') ?? {};
    expect(event?.identifiers).toMatchObject([{ ns: 'anonymous_id', value }]);
    await page.evaluate('inPage.disagree()');
    expect(await page.evaluate('inPage.stored()')).toEqual(['', []]);
  });

  it('tell of each view once, of a product’s too', async () => {
    const product = await world.aPost('A product', { kind: 'product' });
    await setCookies(CONSENT);
    await world.told(0);
    const page = await context.newPage();
    await page.goto(product);
    const events = await world.told(2);
    expect(events.map(({ name }) => name).sort()).toEqual(['Product Viewed', 'page']);
    expect(events.find(({ type }) => type === 'track')?.properties).toMatchObject({
      sku: expect.any(String) as string,
      price: 12.5,
    });
    await page.goto(url);
    const [next] = await world.told(1);
    expect(next).toMatchObject({ type: 'page' });
    expect(new Set([...events, next].map((event) => event?.identifiers[0]?.value)).size).toBe(1);
  });

  describe('for the owner', () => {
    let page: Page;

    beforeEach(async () => {
      page = await context.newPage();
      await page.goto(`${world.wordpress.url}/wp-login.php`);
      await page.fill('#user_login', 'admin');
      await page.fill('#user_pass', 'secret');
      await Promise.all([page.waitForURL('**/wp-admin/**'), page.click('#wp-submit')]);
    });

    const settings = (): Promise<unknown> => page.goto(`${world.wordpress.url}/wp-admin/options-general.php?page=weft`);

    async function test(): Promise<string[]> {
      await page.click('#weft-test');
      await page.waitForSelector('#weft-test-results li');
      return page.locator('#weft-test-results li').allInnerTexts();
    }

    it('the settings are saved, and the signing secret is never shown', async () => {
      const secret = String(world.settings['signing_secret']);
      await settings();
      expect(await page.inputValue('#weft-signing_secret')).toBe('');
      expect(await page.content()).not.toContain(secret);
      await page.fill('#weft-deadline_ms', '321');
      await page.fill('#weft-edge_key', `weft_a_${'A'.repeat(43)}`);
      await Promise.all([page.waitForURL('**settings-updated=true'), page.click('#submit')]);
      expect(await page.innerText('#setting-error-weft_edge_key')).toContain('an admin key, which must never be');
      expect(await page.inputValue('#weft-edge_key')).toBe(world.settings['edge_key']);
      expect(await page.inputValue('#weft-deadline_ms')).toBe('321');
      expect(await page.content()).not.toContain(secret);
      const saved = await world.wordpress.run<Record<string, unknown>>("return get_option( 'weft_options' );");
      const userIdPrefix: unknown = expect.stringMatching(/^127\.0\.0\.1:\d+:$/);
      expect(saved).toEqual({ ...world.settings, deadline_ms: 321, user_id_prefix: userIdPrefix });
    });

    it('the test of the connection says plainly what is wrong', async () => {
      await settings();
      const good = await test();
      expect(good.map((line) => line.slice(0, 1))).toEqual(['✓', '✓', '✓', '✓', '✓']);
      expect(good.join()).not.toContain('weft_s_');

      const wrong = 'B'.repeat(43);
      await page.fill('#weft-write_key', `weft_i_${wrong}`);
      await page.fill('#weft-signing_secret', `weft_s_${wrong}`);
      const lines = await test();
      expect(lines.find((line) => line.includes('Write key'))).toMatch(/^✗ .*does not know this key/);
      expect(lines.find((line) => line.includes('Signing secret'))).toMatch(/^✗ .*does not belong to this edge key/);

      const elsewhere = await world.weft.keys.create({
        name: 'x',
        scopes: ['edge'],
        origins: ['https://else.example'],
      });
      await page.fill('#weft-edge_key', elsewhere.secret);
      const origin = (await test()).find((line) => line.includes('Pages of this site'));
      expect(origin).toContain(`does not list ${world.wordpress.url}`);

      await page.fill('#weft-edge_key', `weft_e_${wrong}`);
      expect((await test()).find((line) => line.includes('Edge key'))).toMatch(/^✗ .*does not know this key/);
      await page.fill('#weft-url', world.wordpress.url);
      expect((await test()).join()).toContain('it is not Weft');
      await page.fill('#weft-url', 'http://127.0.0.1:1');
      expect(await test()).toEqual([expect.stringContaining('Weft cannot be reached from this server')]);
    });

    it('the test of the connection is for owners alone', async () => {
      const ajax = `${world.wordpress.url}/wp-admin/admin-ajax.php`;
      const form = { action: 'weft_test_connection', _ajax_nonce: 'x' };
      expect((await page.request.post(ajax, { form })).status()).toBe(403);
      expect((await siteVisitor().post(ajax, form)).status).toBe(400);
    });

    it('the block is written in the editor and is seen on the page', async () => {
      await page.goto(`${world.wordpress.url}/wp-admin/post-new.php`);
      await page.waitForSelector('.block-editor-writing-flow');
      const published = await page.evaluate<string>('inPage.publishBlock()');
      const canvas = page.locator('.block-editor-block-list__layout').first();
      await expect.poll(() => canvas.innerText()).toContain('For visitors in vip');
      // What was saved is what the editor reads again.
      await page.reload();
      await page.waitForSelector('[data-type="weft/segment-variant"]');
      expect(await page.locator('.block-editor-warning').count()).toBe(0);
      await known('Vip');
      expect((await view(await context.newPage(), published)).seen).toEqual(['Written for VIP']);
    });
  });
});
