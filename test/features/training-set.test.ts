import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EventHistoryReader } from '../../src/events/event-history.reader.js';
import type { IncomingEvent, LoggedEvent } from '../../src/events/event.model.js';
import type { FeatureDefinition, FeatureValue } from '../../src/features/feature.model.js';
import { naiveValue, type NaiveWorld } from '../support/naive-features.js';
import { valuesOf } from '../../src/features/training-set-fold.js';
import type { KnownAsOf, LabelRow, TrainingRow } from '../../src/features/training-set.model.js';
import { TrainingSetService } from '../../src/features/training-set.service.js';
import { DEFAULT_IDENTITY_RULES } from '../../src/identity/identity-rules.model.js';
import type { RevisionInputOf } from '../../src/identity/identity-revision.model.js';
import { IdentityHistoryReader } from '../../src/identity/identity-history.reader.js';
import { hashId } from '../../src/platform/ids.js';
import { identifierKey, profileKey, unpackSnapshot } from '../../src/segments/profile-snapshot.model.js';
import { aFeature } from '../support/a-feature.js';
import { aPurpose } from '../support/a-purpose.js';
import { readLog } from '../support/tracking-server.js';
import { aTrack, createWorld, DAY_MS, HOUR_MS, MINUTE_MS, type World } from '../support/world.js';

const WHERE = 'properties.v > 0.0';

const FEATURES: readonly FeatureDefinition[] = [
  aFeature('views_1h', { events: ['view'], windowMs: HOUR_MS }),
  aFeature('events_1d', { windowMs: DAY_MS }),
  aFeature('positive_views', { events: ['view'], where: WHERE }),
  aFeature('web_events', { source: 'web' }),
  aFeature('spend', { aggregate: 'sum', events: ['buy'], value: 'properties.v', type: 'double' }),
  aFeature('spend_30d', {
    aggregate: 'sum',
    events: ['buy'],
    value: 'properties.v',
    type: 'double',
    windowMs: 30 * DAY_MS,
  }),
  aFeature('average', { aggregate: 'avg', value: 'properties.v', type: 'double', windowMs: DAY_MS }),
  aFeature('least', { aggregate: 'min', value: 'properties.v', type: 'double', windowMs: DAY_MS }),
  aFeature('largest', { aggregate: 'max', value: 'properties.v', type: 'double' }),
  aFeature('first_page', { aggregate: 'first', value: 'properties.s', type: 'string', windowMs: DAY_MS }),
  aFeature('last_page', { aggregate: 'last', value: 'properties.s', type: 'string' }),
  aFeature('pages', { aggregate: 'distinct', value: 'properties.s', windowMs: 7 * DAY_MS }),
  aFeature('hours_since', { aggregate: 'recency', unitMs: HOUR_MS }),
  aFeature('record_page', { aggregate: 'row', value: 'properties.s', type: 'string', options: { ttlMs: DAY_MS } }),
  aFeature('by_page', { type: 'int_map', windowMs: 7 * DAY_MS, options: { by: 'properties.s' } }),
  aFeature('spend_on_one', {
    aggregate: 'sum',
    value: 'properties.v',
    type: 'double',
    options: { by: 'properties.s', key: 'x' },
  }),
  aFeature('last_pages', { aggregate: 'last_n', value: 'properties.s', limit: 3, type: 'string_list' }),
  aFeature('top_pages', { aggregate: 'top_k', value: 'properties.s', limit: 2, type: 'string_list', windowMs: DAY_MS }),
  aFeature('per_day', { aggregate: 'rate', windowMs: 7 * DAY_MS, unitMs: DAY_MS, type: 'double' }),
  aFeature('views_of_all', {
    aggregate: 'ratio',
    type: 'double',
    options: { numerator: aFeature('n', { events: ['view'] }), denominator: aFeature('d', { windowMs: 30 * DAY_MS }) },
  }),
  aFeature('last_times', { aggregate: 'times', limit: 3, windowMs: DAY_MS, type: 'times' }),
];
const NAMES = FEATURES.map((definition) => definition.name);

let world: World;
let history: EventHistoryReader;
let sourceIds: ReadonlyMap<string, number>;

beforeAll(async () => {
  world = await createWorld();
  history = new EventHistoryReader();
  for (const source of ['web', 'shop']) await world.accept([], { source });
  const sources = await world.db.query<{ id: number; key: string }>('SELECT id, key FROM sources');
  sourceIds = new Map(sources.map(({ id, key }) => [key, id]));
  await world.defineFeatures(FEATURES);
});
afterAll(() => world.close());

