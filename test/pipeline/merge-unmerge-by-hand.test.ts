import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { IncomingEvent, JsonObject } from '../../src/events/event.model.js';
import type { RevisionInputOf } from '../../src/identity/identity-revision.model.js';
import { ProfileReader } from '../../src/profiles/profile.reader.js';
import { aFeature } from '../support/a-feature.js';
import { readFeed } from '../support/pipeline-state.js';
import { PURPOSES } from '../support/naive-consents.js';
import { SOME_FEATURES, SOME_SEGMENTS } from '../support/random-log.js';
import { knownOf, strays } from '../support/retraction-builders.js';
import { createWorld, DAY_MS, HOUR_MS, MINUTE_MS, type World } from '../support/world.js';

/*
 * Two people live on, event by event and timer by timer, in two worlds. In one of them somebody takes them for one for a
 * while; in the other nobody ever does.
 */

const KINDS = ['view', 'view', 'cart', 'buy', 'identify', 'agree', 'refuse', 'group'] as const;

/** More of them, and others: WEFT_TEST_HISTORIES=200 WEFT_TEST_SEED=7. */
const RUNS = Number(process.env['WEFT_TEST_HISTORIES'] ?? 25);
const SEED = Number(process.env['WEFT_TEST_SEED'] ?? 20_261_122);

interface Sketch {
  readonly isFirst: boolean;
  readonly device: number;
  readonly what: (typeof KINDS)[number];
  readonly advanceMs: number;
  readonly lateMs: number;
  readonly plan: string;
}

/** With those of {@link SOME_FEATURES}, one of each aggregate. */
const MORE_FEATURES = [
  aFeature('cheapest', { aggregate: 'min', value: 'properties.total', windowMs: DAY_MS, type: 'double' }),
  aFeature('last_carts', { aggregate: 'times', events: ['cart'], limit: 3 }),
];

const sketch = fc.record<Sketch>({
  isFirst: fc.boolean(),
  device: fc.integer({ min: 0, max: 1 }),
  what: fc.constantFrom(...KINDS),
  advanceMs: fc.constantFrom(0, 1, MINUTE_MS, 6 * MINUTE_MS, HOUR_MS, DAY_MS),
  lateMs: fc.constantFrom(0, 0, 999, HOUR_MS),
  plan: fc.constantFrom('free', 'pro'),
});

const life = fc.record({
  before: fc.array(sketch, { maxLength: 5 }),
  joined: fc.array(sketch, { maxLength: 5 }),
  after: fc.array(sketch, { maxLength: 3 }),
  byIdentifiers: fc.boolean(),
});

let joining: World;
let never: World;

beforeAll(async () => {
  [joining, never] = await Promise.all([createWorld(), createWorld()]);
  for (const world of [joining, never]) {
    await world.accept([], { source: 'web' });
    await world.engine.services.purposes.apply(PURPOSES);
    await world.defineFeatures([...SOME_FEATURES, ...MORE_FEATURES]);
    for (const [key, expression] of Object.entries(SOME_SEGMENTS)) await world.defineSegment(key, expression);
    await world.defineSegment('addressed', 'performed("view")', { purposes: ['ads'] });
    await world.defineSegment('mailed', 'f.spend >= 12 || traits.plan == "pro"', { purposes: ['mail'] });
    await world.defineSegment('both', 'f.cheapest < 20', { purposes: ['ads', 'mail'] });
    await world.defineSegment('asked', 'consent("ads") && !segment("addressed")');
    await world.defineSegment('grouped', 'groups.exists(g, g.traits.plan == "pro")');
    await world.defineSegment('in_both', 'size(groups) >= 2');
    await world.drain();
  }
});

afterAll(async () => {
  await Promise.all([joining.close(), never.close()]);
});

let messages = 0;

function eventOf(sketch: Sketch, run: string, nowMs: number): IncomingEvent {
  const { isFirst, device, what, lateMs, plan } = sketch;
  const person = `${isFirst ? 'a' : 'b'}-${run}`;
  const timestampMs = nowMs - lateMs;
  const isTrack = !['identify', 'group'].includes(what);
  return {
    type: what === 'identify' || what === 'group' ? what : 'track',
    ...(isTrack ? { name: what } : { traits: { plan, [`of_${String(device)}`]: lateMs } }),
    ...(what === 'group' ? { groupId: `g${String(device)}-${run}` } : {}),
    ...(what === 'agree' || what === 'refuse' ? { context: wordOf(sketch, timestampMs) } : {}),
    messageId: `m${String(messages++)}`,
    identifiers: [
      { ns: 'user_id', value: person },
      { ns: 'device_id', value: `${person}-${String(device)}` },
    ],
    timestampMs,
    properties: { total: 12.5 + device, sku: `s${String(device)}` },
  };
}

