import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, expect, it, vi } from 'vitest';
import type { LogBatch } from '../../src/events/event-log.model.js';
import { IdentityStep } from '../../src/identity/identity.step.js';
import { IdentityStore } from '../../src/identity/identity.store.js';
import { WeftError } from '../../src/platform/errors.js';
import { aTrack, anIdentify, createWorld, START_MS, type World } from '../support/world.js';

const cookie = { anonymous_id: 'a cookie' };
const mail = { email: 'somebody@example.org' };
const lost = new WeftError('UNAVAILABLE', 'the connection is lost', { retryAfterMs: 0 });

let world: World;
afterEach(async () => {
  vi.restoreAllMocks();
  await world.close();
});

it('whom the next batch is about is not read as of before the batch in hand, where that is done again', async () => {
  world = await createWorld(START_MS, { limits: { maxBatchEvents: 2 } });
  await world.accept([aTrack('view', cookie), aTrack('view', mail)]);
  await world.drain();
  await world.accept([
    // Two people are one, which the next batch has to know.
    anIdentify({ ...cookie, ...mail }),
    aTrack('view', cookie),
    anIdentify({ ...mail, user_id: 'u1' }),
    aTrack('view', mail),
  ]);

  const { log, worker } = world.engine;
  const readBatch = log.readBatch.bind(log);
  const reads: Promise<LogBatch>[] = [];
  let answerFirst = (): void => undefined;
  vi.spyOn(log, 'readBatch').mockImplementation((options) => {
    if (options.afterPos !== 4) return readBatch(options);
    const read = readBatch(options);
    reads.push(read);
    // Ahead it is late at first, then it fails; after that the batch is read in its turn.
    if (reads.length === 2) return Promise.reject(lost);
    if (reads.length > 2) return read;
    return new Promise((resolve) => {
      answerFirst = () => {
        resolve(read);
      };
    });
  });
  vi.spyOn(IdentityStep.prototype, 'save').mockRejectedValueOnce(lost);
  const load = IdentityStore.prototype.loadStandingComponents;
  const loads: Promise<unknown>[] = [];
  vi.spyOn(IdentityStore.prototype, 'loadStandingComponents').mockImplementation(async function (
    this: IdentityStore,
    ...asked
  ) {
    const loading = load.apply(this, asked);
    if (reads.length !== 1) return loading;
    if (loads.push(loading) > 1) return loading;
    // The batch is being resolved for the second time, and the answer to what was read ahead at first comes now.
    await reads[0];
    answerFirst();
    await turn();
    await Promise.all(loads);
    return loading;
  });
  await worker.drain();

  expect(loads).not.toHaveLength(0);
  expect(reads).toHaveLength(3);
  const standing = await world.db.query(
    `SELECT i.ns, p.merged_into AS "mergedInto", count(*) OVER (PARTITION BY p.id) AS n
     FROM identifiers i JOIN profiles p ON p.id = i.profile_id ORDER BY i.ns`,
  );
  expect(standing).toEqual(['anonymous_id', 'email', 'user_id'].map((ns) => ({ ns, mergedInto: null, n: 3 })));
});
