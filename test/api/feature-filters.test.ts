import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JsonValue } from '../../src/events/event.model.js';
import type { FeatureDefinition } from '../../src/features/feature.model.js';
import { aFeature } from '../support/a-feature.js';
import { aPurpose } from '../support/a-purpose.js';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { acceptLog, pick, randomFrom, randomLog, shuffled, SOME_FEATURES } from '../support/random-log.js';
import { aTrack, anIdentify, DAY_MS, HOUR_MS, MINUTE_MS } from '../support/world.js';

/* Filters and orders by features against what `Profile.features` shows of everybody at the same instant. */

const GATED = [
  aFeature('ads_2h', { view: 'gated', windowMs: 2 * HOUR_MS, searchable: true }),
  aFeature('ads_sku', { view: 'gated', aggregate: 'last', value: 'properties.sku', type: 'string', searchable: true }),
];
const OPEN: readonly FeatureDefinition[] = [
  ...SOME_FEATURES,
  aFeature('minutes_in_2h', { aggregate: 'recency', events: ['view'], windowMs: 2 * HOUR_MS, unitMs: MINUTE_MS }),
  aFeature('bought_at', { aggregate: 'last', events: ['buy'], value: 'properties.at', type: 'timestamp' }),
  aFeature('is_gift', { aggregate: 'first', value: 'properties.gift', type: 'bool' }),
].map((feature) => ({ ...feature, searchable: true }));
const ALL = [...OPEN, ...GATED];

interface Shown {
  readonly id: string;
  /** By name; null where there is no value, for whatever reason. */
  readonly values: ReadonlyMap<string, JsonValue>;
}

let world: ApiWorld;

beforeAll(async () => {
  world = await createApiWorld({ limits: { maxBatchEvents: 10, maxIndexedProfiles: 3 } });
  await world.engine.services.purposes.apply([
    aPurpose('ads', { expiresAfterDays: 1 }),
    aPurpose('mail', { default: 'granted' }),
  ]);
});

afterAll(() => world.close());

async function define(open: readonly FeatureDefinition[], gated: readonly FeatureDefinition[]): Promise<void> {
  const base = { description: '', source: null };
  await world.engine.services.features.apply(
    {
      views: [
        { ...base, name: 'test', features: open },
        ...(gated.length === 0 ? [] : [{ ...base, name: 'gated', features: gated, purposes: ['ads', 'mail'] }]),
      ],
      services: [],
    },
    { prune: true },
  );
}

async function everybody(): Promise<Shown[]> {
  const query = `{ profiles(first: 100) { edges { node { id features { name status value } } } } }`;
  type Node = { id: string; features: { name: string; value: JsonValue }[] };
  const { profiles } = await world.data<{ profiles: { edges: { node: Node }[] } }>(query);
  return profiles.edges.map(({ node: { id, features } }) => ({
    id,
    values: new Map(features.map(({ name, value }) => [name, value])),
  }));
}

async function ids(filter: unknown, orderBy?: unknown): Promise<string[]> {
  const query = `query ($filter: ProfileFilter, $orderBy: ProfileOrder) {
    profiles(filter: $filter, orderBy: $orderBy, first: 100) { edges { node { id } } }
  }`;
  const answer = await world.data<{ profiles: { edges: { node: { id: string } }[] } }>(query, { filter, orderBy });
  return answer.profiles.edges.map(({ node }) => node.id);
}

const OPS = {
  eq: (a: JsonValue, b: JsonValue) => a === b,
  gt: (a: JsonValue, b: JsonValue) => compare(a, b) > 0,
  gte: (a: JsonValue, b: JsonValue) => compare(a, b) >= 0,
  lt: (a: JsonValue, b: JsonValue) => compare(a, b) < 0,
  lte: (a: JsonValue, b: JsonValue) => compare(a, b) <= 0,
};

