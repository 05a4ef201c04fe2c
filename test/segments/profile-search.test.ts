import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hashId, type Uuid } from '../../src/platform/ids.js';
import { SearchFieldReader } from '../../src/profiles/search-field.reader.js';
import {
  ALL_KEYS,
  keyRange,
  listItemKey,
  ORDERED_KEYS,
  prefixRange,
  scalarKey,
  searchKeys,
  type KeyRange,
} from '../../src/profiles/search-key.model.js';
import {
  EVERYBODY,
  termOf,
  type FilterTerm,
  type ProfileFilter,
  type SearchOrder,
  type SearchPlace,
} from '../../src/segments/profile-filter.model.js';
import { ProfileSearchReader, type SearchBounds } from '../../src/segments/profile-search.reader.js';
import { pick, randomFrom } from '../support/random-log.js';
import { anIdentify, aTrack, createWorld, MINUTE_MS, START_MS, type World } from '../support/world.js';

/* Pages and counts against a look at every profile, with bounds within which all of them are few, and all are many. */

const TRAITS = ['plan', 'age', 'tags'] as const;
const BOUNDS: readonly SearchBounds[] = [
  { maxCollected: 1_000, maxLookedAt: 1_000, maxCounted: 1_000 },
  { maxCollected: 4, maxLookedAt: 7, maxCounted: 10 },
  { maxCollected: 0, maxLookedAt: 7, maxCounted: 3 },
];

interface Known {
  readonly id: Uuid;
  readonly createdAt: number;
  readonly identifiers: readonly { readonly id: Uuid; readonly ns: string; readonly value: string }[];
  /** By field. */
  readonly keys: ReadonlyMap<number, readonly Buffer[]>;
  readonly segments: ReadonlyMap<number, number>;
}

let world: World;
let all: readonly Known[];
let fieldIds: readonly number[];
let segmentIds: readonly number[];

beforeAll(async () => {
  world = await createWorld();
  await world.engine.services.traits.apply(
    TRAITS.map((name) => ({ name, description: '', edge: false, searchable: true })),
  );
  await world.defineSegment('keen', 'count("view", "30d") >= 1');
  await world.defineSegment('pros', 'traits.plan == "pro"');
  const random = randomFrom(51);
  for (let i = 0; i < 40; i++) {
    const who = { user_id: `u${String(i)}`, ...(random() < 0.5 ? { email: `p${String(i)}@example.com` } : {}) };
    const traits = {
      ...(random() < 0.8 ? { plan: pick(random, ['pro', 'Pro', 'free', 'PROFI']) } : {}),
      ...(random() < 0.8 ? { age: pick(random, [18, 18, 40, '40', null]) } : {}),
      ...(random() < 0.5 ? { tags: pick(random, [['a', 'b'], ['b'], [], ['c', 'C']]) } : {}),
    };
    await world.accept([random() < 0.3 ? aTrack('view', who, { traits }) : anIdentify(who, traits)]);
    // Some are made at one instant.
    if (random() < 0.5) world.clock.advance(MINUTE_MS);
  }
  // An alias, who is nobody any more.
  await world.accept([
    anIdentify({ user_id: 'u3', email: 'p4@example.com' }),
    anIdentify({ email: 'p4@example.com', user_id: 'u4' }),
  ]);
  await world.drain();
  const fields = await new SearchFieldReader(world.db).standing();
  fieldIds = TRAITS.map((name) => fields.get(name)?.id ?? 0);
  segmentIds = (await world.db.query<{ id: number }>('SELECT id FROM segments ORDER BY id')).map(({ id }) => id);
  all = await everybody();
});

afterAll(() => world.close());

async function everybody(): Promise<Known[]> {
  const { db, engine } = world;
  const rows = await db.query<{ id: Uuid; createdAt: number }>(
    'SELECT id, created_at AS "createdAt" FROM profiles WHERE merged_into IS NULL',
  );
  const identifiers = await db.query<{ id: Uuid; ns: string; value: string; profileId: Uuid }>(
    'SELECT id, ns, value, profile_id AS "profileId" FROM identifiers',
  );
  const memberships = await db.query<{ profileId: Uuid; segmentId: number; since: number }>(
    'SELECT profile_id AS "profileId", segment_id AS "segmentId", since FROM memberships',
  );
  await engine.definitions.current();
  const stored = await db.query<{ profileId: Uuid; fieldId: number; key: Buffer }>(
    'SELECT profile_id AS "profileId", field_id AS "fieldId", key FROM profile_search',
  );
  return rows.map(({ id, createdAt }) => ({
    id,
    createdAt,
    identifiers: identifiers.filter(({ profileId }) => profileId === id),
    keys: new Map(
      fieldIds.map((fieldId) => [
        fieldId,
        stored.filter((row) => row.profileId === id && row.fieldId === fieldId).map(({ key }) => key),
      ]),
    ),
    segments: new Map(memberships.filter((m) => m.profileId === id).map((m) => [m.segmentId, m.since])),
  }));
}

