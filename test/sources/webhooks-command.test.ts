import { execFile, spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseTimestamp } from '../../src/api/parse-timestamp.js';
import { parseFeatures } from '../../src/features/parse-features.js';
import type { EventAcceptor } from '../../src/events/accept.model.js';
import { webhooksCommand, type WebhooksCommandServices } from '../../src/sources/webhooks/webhooks.command.js';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { runWith, type CommandOutcome } from '../support/command-runner.js';
import { feedComment, signMeta } from '../support/webhook-deliveries.js';
import { post } from '../support/webhook-client.js';

const page = await readFile(new URL('../../docs/social.md', import.meta.url), 'utf8');
const SECRET = 'the secret of the app';
/** `scripts/setup-test-services.sh` says what is missing. */
const hasTools = ['curl', 'openssl'].every((tool) => spawnSync(tool, ['version']).error === undefined);

let world: ApiWorld;
let folder: string;

beforeAll(async () => {
  world = await createApiWorld();
  folder = await mkdtemp(join(tmpdir(), 'weft-webhooks-'));
  for (const name of ['app-secret', 'consumer-secret', 'signing-secret', 'shared', 'new-secret']) {
    await writeFile(join(folder, `${name}.txt`), `${SECRET} in ${name}\n`);
  }
  await writeFile(join(folder, 'reviews.yaml'), yamlOf('source: reviews'));
  await writeFile(join(folder, 'mended.yaml'), yamlOf('source: reviews').replace('stars: stars', 'rating: stars'));
});

afterAll(async () => {
  expect(world.defects).toEqual([]);
  await world.close();
  await rm(folder, { recursive: true });
});

/** The block of the page that holds this line. */
function yamlOf(line: string): string {
  const block = page.match(/```yaml\n[^]*?```/g)?.find((each) => each.includes(line)) ?? '';
  return block.replace('```yaml\n', '').replace('```', '');
}

/** Every command that the page shows, in its order. */
const shown = [
  ...page.matchAll(/^ *(?:2\. `)?weft webhooks ([^`\n]+)/gm),
  ...page.matchAll(/`weft webhooks (create [^`\n]+)`/g),
].map(([, args = '']) => args.trim());

const run = (args: readonly string[], stdin = ''): Promise<CommandOutcome> => {
  const { accept } = world.engine;
  const checker: EventAcceptor = { accept: (...call) => Promise.resolve(accept.check(...call)) };
  const withWebhooks = <T>(use: (services: WebhooksCommandServices) => Promise<T>): Promise<T> =>
    use({
      webhooks: world.services.webhooks.service,
      doors: {
        acceptor: accept,
        checker,
        takeBack: async (source, messageIds, guard) => {
          await world.engine.retractions.takeBackMessages(source, messageIds, guard);
          await world.drain();
        },
        settled: (source) => world.engine.retractions.settled(source),
      },
    });
  return runWith(
    (io) =>
      webhooksCommand({
        ...io,
        withWebhooks,
        withNewDatabase: withWebhooks,
        withReplay: withWebhooks,
        stdin: Readable.from([Buffer.from(stdin)]),
        clock: world.clock,
        parseTime: parseTimestamp,
        signal: new AbortController().signal,
      }),
    args.map((arg) => (/\.(txt|yaml)$/.test(arg) ? join(folder, arg) : arg)),
  );
};

describe('docs/social.md', () => {
  it('shows commands that do what they say', async () => {
    const commands = [...new Set(shown)].sort(
      (a, b) => Number(b.startsWith('create')) - Number(a.startsWith('create')),
    );
    expect(commands.filter((each) => each.startsWith('create'))).toHaveLength(5);
    expect(commands.length).toBeGreaterThanOrEqual(11);
    for (const command of commands) {
      const outcome = await run(command.split(' '));
      expect({ command, ...outcome }).toMatchObject({ command, code: 0 });
      expect(outcome.stdout + outcome.stderr).not.toContain(SECRET);
    }
    const { stdout } = await run(['list']);
    expect(stdout.split('\n').map((line) => line.split(/\s+/).slice(0, 2).join(' '))).toEqual([
      'key adapter',
      'facebook meta',
      'reviews json',
      'tickets zendesk',
      'workspace slack',
      'x x',
      '',
    ]);
  });

  it.skipIf(!hasTools)('shows a delivery by openssl and curl that is taken', async () => {
    await run([
      'create',
      'reviews',
      ...(shown.find((each) => each.startsWith('create reviews')) ?? '').split(' ').slice(2),
    ]);
    const block = /```sh\nBODY=[^]*?```/.exec(page)?.[0].replaceAll('```', '').replace(/^sh/, '') ?? '';
    // The clock of the world stands still.
    const script = block
      .replace('https://weft.example.org', world.url)
      .replace('$(date +%s)', String(world.clock.now() / 1_000));
    const { stdout } = await promisify(execFile)('bash', ['-euc', script], { cwd: folder });
    expect(JSON.parse(stdout)).toEqual({ success: true, accepted: 1, duplicates: 0, refused: 0, skipped: 0 });
  });

  it('shows a feature that is one', () => {
    expect(() => parseFeatures(yamlOf('sentiment_30d'), 'social.yaml')).not.toThrow();
  });
});