function service(more: { chunkRows?: number; maxReplayRows?: number } = {}): TrainingSetService {
  const { maxReplayRows, ...rest } = more;
  return new TrainingSetService({
    db: world.db,
    clock: world.clock,
    policy: world.engine.policy,
    events: history,
    identity: new IdentityHistoryReader({
      rules: DEFAULT_IDENTITY_RULES,
      events: history,
      ...(maxReplayRows === undefined ? undefined : { maxReplayRows }),
    }),
    ...rest,
  });
}

interface Ask {
  readonly ns: string;
  readonly value: string;
  readonly timeMs: number;
}

async function exported(asks: readonly Ask[], knownAsOf: KnownAsOf, using = service()): Promise<TrainingRow[]> {
  const labels = asks.map((ask, i): LabelRow => ({ ...ask, cells: [String(i)] }));
  const { rows } = await using.exportTrainingSet({ labels, features: NAMES, knownAsOf });
  const all: TrainingRow[] = [];
  for await (const row of rows) all.push(row);
  expect(all.map((row) => row.label)).toEqual(labels);
  return all;
}

type Answer = [string, unknown, number | null, boolean];

const answers = (values: readonly Omit<FeatureValue, 'validUntil'>[]): Answer[] =>
  values.map(({ status, value, eventTs, approximate }) => [status, value, eventTs, approximate]);

/** What the online store holds of an identifier, evaluated as of `timeMs`; null where it holds nothing. */
async function online({ ns, value }: Omit<Ask, 'timeMs'>, timeMs: number): Promise<Answer[] | null> {
  const [entry] = await world.store.getMany([identifierKey(hashId(ns, value))]);
  if (entry == null) return null;
  const { features } = await world.engine.definitions.current();
  let id = entry.bytes.toString();
  for (;;) {
    const [profile] = await world.store.getMany([profileKey(id)]);
    if (profile == null) throw new Error('an identifier points to no profile');
    const snapshot = unpackSnapshot(profile.bytes);
    if ('alias' in snapshot) {
      id = snapshot.alias;
      continue;
    }
    const values = valuesOf(features, features.decode(snapshot.profile.state), timeMs);
    return answers(NAMES.map((name) => values[features.indexOf(name) ?? -1] as FeatureValue));
  }
}

/** By definition, over the events of these anchors that were accepted by then. */
function naive(events: readonly LoggedEvent[], anchors: ReadonlySet<string>, timeMs: number): Answer[] {
  const naiveWorld: NaiveWorld = {
    events: events.filter((event) => anchors.has(event.identifiers[0]?.id ?? '')),
    sourceIds,
    filters: new Map([[WHERE, ({ properties: { v } }) => typeof v === 'number' && v > 0]]),
  };
  return answers(FEATURES.map((definition) => naiveValue(definition, naiveWorld, timeMs + 1)));
}

/** Identifiers by profile, as the database has them now. */
async function partition(): Promise<Map<string, Set<string>>> {
  const rows = await world.db.query<{ id: string; profile_id: string }>('SELECT id, profile_id FROM identifiers');
  const byProfile = new Map<string, Set<string>>();
  for (const row of rows) byProfile.set(row.profile_id, (byProfile.get(row.profile_id) ?? new Set()).add(row.id));
  return new Map(rows.map((row) => [row.id, byProfile.get(row.profile_id) ?? new Set()]));
}

/** Two users, so that some histories break the limit of one user_id a person. */
const PEOPLE = [
  ['user_id', 'u1'],
  ['user_id', 'u2'],
  ['email', 'e1'],
  ['anonymous_id', 'a1'],
  ['anonymous_id', 'a2'],
  ['anonymous_id', 'a3'],
] as const;

const event = fc.record({
  who: fc.uniqueArray(fc.nat(PEOPLE.length - 1), { minLength: 1, maxLength: 3 }),
  name: fc.constantFrom('view', 'buy', 'other'),
  /** Late by this much. */
  lateMs: fc.constantFrom(0, 0, 1, 5 * MINUTE_MS, 3 * HOUR_MS, 2 * DAY_MS, 40 * DAY_MS),
  source: fc.constantFrom('web', 'shop'),
  v: fc.constantFrom<(number | null)[]>(1.5, -2, 10, 0.25, null),
  s: fc.constantFrom<(string | null)[]>('x', 'y', 'z', null),
});
const step = fc.record({
  waitMs: fc.constantFrom(0, 1, MINUTE_MS, 7 * MINUTE_MS, HOUR_MS, 13 * HOUR_MS, 3 * DAY_MS),
  events: fc.array(event, { maxLength: 6 }),
});
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