const isIn = (key: Buffer, { from, to }: KeyRange): boolean =>
  Buffer.compare(from, key) <= 0 && Buffer.compare(key, to) < 0;

function holdsTerm(term: FilterTerm, known: Known): boolean {
  switch (term.kind) {
    case 'keys':
      return (known.keys.get(term.fieldId) ?? []).some((key) => term.keys.some((each) => each.equals(key)));
    case 'range':
      return (known.keys.get(term.fieldId) ?? []).some((key) => isIn(key, term.range));
    case 'identifiers':
      return known.identifiers.some(({ id }) => term.ids.includes(id));
    case 'identifier_prefix':
      return known.identifiers.some(({ ns, value }) => ns === term.namespace && value.startsWith(term.prefix));
    case 'segments':
      return term.ids.some((id) => {
        const since = known.segments.get(id);
        return since !== undefined && since >= term.fromMs && since < term.toMs;
      });
    case 'created':
      return known.createdAt >= term.fromMs && known.createdAt < term.toMs;
  }
}

function holds(filter: ProfileFilter, known: Known): boolean {
  switch (filter.kind) {
    case 'term':
      return holdsTerm(filter.term, known);
    case 'not':
      return !holds(filter.of, known);
    case 'and':
      return filter.all.every((part) => holds(part, known));
    case 'or':
      return filter.all.some((part) => holds(part, known));
  }
}

/** What a profile is in order by; null: it is not in it. */
function keyIn(order: SearchOrder, { keys, createdAt }: Known): SearchPlace['key'] | 'none' {
  if (order.by === 'id') return null;
  if (order.by === 'created') return createdAt;
  return (keys.get(order.fieldId) ?? []).find((key) => isIn(key, ORDERED_KEYS)) ?? 'none';
}

function expected(filter: ProfileFilter, order: SearchOrder): Uuid[] {
  const places = all.flatMap((known) => {
    const key = keyIn(order, known);
    return key === 'none' || !holds(filter, known) ? [] : [{ id: known.id, key }];
  });
  const compared = (a: SearchPlace, b: SearchPlace): number => {
    const keys =
      Buffer.isBuffer(a.key) && Buffer.isBuffer(b.key) ? Buffer.compare(a.key, b.key) : Number(a.key) - Number(b.key);
    return keys !== 0 ? keys : a.id < b.id ? -1 : 1;
  };
  const ids = places.sort(compared).map(({ id }) => id);
  return order.descending ? ids.reverse() : ids;
}

async function found(reader: ProfileSearchReader, filter: ProfileFilter, order: SearchOrder, limit: number) {
  const ids: Uuid[] = [];
  for (let after: SearchPlace | null = null, pages = 0; pages < 200; pages++) {
    const { places, stoppedAt } = await reader.page({ filter, order, after, limit });
    expect(places.length).toBeLessThanOrEqual(limit + 1);
    const page = places.slice(0, limit);
    ids.push(...page.map(({ id }) => id));
    if (places.length > limit) after = page.at(-1) ?? null;
    else if (stoppedAt === null) return ids;
    else after = stoppedAt;
  }
  throw new Error('the pages have no end');
}

const range = (from: KeyRange | null): KeyRange => from ?? ALL_KEYS;
const scalar = (value: string | number): Buffer => scalarKey(value) ?? Buffer.alloc(0);

