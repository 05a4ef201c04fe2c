import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isUnguessable } from '../../sdk/js/src/ids.js';
import { signIdentifier } from '../../sdk/js/src/sign-identifier.js';
import { EDGE_PROFILE_DOCUMENT } from '../../src/api/graphql/edge-documents.js';
import { callPlugin, hasPhp, PLUGIN_FOLDER, runPhp } from '../support/php.js';

/** Newer than PHP 8.0, with which the plugin has to do. */
const TOO_NEW =
  /^\s*(?:abstract |final )?(?:readonly |enum )|\breadonly\b|\bfn?\(\.\.\.\)|\): never\b|\bnew\b.*\bfunction __construct/m;
const SHOWN = /\b(?:esc_html__|esc_html_e|__|_e|esc_attr__|_n|_x)\(\s*'(?:[^'\\]|\\.)*'\s*(?:,\s*'([^']*)')?/g;

async function pluginFiles(extension: string): Promise<string[]> {
  const names = await readdir(PLUGIN_FOLDER, { recursive: true });
  return names
    .filter((name) => name.endsWith(extension) && !name.startsWith('assets/'))
    .map((name) => join(PLUGIN_FOLDER, name));
}

async function call<T>(name: string, ...args: unknown[]): Promise<T> {
  const [result] = await callPlugin([[name, args]]);
  return result as T;
}

interface Checked {
  readonly values: Readonly<Record<string, unknown>>;
  readonly problems: Readonly<Record<string, string>>;
}

const key = (letter: string, fill = 'A'): string => `weft_${letter}_${fill.repeat(43)}`;
const saved = { url: 'https://weft.example.org', signing_secret: key('s'), deadline_ms: 200 };
const form = { url: 'https://weft.example.org', write_key: key('i'), edge_key: key('e'), deadline_ms: '150' };
const check = (input: object, previous: object = saved): Promise<Checked> =>
  call('Weft\\Options::check', input, previous);

describe.skipIf(!hasPhp())('the WordPress plugin, part by part', () => {
  it('is PHP that PHP takes, without what 8.0 does not know', async () => {
    const files = await pluginFiles('.php');
    expect(files.length).toBeGreaterThan(20);
    const said = await Promise.all(files.map((file) => runPhp(['-l', file])));
    for (const line of said) expect(line).toContain('No syntax errors');
    for (const file of files) {
      expect(TOO_NEW.exec(await readFile(file, 'utf8')), file).toBeNull();
    }
  });

  it('can be translated, and runs nothing when a file is asked for by itself', async () => {
    for (const file of [...(await pluginFiles('.php')), ...(await pluginFiles('.js'))]) {
      const text = await readFile(file, 'utf8');
      for (const [shown, domain] of text.matchAll(SHOWN)) expect(domain, `${file}: ${shown}`).toBe('weft');
      if (file.endsWith('.php'))
        expect(text, file).toMatch(/defined\( '(?:ABSPATH|WP_UNINSTALL_PLUGIN)' \) \|\| exit;/);
    }
  });

  it('says the same version and needs everywhere', async () => {
    const header = await readFile(join(PLUGIN_FOLDER, 'weft.php'), 'utf8');
    const readme = await readFile(join(PLUGIN_FOLDER, 'readme.txt'), 'utf8');
    const of = (text: string, name: string): string | undefined => new RegExp(`${name}:\\s+(\\S+)`).exec(text)?.[1];
    expect(of(header, 'Version')).toBe(of(readme, 'Stable tag'));
    expect(header).toContain(`const VERSION     = '${String(of(header, 'Version'))}';`);
    expect(of(header, 'Requires PHP')).toBe(of(readme, 'Requires PHP'));
    expect(of(header, 'Requires at least')).toBe(of(readme, 'Requires at least'));
    expect([of(header, 'License'), of(readme, 'License')]).toEqual(['GPL-3.0-or-later', 'GPLv3']);
  });

  it('signs as the JavaScript client does', async () => {
    const value = fc.string({ unit: 'binary', minLength: 1, maxLength: 40 }).filter((text) => !/[\r\n]/.test(text));
    const identifier = fc.tuple(fc.constantFrom('user_id', 'email'), value, fc.integer({ min: 2, max: 2 ** 33 }));
    const samples = fc.sample(identifier, { numRuns: 50, seed: 1 });
    const secret = key('s', 'q');
    const signed = await callPlugin(samples.map((sample) => ['Weft\\sign_identifier', [secret, ...sample]]));
    for (const [i, [namespace, text, expiresAtS]] of samples.entries()) {
      expect(signed[i]).toBe(signIdentifier(secret, namespace, text, 1, (expiresAtS - 1) * 1_000));
    }
  });

  it('asks by the stored document that every Weft has', async () => {
    expect(await call('edge_document')).toBe(EDGE_PROFILE_DOCUMENT);
  });

  it('makes ids that nobody can guess', async () => {
    const ids = await callPlugin(Array.from({ length: 100 }, () => ['Weft\\Visitor::new_id', []]));
    expect(new Set(ids).size).toBe(100);
    for (const id of ids as string[]) {
      expect(isUnguessable(id)).toBe(true);
      expect(id).toMatch(/^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/);
    }
  });

  it('shows a variant to whoever is in one of its segments and in none of the others', async () => {
    const keys = fc.subarray(['a', 'b', 'c', 'd']);
    const samples = fc.sample(fc.tuple(keys, keys, keys), { numRuns: 300, seed: 2 });
    const found = await callPlugin(samples.map((sample) => ['rule_matches', sample]));
    for (const [i, [is, not, segments]] of samples.entries()) {
      const isNamed = is.length + not.length > 0;
      const isIn = is.length === 0 || is.some((each) => segments.includes(each));
      expect(found[i], JSON.stringify(samples[i])).toBe(
        isNamed && isIn && !not.some((each) => segments.includes(each)),
      );
    }
  });

  it('takes keys of segments as text or list, and leaves out what can be none', async () => {
    const found = await callPlugin([
      ['rule_matches', ['vip,  champions', '', ['champions']]],
      ['rule_matches', [['vip', 7, '"><script>'], [], ['vip']]],
      ['rule_matches', ['"><script>', '', ['"><script>']]],
      ['rule_matches', [null, 'vip', []]],
    ]);
    expect(found).toEqual([true, true, false, true]);
  });

  it('tells pages that caches must not keep from those that they may', async () => {
    const cases: [text: string, siteMode: string, isServer: boolean][] = [
      ['<p>nothing</p>', 'server', false],
      ['<!-- wp:weft/segment-content -->', 'server', true],
      ['<!-- wp:weft/segment-content -->', 'client', false],
      ['<!-- wp:weft/segment-content {"mode":"server","minHeight":10} -->', 'client', true],
      ['<!-- wp:weft/segment-content {"mode":"client"} -->', 'server', false],
      ['[weft_segment is="a"]x[/weft_segment]', 'server', true],
      ['[weft_segment is="a" mode="server"]', 'client', true],
      ["[weft_segment mode='client' is=a]", 'server', false],
      ['[weft_segment mode="client"] [weft_segment is=a]', 'server', true],
    ];
    const found = await callPlugin(
      cases.map(([text, siteMode]) => ['Weft\\Page_Caches::chooses_on_server', [text, siteMode]]),
    );
    expect(found).toEqual(cases.map(([, , isServer]) => isServer));
  });

  it('splits a shortcode at its else, without the halves of paragraphs around it', async () => {
    const found = await callPlugin([
      ['Weft\\Shortcode::halves', ['For you[weft_else]For all']],
      ['Weft\\Shortcode::halves', ['</p>\n<h2>For you</h2>\n<p>[weft_else]<br />\nFor all<br />\n']],
      ['Weft\\Shortcode::halves', ['For you']],
    ]);
    expect(found).toEqual([
      ['For you', 'For all'],
      ['<h2>For you</h2>', 'For all'],
      ['For you', ''],
    ]);
  });

  it('gives the same event the same message id, and those of two sites different ones', async () => {
    const [one, again, other] = await callPlugin(
      ['https://a.example', 'https://a.example', 'https://b.example'].map((site) => [
        'Weft\\Tracker::message_id',
        [site, 'order-7-completed'],
      ]),
    );
    expect(one).toBe(again);
    expect(one).not.toBe(other);
    expect(one).toMatch(/^wp-[\da-f]{12}-order-7-completed$/);
  });

  it('waits longer from try to try, and never more than an hour', async () => {
    const waits = await callPlugin([0, 1, 2, 5, 6, 60_000].map((tries) => ['Weft\\Delivery::wait_s', [tries]]));
    expect(waits).toEqual([60, 120, 240, 1920, 3600, 3600]);
  });
});

describe.skipIf(!hasPhp())('the settings of the WordPress plugin', () => {
  it('are saved where they can be right', async () => {
    const { values, problems } = await check({
      ...form,
      url: ' https://weft.example.org/ ',
      track: ['orders', 'x'],
      consent: 'x',
    });
    expect(Object.keys(problems)).toEqual([]);
    expect(values).toMatchObject({
      ...form,
      deadline_ms: 150,
      track: ['orders'],
      consent: 'consent_api',
      send_email: false,
    });
  });

  it('tell accounts of different sites apart by the address of the site', async () => {
    const addresses = [
      'https://Shop.Example/',
      'http://127.0.0.1:8080',
      'https://shop.example/blog/',
      'https://shop.example:443/b?c',
    ];
    const found = await callPlugin(addresses.map((address) => ['Weft\\Options::prefix_of', [address]]));
    expect(found).toEqual(['shop.example:', '127.0.0.1:8080:', 'shop.example/blog:', 'shop.example:443/b:']);
    const long = await call<string>('Weft\\Options::prefix_of', `https://${'a'.repeat(200)}.example`);
    expect(long).toHaveLength(100);
    for (const prefix of [...found, long, '']) {
      const { values, problems } = await check({ ...form, user_id_prefix: prefix });
      expect([values['user_id_prefix'], Object.keys(problems)]).toEqual([prefix, []]);
    }
    expect((await check(form, {})).values['user_id_prefix']).toBe('shop.example:');
    expect((await check(form, { user_id_prefix: '' })).values['user_id_prefix']).toBe('');
  });

  it('keep the signing secret when the field is left empty, and forget it when told to', async () => {
    expect((await check({ ...form, signing_secret: '' })).values['signing_secret']).toBe(saved.signing_secret);
    expect((await check({ ...form, signing_secret: key('s', 'B') })).values['signing_secret']).toBe(key('s', 'B'));
    expect((await check({ ...form, forget_signing_secret: '1' })).values['signing_secret']).toBe('');
  });

  it.each([
    ['url', 'weft.example.org', 'has to begin with https://'],
    ['url', 'https://ann:pass@weft.example.org', 'no user name'],
    ['write_key', key('a'), 'This is an admin key, which must never be on a website'],
    ['edge_key', key('i'), 'This is a write key. What belongs here begins with weft_e_'],
    ['edge_key', 'weft_e_short', 'no whole key'],
    ['signing_secret', key('e'), 'This is an edge key. What belongs here begins with weft_s_'],
    ['deadline_ms', '5', 'from 10 to 2000'],
    ['deadline_ms', 'fast', 'from 10 to 2000'],
    ['user_id_prefix', 'my shop', 'letters, digits'],
    ['user_id_prefix', 'x'.repeat(101), 'up to 100'],
  ])('refuse %s = %s and keep what was', async (field, value, said) => {
    const { values, problems } = await check({ ...form, [field]: value });
    expect(Object.keys(problems)).toEqual([field]);
    expect(problems[field]).toContain(said);
    expect(problems[field]).not.toContain('AAAA');
    expect(values[field]).toBe({ write_key: '', edge_key: '', user_id_prefix: 'shop.example:', ...saved }[field]);
  });
});