function wordOf({ device, what, plan }: Sketch, timestampMs: number): JsonObject {
  const status = what === 'agree' ? 'granted' : 'denied';
  const word = device === 0 ? { status } : { status, expiresAt: timestampMs + HOUR_MS + 1 };
  return { consent: { purposes: { [plan === 'pro' ? 'mail' : 'ads']: word } } };
}

async function live(sketches: readonly Sketch[], run: string): Promise<void> {
  for (const each of sketches) {
    const event = eventOf(each, run, joining.clock.now() + each.advanceMs);
    for (const world of [joining, never]) {
      world.clock.advance(each.advanceMs);
      await world.accept([event]);
      await world.drain();
    }
  }
}

async function decide(revision: RevisionInputOf): Promise<readonly string[]> {
  // What is due by now is no part of what the decision changes.
  await joining.drain();
  const [{ seq }] = (await joining.db.query<{ seq: number }>('SELECT seq FROM feed_head')) as [{ seq: number }];
  const before = await memberships();
  const { revisions } = joining.engine.identity;
  const { id } = await revisions.request(revision, { actor: 'test', reason: '' });
  await joining.drain();
  expect((await revisions.settled(id, { timeoutMs: 0 })).status).toBe('done');
  const after = await memberships();
  const told = (await joining.feed()).filter((change) => change.seq > seq);
  expect(told.every(({ cause }) => cause.kind === revision.kind && cause.profileId !== undefined)).toBe(true);
  const implied = [
    ...[...before].filter((each) => !after.has(each)).map((each) => `leave ${each}`),
    ...[...after].filter((each) => !before.has(each)).map((each) => `enter ${each}`),
  ];
  expect(told.map(({ kind, profileId, segment }) => `${kind} ${profileId} ${segment}`).sort()).toEqual(implied.sort());
  return implied;
}

async function memberships(): Promise<Set<string>> {
  const rows = await joining.db.query<{ membership: string }>(
    `SELECT m.profile_id || ' ' || s.key AS membership FROM memberships m JOIN segments s ON s.id = m.segment_id`,
  );
  return new Set(rows.map(({ membership }) => membership));
}

async function profileOf(user: string): Promise<string> {
  const [row] = await joining.db.query<{ id: string }>(
    `SELECT profile_id AS id FROM identifiers WHERE ns = 'user_id' AND value = $1`,
    [user],
  );
  return row?.id ?? '';
}

describe('two profiles that were one for a while', () => {
  it(
    'have every id, feature, trait, consent, group, membership and timer as if they had never been, and the feed told just what changed',
    { timeout: 60_000 * Math.max(3, RUNS) },
    async () => {
      let run = 0;
      let told = 0;
      await fc.assert(
        fc.asyncProperty(life, async ({ before, joined, after, byIdentifiers }) => {
          const name = String(++run);
          const [a, b] = [`a-${name}`, `b-${name}`];
          const first = { isFirst: true, device: 0, what: 'view', advanceMs: 1, lateMs: 0, plan: '' } as const;
          await live([first, { ...first, isFirst: false }, ...before], name);
          const ids = [await profileOf(a), await profileOf(b)];
          told += (await decide({ kind: 'merge', input: { profiles: ids } })).length;
          expect(await profileOf(b)).toBe(ids[0]);
          await live(joined, name);
          expect([...(await new ProfileReader().survivors(joining.db, ids)).values()]).toEqual([ids[0], ids[0]]);

          const [move] = await joining.db.query<{ id: string }>(
            'SELECT id FROM identity_moves WHERE from_profile = $1',
            [ids[1]],
          );
          const theirs = await joining.db.query<{ ns: string; value: string }>(
            'SELECT ns, value FROM identifiers WHERE profile_id = $1 AND starts_with(value, $2)',
            [ids[0], b],
          );
          const input = byIdentifiers ? { profile: ids[1] ?? '', identifiers: theirs } : { move: move?.id ?? '' };
          told += (await decide({ kind: 'unmerge', input })).length;
          expect([await profileOf(a), await profileOf(b)]).toEqual(ids);
          await live(after, name);
          expect(await knownOf(joining)).toEqual(await knownOf(never));
        }),
        { numRuns: RUNS, seed: SEED },
      );
      expect(told).toBeGreaterThan(RUNS * 2);
      for (const world of [joining, never]) {
        world.clock.advance(DAY_MS);
        await world.drain();
      }
      expect(await knownOf(joining)).toEqual(await knownOf(never));
      expect(await strays(joining.db)).toEqual([]);
      await readFeed(joining.db);
    },
  );
});