const terms = (): fc.Arbitrary<FilterTerm> => {
  const fieldId = fc.constantFrom(...fieldIds);
  const key = fc.constantFrom(
    ...['pro', 'FREE', '40', 18, 40, 99].map(scalar),
    ...['a', 'b', 'c'].map((item) => listItemKey(scalar(item))),
  );
  const instant = fc.integer({ min: -5, max: 30 }).map((minutes) => START_MS + minutes * MINUTE_MS + 1);
  const id = fc.integer({ min: 0, max: 45 });
  return fc.oneof(
    fc.record({
      kind: fc.constant('keys' as const),
      fieldId,
      keys: fc.uniqueArray(key, { minLength: 1, maxLength: 3 }),
    }),
    fc.record({
      kind: fc.constant('range' as const),
      fieldId,
      range: fc.oneof(
        fc.constantFrom('p', 'PRO', 'x').map((text) => range(prefixRange(text))),
        fc.tuple(key, key).map(([from, to]) => ({ from, to: keyRange(to).to })),
        fc.constant(ALL_KEYS),
      ),
    }),
    fc.record({
      kind: fc.constant('identifiers' as const),
      ids: fc.array(
        id.map((n) => hashId('user_id', `u${String(n)}`)),
        { minLength: 1, maxLength: 3 },
      ),
    }),
    fc.record({
      kind: fc.constant('identifier_prefix' as const),
      namespace: fc.constantFrom('user_id', 'email'),
      prefix: fc.constantFrom('', 'u1', 'p2', 'U'),
    }),
    fc.record({
      kind: fc.constant('segments' as const),
      ids: fc.subarray([...segmentIds], { minLength: 1 }),
      fromMs: fc.oneof(fc.constant(0), instant),
      toMs: fc.oneof(fc.constant(Number.MAX_SAFE_INTEGER), instant),
    }),
    fc.record({ kind: fc.constant('created' as const), fromMs: fc.oneof(fc.constant(0), instant), toMs: instant }),
  );
};

const filters = (): fc.Arbitrary<ProfileFilter> =>
  fc.letrec<{ filter: ProfileFilter }>((tie) => ({
    filter: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      terms().map(termOf),
      fc.record({
        kind: fc.constantFrom('and' as const, 'or' as const),
        all: fc.array(tie('filter'), { minLength: 1, maxLength: 3 }),
      }),
      fc.record({ kind: fc.constant('not' as const), of: tie('filter') }),
    ),
  })).filter;

const orders = (): fc.Arbitrary<SearchOrder> =>
  fc
    .tuple(fc.constantFrom('id' as const, 'created' as const, ...fieldIds), fc.boolean())
    .map(([by, descending]) =>
      typeof by === 'number' ? { by: 'field', fieldId: by, descending } : { by, descending },
    );

describe('a search for profiles', () => {
  it('finds whom a look at each of them finds, once each and in order, on pages of any size', async () => {
    expect(all.length).toBeGreaterThan(30);
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(fc.constant(EVERYBODY), filters()),
        orders(),
        fc.constantFrom(1, 3, 50),
        fc.constantFrom(...BOUNDS),
        async (filter, order, limit, bounds) => {
          const reader = new ProfileSearchReader(world.db, bounds);
          expect(await found(reader, filter, order, limit)).toEqual(expected(filter, order));
        },
      ),
      { numRuns: 150 },
    );
  });

  it('ends also where one of several conditions is enough', async () => {
    const term = termOf({ kind: 'identifier_prefix', namespace: 'user_id', prefix: '' });
    const filter: ProfileFilter = { kind: 'or', all: [term, term] };
    const order: SearchOrder = { by: 'id', descending: false };
    expect(await found(new ProfileSearchReader(world.db), filter, order, 1)).toEqual(expected(filter, order));
  });

  it('counts them exactly, or says that there are more', async () => {
    await fc.assert(
      fc.asyncProperty(filters(), fc.constantFrom(...BOUNDS), async (filter, bounds) => {
        const { value, relation } = await new ProfileSearchReader(world.db, bounds).count(filter);
        const actual = all.filter((known) => holds(filter, known)).length;
        if (relation === 'exact') expect(value).toBe(actual);
        else expect(value).toBeLessThanOrEqual(actual);
        if (bounds.maxCollected > all.length) expect(relation).toBe('exact');
      }),
      { numRuns: 60 },
    );
  });

  it('is by keys that are those of the values', async () => {
    const [plan = 0] = fieldIds;
    const filter = termOf({ kind: 'keys', fieldId: plan, keys: searchKeys('PRO') });
    const ids = await found(new ProfileSearchReader(world.db), filter, { by: 'id', descending: false }, 100);
    const rows = await world.db.query<{ value: string }>(
      `SELECT value FROM identifiers WHERE ns = 'user_id' AND profile_id = ANY ($1::uuid[])`,
      [ids],
    );
    expect(rows.length).toBe(ids.length);
    expect(ids.length).toBeGreaterThan(3);
  });
});
