import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { buildSdk } from '../../scripts/build-sdk.js';
import { chromiumPath, startBrowser } from '../support/browser.js';
import { freePort, serveWeft, type ServedWeft } from '../support/served-weft.js';
import { startSlowProxy, type SlowProxy } from '../support/slow-proxy.js';

/* The example as it is deployed: built once, started, looked at with Chromium, before a running Weft. */

const EXAMPLE = join(import.meta.dirname, '../../integrations/nextjs');
const NEXT = join(EXAMPLE, 'node_modules/next/dist/bin/next');
const BUILD_TIMEOUT_MS = 180_000;

const path = existsSync(NEXT) ? chromiumPath() : null;

/** Notes every variant that the page ever shows, from the first on. */
const WATCH_VARIANTS = `
  window.shown = [];
  const note = () => {
    const variant = document.querySelector('[data-variant]')?.dataset.variant;
    if (variant !== undefined && variant !== window.shown.at(-1)) window.shown.push(variant);
  };
  new MutationObserver(note).observe(document, { subtree: true, childList: true, attributes: true });`;

const environment = (more: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv => ({
  ...process.env,
  NODE_ENV: 'production',
  NEXT_TELEMETRY_DISABLED: '1',
  ...more,
});

/** Those that its README tells one to apply. */
async function segmentsOfReadme(): Promise<{ key: string; expression: string }[]> {
  const readme = await readFile(join(EXAMPLE, 'README.md'), 'utf8');
  const [, file = ''] = /```yaml\n(.*?)```/s.exec(readme) ?? [];
  return (parse(file) as { segments: { key: string; expression: string }[] }).segments;
}

interface Site {
  readonly url: string;
  stop(): Promise<void>;
}

/** Once it answers, on a port that is known before, since the edge key names the origin. */
async function startSite(port: number, settings: Readonly<Record<string, string>>): Promise<Site> {
  const child: ChildProcess = spawn(process.execPath, [NEXT, 'start', '-H', '127.0.0.1', '-p', String(port)], {
    cwd: EXAMPLE,
    env: environment(settings),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await new Promise<void>((resolve, reject) => {
    child.stdout?.on('data', (chunk) => {
      if (String(chunk).includes('Ready')) resolve();
    });
    child.once('exit', () => {
      reject(new Error('the site ended before it was ready'));
    });
  });
  return {
    url: `http://127.0.0.1:${String(port)}`,
    stop: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const exited = once(child, 'exit');
      child.kill('SIGTERM');
      await exited;
    },
  };
}

describe.skipIf(path === null)('the example of Next.js', () => {
  let weft: ServedWeft;
  let proxy: SlowProxy;
  let site: Site;
  let misconfigured: Site;
  let browser: Browser;
  let context: BrowserContext;
  let page: Page;

  beforeAll(async () => {
    await buildSdk(join(EXAMPLE, 'node_modules/@weft/js/dist'));
    const build = spawnSync(process.execPath, [NEXT, 'build'], {
      cwd: EXAMPLE,
      env: environment(),
      encoding: 'utf8',
      timeout: BUILD_TIMEOUT_MS,
    });
    if (build.status !== 0) throw new Error(`the example cannot be built:\n${build.stdout}${build.stderr}`);
    weft = await serveWeft();
    for (const { key, expression } of await segmentsOfReadme()) await weft.defineEdgeSegment(key, expression);
    proxy = await startSlowProxy(weft.url);
    const ports = [await freePort(), await freePort()] as const;
    const edge = await weft.createEdgeKey(ports.map((port) => `http://127.0.0.1:${String(port)}`));
    const settings = {
      WEFT_URL: proxy.url,
      WEFT_EDGE_KEY: edge.secret,
      WEFT_WRITE_KEY: weft.writeKey,
      WEFT_SIGNING_SECRET: edge.signingSecret,
      // Of a machine that is busy with other tests.
      WEFT_DEADLINE_MS: '1000',
    };
    site = await startSite(ports[0], settings);
    misconfigured = await startSite(ports[1], { ...settings, WEFT_EDGE_KEY: `${edge.secret.slice(0, -4)}AAAA` });
    browser = await startBrowser(path ?? '');
  }, BUILD_TIMEOUT_MS + 60_000);

  afterAll(async () => {
    await browser.close();
    await Promise.all([site.stop(), misconfigured.stop()]);
    await proxy.close();
    await weft.close();
  });

  beforeEach(async () => {
    proxy.setDelay(0);
    context = await browser.newContext();
    await context.addInitScript(WATCH_VARIANTS);
    page = await context.newPage();
  });

  afterEach(() => context.close());

  const problems = (on: Page): string[] => {
    const found: string[] = [];
    on.on('pageerror', (error) => found.push(error.message));
    on.on('console', (message) => {
      // React reports there that what it hydrated is not what the server sent.
      if (message.type() === 'error' && !message.text().startsWith('Failed to load resource'))
        found.push(message.text());
    });
    return found;
  };
  const variant = async (): Promise<string | null> => page.locator('[data-variant]').getAttribute('data-variant');
  const shown = (): Promise<unknown> => page.evaluate('window.shown');
  /** What the server sends, without any script. */
  const served = async (url = site.url): Promise<string | undefined> =>
    /data-variant="(\w+)"/.exec(await (await context.request.get(url)).text())?.[1];

  it('shows the default to somebody new, and their variant from the next page on, from the first paint', async () => {
    const found = problems(page);
    await page.goto(site.url);
    expect(await served()).toBe('default');
    await page.getByRole('button').click();
    await expect.poll(() => served()).toBe('cart');
    await page.goto(site.url);
    await page.waitForLoadState('networkidle');
    expect(await shown()).toEqual(['cart']);
    expect(await page.locator('h1').textContent()).toBe('Your cart is waiting');
    expect(found).toEqual([]);
  });

  it('changes while it is looked at, as soon as what the visitor did counts', async () => {
    await page.goto(site.url);
    await page.getByRole('button').click();
    await expect.poll(variant).toBe('cart');
  });

  it('gives the visitor one anonymous id, on the server and in the browser', async () => {
    const sent: string[] = [];
    page.on('request', (request) => {
      if (request.url().endsWith('/v1/batch')) sent.push(request.postData() ?? '');
    });
    await page.goto(site.url);
    const [cookie] = await context.cookies();
    expect(cookie).toMatchObject({ name: 'weft_id', sameSite: 'Lax', httpOnly: false });
    await expect.poll(() => sent.length).toBeGreaterThan(0);
    expect(sent[0]).toContain(`"anonymousId":"${String(cookie?.value)}"`);
  });

  it('renders nobody by an id that was guessed and put into the cookie', async () => {
    const answer = await fetch(`${weft.url}/v1/track`, {
      method: 'POST',
      headers: { authorization: `Bearer ${weft.writeKey}`, 'content-type': 'application/json' },
      body: JSON.stringify({ anonymousId: 'guest-7', event: 'add_to_cart' }),
    });
    expect(answer.status).toBe(200);
    const asked = '{ edgeProfile(identifier: { namespace: "anonymous_id", value: "guest-7" }) { segments } }';
    const segments = async () => (await weft.ask<{ edgeProfile: { segments: string[] } }>(asked)).edgeProfile.segments;
    await expect.poll(segments).toEqual(['site_cart']);
    const own = randomUUID();
    for (const cookie of ['weft_id=guest-7', `weft_id=${own}; weft_id=guest-7`, `weft_id=guest-7; weft_id=${own}`]) {
      const text = await (await fetch(site.url, { headers: { cookie } })).text();
      expect(/data-variant="(\w+)"/.exec(text)?.[1]).toBe('default');
    }
  });

  describe('for a visitor with a cart', () => {
    beforeEach(async () => {
      await page.goto(site.url);
      await page.getByRole('button').click();
      await expect.poll(() => served(), { timeout: 10_000 }).toBe('cart');
      await page.goto('about:blank');
    });

    it('shows the default within its deadline where Weft is slow', async () => {
      proxy.setDelay(Infinity);
      const startMs = performance.now();
      expect(await served()).toBe('default');
      expect(performance.now() - startMs).toBeLessThan(10_000);
      proxy.setDelay(0);
      await expect.poll(() => served()).toBe('cart');
    });

    it('shows the default where the key is wrong', async () => {
      expect(await served(misconfigured.url)).toBe('default');
      await page.goto(misconfigured.url);
      await page.waitForLoadState('networkidle');
      expect(await shown()).toEqual(['default']);
    });

    it('shows the default where Weft is stopped, and the variant once it is back', async () => {
      await weft.kill();
      const found = problems(page);
      await page.goto(site.url);
      expect(await variant()).toBe('default');
      expect(found).toEqual([]);
      await weft.start();
      await expect.poll(() => served(), { timeout: 20_000 }).toBe('cart');
    });
  });
});
