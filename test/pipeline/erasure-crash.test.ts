import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, describe, expect, it } from 'vitest';
import type { AnchoredPayload } from '../../src/events/event-seal.model.js';
import { hashId } from '../../src/platform/ids.js';
import { ErasureLedger } from '../../src/privacy/erasure-ledger.js';
import { compiled } from '../support/compiled-program.js';
import { findTexts } from '../support/find-texts.js';
import { openCopies } from '../support/open-copies.js';
import { knownOf, strays } from '../support/retraction-builders.js';
import { aGroup, anIdentify, aTrack, createWorld, DAY_MS, MINUTE_MS, START_MS, type World } from '../support/world.js';

const ANNA = { user_id: 'canary-user-77', email: 'canary.mail.77@example.org', anonymous_id: 'canary-cookie-77' };
const SECRETS = [...Object.values(ANNA), 'canary-page-77', 'canary-letter-77', 'canary-motto-77'];
const WORDS = 'the secret of a test, of thirty-two characters';

const worlds: World[] = [];

afterEach(async () => {
  await Promise.all(worlds.splice(0).map((world) => world.close()));
});

/** She, who is first by her message ids, whose events hang on three identifiers, and somebody whose events name her; asked to be erased, nothing done. */
async function askedFor(): Promise<{ world: World; erasureId: string; copies: readonly AnchoredPayload[] }> {
  const world = await createWorld(START_MS, { sealed: true });
  worlds.push(world);
  await world.accept([], { source: 'web' });
  await world.defineSegment('keen', 'performed("view")');
  for (const ns of ['anonymous_id', 'email', 'user_id'] as const) {
    world.clock.advance(MINUTE_MS);
    await world.accept(
      Array.from({ length: 4 }, () => aTrack('view', { [ns]: ANNA[ns] }, { properties: { page: 'canary-page-77' } })),
    );
  }
  await world.accept([
    anIdentify(ANNA, { plan: 'pro' }),
    aGroup({ user_id: ANNA.user_id }, 'acme', { motto: 'canary-motto-77' }),
    aGroup({ user_id: 'bo' }, 'acme', { plan: 'pro' }, { messageId: 'z1' }),
    anIdentify({ user_id: 'bo', email: ANNA.email }, { mail: ANNA.email }, { messageId: 'z2' }),
    { ...aTrack('x', { email: ANNA.email }), name: '', messageId: 'canary-letter-77' },
  ]);
  await world.drain();
  const copies = await world.db.query<AnchoredPayload>(
    `SELECT anchor_id, payload FROM event_log UNION ALL SELECT seal_id, payload FROM dead_letters`,
  );
  const [row] = await world.db.query<{ id: string }>('SELECT profile_id AS id FROM identifiers WHERE id = $1', [
    hashId('user_id', ANNA.user_id),
  ]);
  const profileId = row?.id ?? '';
  const { id } = await world.engine.erasures.request({ profileId }, { reason: 'asked', actor: 'test' });
  await world.engine.worker.stop();
  return { world, erasureId: id, copies };
}

/** Runs the worker process until it is done, or kills it in the middle of a round; whether it was done. */
async function runWorker(world: World, killInRound: number): Promise<boolean> {
  const [keys] = (await world.keyDatabase?.query<{ name: string }>('SELECT current_database() AS name')) ?? [];
  const keysUrl = new URL(world.test.url);
  keysUrl.pathname = `/${keys?.name ?? ''}`;
  const script = compiled(new URL('../support/erasure-worker.ts', import.meta.url));
  const args = [world.test.url, keysUrl.href, world.ledgerPath, WORDS, String(world.clock.now())];
  const child = spawn(process.execPath, [script, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString();
    if (output.length >= killInRound) child.kill('SIGKILL');
  });
  await once(child, 'exit');
  return output.includes('done');
}

async function outcome({ world, erasureId, copies }: Awaited<ReturnType<typeof askedFor>>) {
  const receipt = await world.engine.erasures.find(erasureId);
  expect(await findTexts(world.db, SECRETS)).toEqual([]);
  expect(await strays(world.db)).toEqual([]);
  // Nothing is remembered of keys that there were.
  world.vault?.forget();
  const readable = (await world.vault?.open(copies)) ?? [];
  expect(readable.length).toBeGreaterThan(0);
  for (const { anchor_id: id } of readable) expect(id).toBe(hashId('user_id', 'bo'));
  // Neither what hung on her nor what named her.
  if (world.keyDatabase === null) throw new Error('a sealed world has keys');
  const texts = await openCopies(world.keyDatabase, world.secret, copies);
  expect(texts).toHaveLength(1);
  expect(texts[0]).toContain('z1');
  const log = await world.db.query<AnchoredPayload>('SELECT anchor_id, payload FROM event_log');
  expect(await openCopies(world.keyDatabase, world.secret, log)).toHaveLength(log.length);
  expect(new Set((await new ErasureLedger(world.ledgerPath).read()).map(({ erasureId: id }) => id))).toEqual(
    new Set([erasureId]),
  );
  world.clock.advance(DAY_MS);
  const engine = await world.another();
  await engine.worker.drain();
  const { status, events, rewritten, letters, deliveries } = receipt ?? {};
  return { receipt: { status, events, rewritten, letters, deliveries }, known: await knownOf(world) };
}

describe('an erasure whose process is killed', () => {
  it('ends with the receipt and the emptiness of one that is left alone', { timeout: 240_000 }, async () => {
    const disturbed = await askedFor();
    let kills = 0;
    for (const round of [1, 2, 2, 3, 4, 5]) if (!(await runWorker(disturbed.world, round))) kills++;
    expect(kills).toBeGreaterThanOrEqual(4);
    expect(await runWorker(disturbed.world, Infinity)).toBe(true);
    const alone = await askedFor();
    expect(await runWorker(alone.world, Infinity)).toBe(true);
    const expected = await outcome(alone);
    expect(expected.receipt).toMatchObject({ status: 'logical', letters: 1 });
    expect(await outcome(disturbed)).toEqual(expected);
  });
});