let run = 0;

function incoming(step: Step, prefix: string): Map<string, IncomingEvent[]> {
  const bySource = new Map<string, IncomingEvent[]>();
  for (const { who, name, lateMs, source, v, s } of step.events) {
    const identifiers = who.map((i) => ({ ns: PEOPLE[i]?.[0] ?? '', value: identifier(i, prefix) }));
    const timestampMs = world.clock.now() - lateMs;
    const track = { ...aTrack(name, {}), identifiers, timestampMs, properties: { v, s } };
    bySource.set(source, [...(bySource.get(source) ?? []), track]);
  }
  return bySource;
}

function identifier(index: number, prefix: string): string {
  const [ns, value] = PEOPLE[index] ?? ['', ''];
  return ns === 'email' ? `${value}.${prefix}@example.org` : `${prefix}-${value}`;
}

describe('a training set', () => {
  it('holds what was served online at each T, and what the definitions say', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 8 }), fc.nat(), async (steps, seed) => {
        const prefix = `r${String(run++)}`;
        world.clock.advance(50 * DAY_MS);
        const before = (await world.engine.log.head()).pos;
        const asks = PEOPLE.map(([ns], i) => ({ ns, value: identifier(i, prefix) }));
        const served: {
          ask: Ask;
          answer: Answer[] | null;
          anchors: ReadonlySet<string> | undefined;
          accepted: number;
        }[] = [];
        for (const each of steps) {
          world.clock.advance(each.waitMs);
          for (const [source, events] of incoming(each, prefix)) {
            const results = await world.accept(events, { source });
            expect(results.every((result) => result.status === 'accepted')).toBe(true);
          }
          await world.drain();
          const groups = await partition();
          const timeMs = world.clock.now();
          for (const ask of asks) {
            const anchors = groups.get(hashId(ask.ns, ask.value));
            const answer = await online(ask, timeMs);
            served.push({ ask: { ...ask, timeMs }, answer, anchors, accepted: (await world.engine.log.head()).pos });
          }
          // A later step at the same instant accepts events that are known then, too.
          world.clock.advance(1);
        }
        const events = await readLog(world.engine.log, before);
        const empty = naive([], new Set(), 0);

        // At every instant, as it was known then.
        const chunkRows = 1 + (seed % 40);
        const then = await exported(
          served.map(({ ask }) => ask),
          'event-time',
          service({ chunkRows }),
        );
        served.forEach(({ answer }, i) => {
          expect(answers(then[i]?.values ?? [])).toEqual(answer ?? empty);
          expect(then[i]?.status).toBe(answer === null ? 'NOT_FOUND' : 'FOUND');
        });

        // As it was known at one instant, at that one and before it; replayed, and as the pipeline left it.
        const cut = served[(seed % steps.length) * PEOPLE.length];
        const known = events.filter((e) => e.pos <= (cut?.accepted ?? 0));
        const cutMs = cut?.ask.timeMs ?? 0;
        const atCut = served.filter(({ ask }) => ask.timeMs === cutMs);
        const offsets = [0, 1, HOUR_MS, 3 * DAY_MS];
        const past = atCut.flatMap(({ ask, anchors }) =>
          offsets.map((offset) => ({ ask: { ...ask, timeMs: cutMs - offset }, anchors })),
        );
        const replayed = await exported(
          past.map(({ ask }) => ask),
          cutMs,
        );
        past.forEach(({ ask, anchors }, i) => {
          expect(answers(replayed[i]?.values ?? [])).toEqual(naive(known, anchors ?? new Set(), ask.timeMs));
        });
        const asLeft = await exported(
          past.map(({ ask }) => ask),
          cutMs,
          service({ maxReplayRows: 0 }),
        );
        expect(asLeft).toEqual(replayed);

        // As it is known now, at any instant.
        const groups = await partition();
        const rows = await exported(
          served.map(({ ask }) => ask),
          'now',
        );
        const end = await Promise.all(asks.map((ask) => online(ask, world.clock.now() + HOUR_MS)));
        const last = await exported(
          asks.map((ask) => ({ ...ask, timeMs: world.clock.now() + HOUR_MS })),
          'now',
        );
        served.forEach(({ ask }, i) => {
          const anchors = groups.get(hashId(ask.ns, ask.value)) ?? new Set<string>();
          expect(answers(rows[i]?.values ?? [])).toEqual(naive(events, anchors, ask.timeMs));
        });
        asks.forEach((_, i) => {
          expect(answers(last[i]?.values ?? [])).toEqual(end[i] ?? empty);
        });
      }),
      { numRuns: 25 },
    );
  }, 180_000);

  const views = (row: TrainingRow | undefined): unknown => row?.values[NAMES.indexOf('positive_views')]?.value;
  const aView = (who: Readonly<Record<string, string>>, timestampMs = world.clock.now()): IncomingEvent =>
    aTrack('view', who, { timestampMs, properties: { v: 1 } });
  const apply = async (...events: IncomingEvent[]): Promise<number> => {
    expect(await world.accept(events)).toEqual(events.map(() => ({ status: 'accepted' })));
    await world.drain();
    world.clock.advance(MINUTE_MS);
    return world.clock.now() - 1;
  };

  it('counts what happened under another identifier from the moment that the two are known to be one', async () => {
    const visited = await apply(aView({ anonymous_id: 'before-login' }), aView({ user_id: 'login' }));
    const joined = await apply(aView({ user_id: 'login', anonymous_id: 'before-login' }));
    const ask = (timeMs: number): Ask => ({ ns: 'user_id', value: 'login', timeMs });
    expect((await exported([ask(visited), ask(joined)], 'event-time')).map(views)).toEqual([1, 3]);
    expect((await exported([ask(visited), ask(joined)], 'now')).map(views)).toEqual([2, 3]);
    expect((await exported([ask(visited), ask(joined)], visited)).map(views)).toEqual([1, 1]);
  });

  it('counts what somebody decided from then on, and no longer than it stood', async () => {
    const decide = async (revision: RevisionInputOf): Promise<number> => {
      world.clock.advance(HOUR_MS);
      const { revisions } = world.engine.identity;
      const { id } = await revisions.request(revision, { actor: 'test', reason: '' });
      await world.drain();
      expect((await revisions.settled(id, { timeoutMs: 0 })).status).toBe('done');
      return world.clock.now();
    };
    const identifiers = [
      { ns: 'user_id', value: 'by-hand' },
      { ns: 'anonymous_id', value: 'by-hand' },
    ];
    const visited = await apply(aView({ user_id: 'by-hand' }), aView({ anonymous_id: 'by-hand' }));
    const merged = await decide({ kind: 'merge', input: { identifiers } });
    const [row] = await world.db.query<{ id: string }>(
      `SELECT id FROM identity_links WHERE removed_at IS NULL AND a_value = 'by-hand'`,
    );
    const unlinked = await decide({ kind: 'unlink', input: { link: row?.id ?? '' } });
    const ask = (timeMs: number): Ask => ({ ns: 'user_id', value: 'by-hand', timeMs });
    const viewsOf = async (knownAsOf: KnownAsOf) =>
      (await exported([ask(visited), ask(merged), ask(unlinked)], knownAsOf)).map(views);
    expect(await viewsOf('event-time')).toEqual([1, 2, 1]);
    expect(await viewsOf('now')).toEqual([1, 1, 1]);
    expect(await viewsOf(merged)).toEqual([2, 2, 2]);
    expect(await viewsOf(visited)).toEqual([1, 1, 1]);

    const joined = await apply(aView({ user_id: 'by-hand', anonymous_id: 'by-hand' }));
    const profile = (
      await world.db.query<{ id: string }>(
        `SELECT profile_id AS id FROM identifiers WHERE ns = 'user_id' AND value = 'by-hand'`,
      )
    )[0]?.id;
    const apart = await decide({
      kind: 'unmerge',
      input: { profile: profile ?? '', identifiers: [{ ns: 'anonymous_id', value: 'by-hand' }] },
    });
    const later = await exported([ask(joined), ask(apart)], 'event-time');
    expect(later.map(views)).toEqual([3, 2]);
  });

  it('does not let a late event change who was who before it came', async () => {
    world.clock.advance(2 * DAY_MS - (world.clock.now() % DAY_MS));
    const dayMs = world.clock.now();
    world.clock.advance(20 * HOUR_MS);
    await apply(aView({ user_id: 'late-1', anonymous_id: 'late-a' }, dayMs + 12 * HOUR_MS));
    // The cookie was seen with the second user first, so it is theirs …
    const late2 = aView({ user_id: 'late-2', anonymous_id: 'late-a' }, dayMs + 10 * HOUR_MS);
    const known = await apply(late2, aView({ user_id: 'late-2' }, dayMs + 11 * HOUR_MS));
    const ask: Ask = { ns: 'anonymous_id', value: 'late-a', timeMs: known };
    const viewsOf = async (knownAsOf: KnownAsOf) => (await exported([ask], knownAsOf)).map(views);
    expect(await viewsOf('now')).toEqual([2]);
    // … until it is learned that the first user was there still earlier.
    const earlier = Array.from({ length: 4 }, () => aView({ user_id: 'late-1' }, dayMs + 9 * HOUR_MS));
    await apply(aView({ user_id: 'late-1', anonymous_id: 'late-a' }, dayMs + 9 * HOUR_MS), ...earlier);
    expect(await viewsOf('now')).toEqual([6]);
    expect(await viewsOf(known)).toEqual([2]);
    expect(await viewsOf('event-time')).toEqual([2]);
  });

  it('keeps the rows of those whom nobody knows', async () => {
    const timeMs = await apply(aView({ user_id: 'known' }));
    const asks = [
      { ns: 'user_id', value: 'nobody', timeMs },
      { ns: 'user_id', value: 'known', timeMs },
      { ns: 'email', value: 'not an address', timeMs },
      { ns: 'user_id', value: 'known', timeMs: 0 },
    ];
    const rows = await exported(asks, 'now', service({ chunkRows: 3 }));
    expect(rows.map((row) => row.status)).toEqual(['NOT_FOUND', 'FOUND', 'INVALID', 'FOUND']);
    expect(rows.map(views)).toEqual([0, 1, 0, 0]);
    expect(rows.map((row) => row.profileId === null)).toEqual([true, false, true, false]);
    expect(rows[3]?.profileId).toBe(rows[1]?.profileId);
    const lastPage = NAMES.indexOf('last_page');
    expect(rows[0]?.values[lastPage]).toMatchObject({ status: 'NOT_FOUND', value: null });
  });

  it('normalises identifiers as those of events are', async () => {
    const timeMs = await apply(aView({ email: 'Ada@Example.org' }));
    const [row] = await exported([{ ns: 'email', value: '  ADA@example.org ', timeMs }], 'now');
    expect(views(row)).toBe(1);
  });

  it('leaves out what was accepted and not applied, and says how much', async () => {
    const timeMs = await apply(aView({ user_id: 'waiting' }));
    await world.accept([aView({ user_id: 'waiting' })]);
    const labels = [{ ns: 'user_id', value: 'waiting', timeMs: timeMs + HOUR_MS, cells: [] }];
    const cut = await service().exportTrainingSet({ labels, features: ['positive_views'] });
    await world.drain();
    expect(cut.plan.waitingEvents).toBe(1);
    for await (const row of cut.rows) expect(row.values[0]?.value).toBe(1);
    const whole = await service().exportTrainingSet({ labels, features: ['positive_views'] });
    expect(whole.plan.waitingEvents).toBe(0);
    for await (const row of whole.rows) expect(row.values[0]?.value).toBe(2);
  });

  it('leaves out events that could not be applied', async () => {
    await world.accept([aView({ user_id: 'poisoned' })]);
    const { pos } = await world.engine.log.head();
    const timeMs = await apply(aView({ user_id: 'poisoned' }));
    await world.db.query(
      `INSERT INTO dead_letters (stage, code, reason, pos, received_at, payload) VALUES ('apply', 'X', 'x', $1, 0, '')`,
      [pos],
    );
    const [row] = await exported([{ ns: 'user_id', value: 'poisoned', timeMs }], 'now');
    expect(views(row)).toBe(1);
  });

  it('reports progress, and stops when it is told to', async () => {
    const timeMs = await apply(aView({ user_id: 'progress' }));
    const label = (value: string, more = 0): LabelRow => ({ ns: 'user_id', value, timeMs: timeMs + more, cells: [] });
    const labels = [label('progress'), label('nobody'), label('progress', DAY_MS)];
    const stop = new AbortController();
    const seen: unknown[] = [];
    const { rows } = await service({ chunkRows: 2 }).exportTrainingSet({
      labels,
      features: ['positive_views'],
      signal: stop.signal,
      onProgress: (progress) => seen.push(progress),
    });
    await rows.next();
    await rows.next();
    const third = await rows.next();
    expect(third.done).toBe(false);
    expect(seen).toEqual([{ rows: 2, events: 1, notFound: 1, invalid: 0, future: 0 }]);
    await rows.next();
    expect(seen[1]).toEqual({ rows: 3, events: 2, notFound: 1, invalid: 0, future: 1 });
    stop.abort();
    const stopped = await service().exportTrainingSet({ labels, features: NAMES, signal: stop.signal });
    await expect(stopped.rows.next()).rejects.toThrow('aborted');
  });

  it('says which service or feature there is not, and which was meant', async () => {
    const asked = (request: { service?: string; features?: string[]; knownAsOf?: KnownAsOf }) =>
      service().exportTrainingSet({ labels: [], ...request });
    await expect(asked({ features: ['positive_view'] })).rejects.toMatchObject({
      code: 'NOT_FOUND',
      hint: 'did you mean positive_views?',
    });
    await expect(asked({ service: 'intent' })).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(asked({})).rejects.toMatchObject({ code: 'BAD_REQUEST' });
    const knownAsOf = world.clock.now() + 1;
    await expect(asked({ features: ['spend'], knownAsOf })).rejects.toMatchObject({ code: 'BAD_REQUEST' });
  });
});

