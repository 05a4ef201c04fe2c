import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { chromiumPath, startBrowser } from '../support/browser.js';
import { aTrack } from '../support/world.js';

const path = chromiumPath();
const AS_BROWSER = { accept: 'text/html,application/xhtml+xml;q=0.9,*/*;q=0.8' };

let world: ApiWorld;

beforeAll(async () => {
  world = await createApiWorld();
  await world.defineSegment('keen', 'count("product_view", "1h") >= 1');
  await world.drain();
});

afterAll(() => world.close());

describe('the page at /graphql', () => {
  const assetsOf = (html: string): string[] =>
    [...html.matchAll(/(?:src|href)="(\/[^"]+)"/g)].map(([, url]) => url ?? '');

  it('comes without a key, tells nothing of data, and forbids whatever is from elsewhere', async () => {
    const response = await fetch(`${world.url}/graphql`, { headers: AS_BROWSER });
    expect(response.status).toBe(200);
    expect(response.headers.get('content-security-policy')).toMatch(/default-src 'none'; script-src 'self';/);
    const html = await response.text();
    expect(html).toContain('Weft GraphQL API');
    expect(html).not.toMatch(/https?:\/\/(?!localhost)|keen/);
    expect(html).not.toContain('{{');
    expect(html.replace(/<script src="[^"]+"><\/script>/g, '')).not.toContain('<script');
  });

  it('loads what it needs from this server, compressed, under addresses that may be kept for good', async () => {
    const html = await (await fetch(`${world.url}/graphql`, { headers: AS_BROWSER })).text();
    const urls = assetsOf(html);
    expect(urls).toHaveLength(6);
    for (const url of urls) {
      const plain = await (await fetch(`${world.url}${url}`, { headers: { 'accept-encoding': 'identity' } })).text();
      for (const [accepted, encoding] of [
        ['gzip, deflate, br', 'br'],
        ['gzip', 'gzip'],
        ['br;q=0', null],
      ] as const) {
        const response = await fetch(`${world.url}${url}`, { headers: { 'accept-encoding': accepted } });
        expect(response.headers.get('content-encoding')).toBe(encoding);
        expect(response.headers.get('cache-control')).toBe('public, max-age=31536000, immutable');
        expect(response.headers.get('content-type')).toMatch(/^text\/(javascript|css); charset=utf-8$/);
        expect(await response.text()).toBe(plain);
      }
      expect((await fetch(`${world.url}${url.replace(/assets\/./, 'assets/!')}`)).status).toBe(404);
    }
    expect((await fetch(`${world.url}/graphql/assets/x/..%2Fpage.html`)).status).toBe(404);
  });

  it('is not what a client gets that asks for JSON', async () => {
    expect((await fetch(`${world.url}/graphql`, { headers: { accept: 'application/json' } })).status).toBe(401);
  });
});

describe.skipIf(path === null)('GraphiQL in Chromium', () => {
  let browser: Browser;
  let page: Page;
  const strangers: string[] = [];
  const complaints: string[] = [];

  beforeAll(async () => {
    browser = await startBrowser(path ?? '');
  });

  afterAll(() => browser.close());

  beforeEach(async () => {
    const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
    page = await context.newPage();
    page.on('request', (request) => {
      if (!request.url().startsWith(world.url) && !request.url().startsWith('data:')) strangers.push(request.url());
    });
    page.on('console', (message) => {
      if (message.type() === 'error') complaints.push(message.text());
    });
    page.on('pageerror', (error) => complaints.push(error.message));
    await page.goto(`${world.url}/graphql`);
  });

  afterEach(async () => {
    await page.context().close();
    expect(strangers.splice(0)).toEqual([]);
  });

  const useKey = async (key: string): Promise<void> => {
    await page.fill('#key', key);
    await page.click('#use');
  };

  /** Replaces what is in the editor by pasting, as a person would; typing would close brackets twice. */
  const write = async (query: string): Promise<void> => {
    await page.waitForSelector('.graphiql-query-editor .CodeMirror');
    await page.evaluate((text) => {
      type Editor = { CodeMirror: { setValue(value: string): void } };
      const editor = (globalThis as unknown as { document: { querySelector(selector: string): unknown } }).document;
      (editor.querySelector('.graphiql-query-editor .CodeMirror') as Editor).CodeMirror.setValue(text);
    }, query);
  };

  const answer = async (): Promise<string> => page.innerText('.result-window');

  it('asks for a key, runs a query, shows the schema, and leaves nothing behind', async () => {
    await useKey(world.keys.read);
    await page.waitForSelector('.graphiql-query-editor .CodeMirror');
    await page.click('.graphiql-execute-button');
    await expect.poll(answer).toContain('"keen"');
    await page.click('button[aria-label="Show Documentation Explorer"]');
    await expect.poll(() => page.innerText('.graphiql-plugin')).toContain('Query');
    if (process.env['WEFT_TEST_SCREENSHOT']) await page.screenshot({ path: process.env['WEFT_TEST_SCREENSHOT'] });
    await page.click('button[aria-label="Show History"]');
    await expect.poll(() => page.innerText('.graphiql-plugin')).toContain('segments');
    const kept = await page.evaluate(() => {
      const { localStorage, sessionStorage } = globalThis as unknown as Record<string, Record<string, string>>;
      return { local: Object.keys(localStorage ?? {}), key: sessionStorage?.['weft.apiKey'] };
    });
    expect(kept).toEqual({ local: [], key: world.keys.read });
    await page.reload();
    await page.waitForSelector('.graphiql-query-editor .CodeMirror');
    await page.click('#forget');
    await page.waitForSelector('.hint');
    expect(await page.evaluate('sessionStorage.length')).toBe(0);
    expect(complaints.splice(0)).toEqual([]);
  });

  it('follows a subscription until it is told to stop', async () => {
    await useKey(world.keys.read);
    await write('subscription { segmentChanges(segments: ["keen"]) { kind segment { key } profileId } }');
    await page.click('.graphiql-execute-button');
    await expect.poll(() => world.hub.subscribers).toBe(1);
    await world.accept([aTrack('product_view', { anonymous_id: 'visitor' })]);
    await world.drain();
    await expect.poll(answer).toContain('"ENTER"');
    await page.click('.graphiql-execute-button');
    await expect.poll(() => world.hub.subscribers).toBe(0);
    expect(complaints.splice(0)).toEqual([]);
  });

  it('goes on to the editor once a key was entered, so that one can write at once', async () => {
    await page.fill('#key', world.keys.read);
    await page.press('#key', 'Enter');
    await page.waitForSelector('.graphiql-query-editor .CodeMirror-focused');
    await page.keyboard.type('# here');
    await expect.poll(() => page.innerText('.graphiql-query-editor .CodeMirror-code')).toContain('# here');
  });

  it('says of a key that is wrong that it is', async () => {
    await useKey(`weft_r_${'0'.repeat(43)}`);
    await expect.poll(() => page.innerText('#state')).toContain('not valid');
    // Chromium itself reports the answer 401.
    expect(complaints.splice(0).filter((text) => !text.includes('401'))).toEqual([]);
  });
});
