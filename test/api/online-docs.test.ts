import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseFeatures } from '../../src/features/parse-features.js';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { drainUntil } from '../support/drain-until.js';
import { aTrack } from '../support/world.js';

/* What docs/online.md shows is done here: each command is followed by its answer. */

const page = await readFile(new URL('../../docs/online.md', import.meta.url), 'utf8');
const [, definitions = ''] = /```yaml\n(views:.*?)```/s.exec(page) ?? [];
const shown = [...page.matchAll(/```sh\n(curl.*?)```\n\n```json\n(.*?)```/gs)].map(([, command = '', answer = '']) => ({
  command,
  answer,
}));

const ASK =
  '{ onlineFeatures(entities: [{ namespace: "email", value: "ada@example.com" }]) { features { complete } } }';

let world: ApiWorld;

beforeAll(async () => {
  world = await createApiWorld();
  await world.accept([], { source: 'crm' });
  await world.engine.services.features.apply(parseFeatures(definitions, 'docs/online.md'));
  const ada = { email: 'ada@example.com' };
  await world.accept([aTrack('product_view', ada), aTrack('product_view', ada)]);
  await world.accept([aTrack('customer', ada, { properties: { tier: 'gold', credit: 120.5 } })], { source: 'crm' });
  await world.drain();
  world.clock.advance(1);
  await world.drain();
});
afterAll(() => world.close());

async function run(command: string): Promise<unknown> {
  const env = { ...process.env, SERVER_URL: world.url, READ_KEY: world.keys.read, WRITE_KEY: world.keys.admin };
  const { stdout } = await promisify(execFile)('bash', ['-c', command], { env });
  return JSON.parse(stdout);
}

/** `…` at the end of a text stands for anything. */
function withPatterns(value: unknown): unknown {
  if (value === '…') return expect.anything();
  if (typeof value === 'string') return value.endsWith('…') ? expect.stringContaining(value.slice(0, -1)) : value;
  if (Array.isArray(value)) return value.map(withPatterns);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, withPatterns(inner)]));
}

describe('docs/online.md', () => {
  it('shows commands with their answers', () => {
    expect(shown.length).toBe(page.match(/```sh\ncurl/g)?.length);
    expect(shown.length).toBeGreaterThanOrEqual(2);
  });

  it.each(shown)('$command is answered as it says', async ({ command, answer }) => {
    await expect.poll(async () => JSON.stringify(await world.data(ASK))).not.toContain('"complete":false');
    expect(await drainUntil(world, run(command))).toEqual(withPatterns(JSON.parse(answer)));
  });
});