function compare(a: JsonValue, b: JsonValue): number {
  if (typeof a !== typeof b || a === null || b === null) return NaN;
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Conditions on every feature with values that somebody has, and orders by it, as the pages tell and as they have to be. */
async function checkEverything(random: () => number, features: readonly FeatureDefinition[]): Promise<number> {
  const people = await everybody();
  let withValue = 0;
  for (const { name } of features) {
    const known = people.flatMap(({ id, values }): { id: string; value: JsonValue }[] => {
      const value = values.get(name) ?? null;
      return value === null ? [] : [{ id, value }];
    });
    withValue += known.length;
    const wanted = (holds: (value: JsonValue) => boolean): string[] =>
      known.flatMap(({ id, value }) => (holds(value) ? [id] : [])).sort();
    const found = async (conditions: object): Promise<string[]> =>
      (await ids({ feature: { name, ...conditions } })).sort();
    const at = { name, at: world.clock.now() };
    expect({ ...at, ids: await found({ exists: true }) }).toEqual({ ...at, ids: wanted(() => true) });
    const some = known.length === 0 ? null : pick(random, known).value;
    if (some !== null) {
      const op = pick(random, Object.keys(OPS) as (keyof typeof OPS)[]);
      const asked = { ...at, op, some };
      expect({ ...asked, ids: await found({ [op]: some }) }).toEqual({
        ...asked,
        ids: wanted((v) => OPS[op](v, some)),
      });
      const others = shuffled(random, known)
        .slice(0, 3)
        .map(({ value }) => value);
      expect({ ...at, ids: await found({ in: others }) }).toEqual({ ...at, ids: wanted((v) => others.includes(v)) });
    }
    const direction = pick(random, ['ASC', 'DESC']);
    const ordered = await ids(null, { by: 'FEATURE', feature: name, direction });
    expect({ ...at, ids: [...ordered].sort() }).toEqual({ ...at, ids: wanted(() => true) });
    const valueOf = new Map(known.map(({ id, value }) => [id, value]));
    const inOrder = ordered.map((id) => valueOf.get(id) ?? null);
    const sign = direction === 'ASC' ? 1 : -1;
    expect({ ...at, inOrder }).toEqual({ ...at, inOrder: [...inOrder].sort((a, b) => sign * compare(a, b)) });
  }
  return withValue;
}

describe('profiles found by features', () => {
  it('are those whose features show what is asked, at any instant, through merges, splits, consents and late events', async () => {
    const random = randomFrom(71);
    const says = () => pick(random, [true, true, false, undefined]);
    const steps = randomLog(random, {
      steps: 30,
      maxEventsPerStep: 5,
      advancesMs: [0, 1, MINUTE_MS, 20 * MINUTE_MS, HOUR_MS, 5 * HOUR_MS],
      historicalShare: 0.2,
      people: 5,
    }).map(({ events, ...step }) => ({
      ...step,
      events: events.map((event) => {
        const [ads, mail] = [says(), says()];
        const purposes = { ...(ads === undefined ? {} : { ads }), ...(mail === undefined ? {} : { mail }) };
        const at = new Date(1_700_000_000_000 - Math.floor(random() * 5) * DAY_MS).toISOString();
        const properties = { ...event.properties, at, gift: random() < 0.5 };
        return { ...event, properties, context: { consent: { purposes } } };
      }),
    }));
    await define(OPEN, GATED);
    let checked = 0;
    await acceptLog(world, steps, async (index) => {
      // Some batches are applied by nobody until more is there.
      if (random() < 0.6) await world.drain();
      if (index % 10 !== 9) return;
      await world.drain();
      checked += await checkEverything(random, ALL);
    });
    // Time alone goes on: windows pass, ages grow, consents run out.
    for (const advanceMs of [1, 7 * MINUTE_MS, 2 * HOUR_MS, 13 * HOUR_MS, 30 * DAY_MS]) {
      world.clock.advance(advanceMs);
      await world.drain();
      checked += await checkEverything(random, ALL);
    }
    expect(checked).toBeGreaterThan(200);
  });

  it('are found by a feature that changes, or becomes searchable, once everybody is in the index by it', async () => {
    const random = randomFrom(72);
    await define(OPEN.slice(0, 2), []);
    await world.drain();
    const rows = await world.db.query<{ n: number }>(
      `SELECT count(*)::int4 AS n FROM profile_search s WHERE NOT EXISTS (
         SELECT FROM search_fields f WHERE f.id = s.field_id AND NOT f.retired)`,
    );
    expect(rows).toEqual([{ n: 0 }]);
    const narrower = OPEN.map((feature) => (feature.name === 'views_1h' ? { ...feature, windowMs: DAY_MS } : feature));
    await define(narrower, GATED);
    const { errors } = await world.ask(
      '{ profiles(filter: { feature: { name: "views_1h", eq: 0 } }) { edges { cursor } } }',
    );
    expect(errors?.[0]).toMatchObject({ message: 'not everybody is in the index of views_1h yet' });
    await world.drain();
    // Values that are read wait for the evaluation of everybody, which is due a moment later.
    world.clock.advance(1_000);
    await world.drain();
    await checkEverything(random, ALL);
    await define([], []);
    await world.drain();
    expect(await world.db.query('SELECT FROM profile_search')).toEqual([]);
    expect(await world.db.query('SELECT FROM search_fields')).toEqual([]);
  });

  it('are asked for by what a feature can be', async () => {
    await define([aFeature('seen', { searchable: true }), aFeature('other'), ...OPEN.slice(-3)], []);
    await world.drain();
    await world.accept([anIdentify({ user_id: 'zoe' }), aTrack('view', { user_id: 'zoe' })]);
    await world.drain();
    const refusal = async (feature: object): Promise<string | undefined> => {
      const query = 'query ($filter: ProfileFilter) { profiles(filter: $filter) { edges { cursor } } }';
      return (await world.ask(query, { filter: { feature } })).errors?.[0]?.message;
    };
    expect(await refusal({ name: 'other', eq: 1 })).toBe('the feature other is not searchable');
    expect(await refusal({ name: 'nothing', eq: 1 })).toBe('there is no feature nothing');
    expect(await refusal({ name: 'seen' })).toBe('nothing is asked of the feature');
    expect(await refusal({ name: 'seen', eq: 'often' })).toBe('the value is no number');
    expect(await refusal({ name: 'minutes_in_2h', eq: 'long' })).toBe('the value is no number');
    expect(await refusal({ name: 'minutes_in_2h', prefix: '1' })).toBe('the feature is a number');
    expect(await refusal({ name: 'is_gift', gte: 1 })).toBe('the value is neither true nor false');
    expect(await refusal({ name: 'minutes_in_2h', lt: 0.5, gt: -0.5 })).toBeUndefined();
    const query = '{ profiles(orderBy: { by: FEATURE }) { edges { cursor } } }';
    expect((await world.ask(query)).errors?.[0]?.message).toBe('the name of a feature goes with the order FEATURE');
  });
});