describe('weft webhooks', () => {
  it('takes a secret from standard input, and tells what was delivered with it', async () => {
    expect(await run(['create', 'page', '--adapter', 'meta', '--secret-stdin'], `${SECRET}\n`)).toMatchObject({
      code: 0,
      stdout: '/v1/webhooks/page\n',
      stderr: expect.stringMatching(/verify token, shown this once: [\w-]{32}\n/) as string,
    });
    const text = JSON.stringify(feedComment());
    expect((await post(world, 'page', text, signMeta(text, SECRET, 0))).status).toBe(200);
    const { stdout } = await run(['show', 'page', '--json']);
    expect(JSON.parse(stdout)).toMatchObject({
      key: 'page',
      secrets: [{ purpose: 'verify' }, { purpose: 'signing', expiresAt: null }],
      kept: { deliveries: 1, accepted: 1, duplicates: 0, refused: 0, skipped: 0 },
    });
    const shown = (await run(['show', 'page'])).stdout;
    expect(shown).toContain('1 kept, 0.0 MB');
    expect(shown).toMatch(/signed +header x-hub-signature-256: sha256=<hex of HMAC-SHA-256>/);
    expect(shown).toContain('signed is the bytes of the body as they are sent');
    expect((await run(['replay', 'page', '--since', '1h'])).stdout).toContain('0 events added, 1 were there already');
  });

  it('says which replays were interrupted, here and in GraphQL, and goes on with them', async () => {
    await world.db.query('UPDATE webhook_deliveries SET taken_back_by = gen_random_uuid()');
    const text = 'interrupted: 1 delivery waits to be replayed, run weft webhooks replay page --since 1h\n';
    expect((await run(['show', 'page'])).stdout).toContain(text);
    expect((await run(['list'])).stdout).toContain(`page: ${text}`);
    expect(JSON.parse((await run(['list', '--json'])).stdout)).toContainEqual(
      expect.objectContaining({ key: 'page', interruptedDeliveries: 1 }),
    );
    const QUERY = '{ webhooks { edges { node { key interruptedDeliveries } } } }';
    const asked = () => world.data<{ webhooks: { edges: { node: object }[] } }>(QUERY);
    expect((await asked()).webhooks.edges).toContainEqual({ node: { key: 'page', interruptedDeliveries: 1 } });
    const later = new Date(world.clock.now() + 1).toISOString();
    expect((await run(['replay', 'page', '--since', later])).stdout).toContain('1 deliveries: 0 events added, 1 were');
    expect((await run(['show', 'page'])).stdout).not.toContain('interrupted');
  });

  it.each([
    [['create', 'a', '--adapter', 'x'], 2, 'needs the secret'],
    [['create', 'a', '--adapter', 'x', '--secret-file', 'none.txt'], 2, 'there is no such file'],
    [['create', 'a', '--adapter', 'x', '--secret-file', 'shared.txt', '--secret-stdin'], 2, 'two secrets'],
    [['create', 'a', '--adapter', 'fax'], 2, 'Allowed choices are meta'],
    [['create', 'a', '--adapter', 'json', '--mapping', 'reviews.yaml'], 2, 'its source is reviews'],
    [['create', 'a', '--adapter', 'x', '--secret-file', 'shared.txt', '--items', 'data'], 2, 'no such option'],
    [
      [
        ...'create reviews --adapter json --mapping reviews.yaml --secret-file shared.txt --signature-header x-s'.split(
          ' ',
        ),
        '--signature-algorithm',
        'sha1',
      ],
      2,
      'SHA-1 is no longer safe',
    ],
    [['show', 'nothing'], 1, 'there is no webhook nothing'],
    [['update', 'page'], 2, 'nothing is to be changed'],
    [['rotate-secret', 'page'], 2, 'needs the secret'],
    [['rotate-secret', 'x', '--verify-token', '--secret-file', 'shared.txt'], 2, 'only the adapter meta'],
    [['replay', 'page'], 2, '--since'],
    [['replay', 'page', '--since', 'monday'], 2, 'Write a duration'],
  ])('says what is wrong with %j', async (args, code, text) => {
    const outcome = await run(args);
    expect(outcome.stderr).toContain(text);
    // Commander's own refusals carry its code, which main.ts turns into 2.
    expect(outcome.code === 1 && !outcome.stderr.includes('there is no') ? 2 : outcome.code).toBe(code);
  });
});
