import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { newId } from '../../src/platform/ids.js';
import { RefreshJobKind } from '../../src/recompute-job.js';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { aFeature } from '../support/a-feature.js';
import { readModelFixture } from '../support/model-fixtures.js';
import { aTrack, MINUTE_MS } from '../support/world.js';

let world: ApiWorld;
const unanswered: number[] = [];
const ends: string[] = [];

beforeAll(async () => {
  world = await createApiWorld({
    limits: { modelRunTimeoutMs: 300 },
    observers: {
      onUnanswered: (_model, rows) => unanswered.push(rows),
      onHostEnded: (model, reason) => ends.push(`${model} ${reason}`),
    },
  });
  await world.accept([]);
  await world.defineFeatures([
    aFeature('amount', { aggregate: 'last', events: ['paid'], value: 'properties.amount', type: 'double' }),
  ]);
  const { models } = world.engine.services;
  for (const name of ['never_ends', 'refuses_rows'] as const) {
    const { bytes, manifest } = await readModelFixture(name);
    const { model } = await models.register(bytes, manifest);
    await models.promote(model.key, model.version);
  }
  // It has a loop, whose rounds a row decides: it is never run by whoever asks.
  await world.defineSegment('in_debt', 'score("never_ends") < 0');
  await world.defineSegment('well_off', '!segment("in_debt") && f.amount > 0.5');
  await world.defineSegment('spenders', 'score("refuses_rows") >= 0.5');
  await world.drain();
});

afterAll(async () => {
  expect(world.defects).toEqual([]);
  await world.close();
});

async function pay(amounts: Readonly<Record<string, number>>): Promise<void> {
  world.clock.advance(1_000);
  await world.accept(
    Object.entries(amounts).map(([user, amount]) => aTrack('paid', { user_id: user }, { properties: { amount } })),
  );
  await world.drain();
}

/** As `in (since)`, with a mark where that is as of before. */
async function membership(user: string, segment: string): Promise<string> {
  const { profile } = await world.data<{ profile: { membership: { isMember: boolean; stale: boolean } } }>(
    `{ profile(identifier: { namespace: "user_id", value: "${user}" }) {
         membership(segment: "${segment}") { isMember stale } } }`,
  );
  const { isMember, stale } = profile.membership;
  return `${isMember ? 'in' : 'out'}${stale ? ', stale' : ''}`;
}

const segmentsOf = async (user: string): Promise<string[]> =>
  Promise.all(['in_debt', 'well_off', 'spenders'].map((segment) => membership(user, segment)));

describe('a model that gives no answer for some', () => {
  it('leaves them where they were, marked, and answers all others', async () => {
    await pay({ ann: -1, bob: -1, cid: 0 });
    expect(await segmentsOf('ann')).toEqual(['in', 'out', 'in']);
    expect(await segmentsOf('cid')).toEqual(['out', 'out', 'out']);
    // Of amounts over 0 one model never ends, and the other knows none over 2.
    await pay({ ann: 1, bob: 0, cid: 2, dan: -1, eve: 5 });
    expect(await segmentsOf('ann')).toEqual(['in, stale', 'out', 'in']);
    expect(await segmentsOf('bob')).toEqual(['out', 'out', 'out']);
    expect(await segmentsOf('cid')).toEqual(['out, stale', 'in', 'in']);
    expect(await membership('dan', 'in_debt')).toBe('in');
    expect(await segmentsOf('eve')).toEqual(['out, stale', 'in', 'out, stale']);
    expect(new Set(ends)).toEqual(new Set(['never_ends TIME']));
    expect(unanswered.length).toBeGreaterThan(0);
    expect(await world.db.query('SELECT FROM dead_letters')).toEqual([]);
  }, 60_000);

  it('is told of by a preview, which can only guess for them', async () => {
    const { segmentPreview } = await world.data<{ segmentPreview: { size: number; notes: string[] } }>(
      `{ segmentPreview(segment: { expression: "score(\\"refuses_rows\\") >= 0.5" }) { ... on SegmentPreview { size notes } } }`,
    );
    expect(segmentPreview.notes.join(' ')).toContain('A model gave no answer about 1 person');
  });

  it('does not keep a query waiting either, and says that it gives none', async () => {
    const answer = await world.ask(
      `{ profile(identifier: { namespace: "user_id", value: "ann" }) { id score(model: "never_ends") { score } } }`,
    );
    expect(answer).toMatchObject({
      data: { profile: { score: null } },
      errors: [{ message: 'model never_ends gives no answer', extensions: { code: 'UNAVAILABLE' } }],
    });
  });

  it('is told of the same way by the database, for a process that knows nothing of it', async () => {
    world.store.entries.clear();
    expect(await segmentsOf('ann')).toEqual(['in, stale', 'out', 'in']);
  });

  it('is asked again at the next step of scores, and by the next event', async () => {
    await pay({ ann: -1 });
    expect(await membership('ann', 'in_debt')).toBe('in');
    const before = unanswered.length;
    const endsBefore = ends.length;
    world.clock.advance(5 * MINUTE_MS);
    await world.drain();
    expect(unanswered.length).toBeGreaterThan(before);
    // A row that it failed on by itself is not asked again so soon.
    expect(ends.length).toBe(endsBefore);
    expect(await membership('cid', 'in_debt')).toBe('out, stale');
    await pay({ cid: 0 });
    expect(await segmentsOf('cid')).toEqual(['out', 'out', 'out']);
    const timers = await world.db.query<{ stale: number[] }>('SELECT stale FROM timers WHERE stale IS NOT NULL');
    expect(timers).toHaveLength(1);
  });
});

describe('a refresh by the clock', () => {
  it('is for the segments that ask the models when it is due, through other segments, too', async () => {
    const { db, engine } = world;
    const id = newId(world.clock.now());
    // It is asked for, and then not wanted any more: nobody need be evaluated for this.
    const refresh = new RefreshJobKind({ db, work: engine.segmentWork, sleep: () => engine.segmentWork.withdraw(id) });
    const run = { id, dueAt: 0, zone: 'UTC', signal: new AbortController().signal, report: () => undefined };
    const segments = async (...models: string[]): Promise<unknown> => {
      const { isDone, result } = await refresh.run(await refresh.prepare({ models }), run);
      expect(isDone).toBe(false);
      await db.execute('DELETE FROM segment_recomputes');
      return result['segments'];
    };
    expect(await segments('never_ends')).toEqual(['in_debt', 'well_off']);
    expect(await segments('refuses_rows')).toEqual(['spenders']);
    expect(await segments()).toEqual(['in_debt', 'spenders', 'well_off']);
  });
});