describe('a training set of features that need consent', () => {
  it('has no value of them at times when the person did not allow it, and says which rows these are', async () => {
    const consents = await createWorld();
    try {
      await consents.engine.services.purposes.apply([aPurpose('ads', { expiresAfterDays: 1 })]);
      const view = { description: '', source: null };
      await consents.engine.services.features.apply({
        views: [
          { ...view, name: 'open', features: [aFeature('seen', { view: 'open' })] },
          { ...view, name: 'gated', features: [aFeature('ads', { view: 'gated' })], purposes: ['ads'] },
        ],
        services: [],
      });
      const start = consents.clock.now();
      const who = { user_id: 'ann' };
      const says = (ads: boolean, more: Partial<IncomingEvent> = {}): IncomingEvent =>
        aTrack('choose', who, { context: { consent: { purposes: { ads } } }, ...more });
      await consents.accept([says(true), aTrack('view', { user_id: 'bob' })]);
      consents.clock.advance(HOUR_MS);
      await consents.accept([says(false)]);
      consents.clock.advance(HOUR_MS);
      await consents.accept([says(true)]);
      consents.clock.advance(2 * DAY_MS);
      // What she said in between is heard of only now.
      await consents.accept([says(true, { timestampMs: start + HOUR_MS + MINUTE_MS })]);
      await consents.drain();
      const labels = [0, HOUR_MS - 1, HOUR_MS, HOUR_MS + MINUTE_MS, 2 * HOUR_MS, 2 * HOUR_MS + DAY_MS - 2]
        .concat(2 * HOUR_MS + DAY_MS - 1)
        .map((ms): LabelRow => ({ ns: 'user_id', value: 'ann', timeMs: start + ms, cells: [] }));
      const others = ['bob', 'nobody'].map((value) => ({ ...(labels[2] as LabelRow), value }));
      const events = new EventHistoryReader();
      const sets = new TrainingSetService({
        ...{ db: consents.db, clock: consents.clock, policy: consents.engine.policy, events },
        identity: new IdentityHistoryReader({ rules: DEFAULT_IDENTITY_RULES, events }),
      });
      const rowsAsOf = async (knownAsOf: KnownAsOf): Promise<string[]> => {
        const all = [...labels, ...others];
        const request = { labels: all, features: ['seen', 'ads'], knownAsOf, consentAsOf: 'time' } as const;
        const { rows } = await sets.exportTrainingSet(request);
        const told: string[] = [];
        for await (const { status, values } of rows) {
          told.push([status, ...values.map(({ value }) => (value === null ? '' : JSON.stringify(value)))].join(' '));
        }
        return told;
      };
      const ends = ['WITHHELD 1 ', 'NOT_FOUND 0 '];
      expect(await rowsAsOf('now')).toEqual([
        ...['FOUND 1 1', 'FOUND 1 1', 'WITHHELD 2 ', 'FOUND 3 3', 'FOUND 4 4', 'FOUND 4 4', 'WITHHELD 4 '],
        ...ends,
      ]);
      expect(await rowsAsOf('event-time')).toEqual([
        ...['FOUND 1 1', 'FOUND 1 1', 'WITHHELD 2 ', 'WITHHELD 2 ', 'FOUND 3 3', 'FOUND 3 3', 'WITHHELD 3 '],
        ...ends,
      ]);
    } finally {
      await consents.close();
    }
  });
});
