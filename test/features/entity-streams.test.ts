import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EventHistoryReader } from '../../src/events/event-history.reader.js';
import type { FeatureDefinition, FeatureEvent, FeatureValue } from '../../src/features/feature.model.js';
import { ItemHistories } from '../../src/features/item-histories.js';
import { parseFeatures } from '../../src/features/parse-features.js';
import { chooseItems, ItemWalk } from '../../src/item-walk.js';
import { ItemParitySampler, type ItemOfView, type ItemParityRound } from '../../src/item-parity-sampler.js';
import { ParityWatch } from '../../src/parity-watch.js';
import { TrainingSetService } from '../../src/features/training-set.service.js';
import type { TrainingSetRequest } from '../../src/features/training-set-request.model.js';
import { IdentityHistoryReader } from '../../src/identity/identity-history.reader.js';
import { DEFAULT_IDENTITY_RULES } from '../../src/identity/identity-rules.model.js';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import type { Database, Transaction } from '../../src/platform/postgres.js';
import { hashId } from '../../src/platform/ids.js';
import { drainUntil } from '../support/drain-until.js';
import { findTexts } from '../support/find-texts.js';
import { naiveValue } from '../support/naive-features.js';
import { aTrack, DAY_MS, HOUR_MS, MINUTE_MS } from '../support/world.js';

/* Features of items that are computed from what people do. */

const LONG = 'properties.secs >= 30.0';
const VIEWS = `views:
  - name: article_reads
    entity: article
    key: properties.article
    features:
      - { name: reads_1h, aggregate: count, events: [read], window: 1h }
      - { name: reads_ever, aggregate: count, events: [read] }
      - { name: likes_1d, aggregate: count, events: [like], window: 1d }
      - { name: likes_by_read, aggregate: ratio, numerator: likes_1d, denominator: reads_ever }
      - { name: readers, aggregate: distinct, value: properties.reader, events: [read] }
      - { name: secs_mean, aggregate: avg, value: properties.secs, window: 6h }
      - { name: last_reader, aggregate: last, value: properties.reader, events: [read, like] }
      - { name: longest, aggregate: max, value: properties.secs, where: "${LONG}" }
  - name: article_shop
    entity: article
    key: properties.article
    source: shop
    features:
      - { name: shop_events, aggregate: count }
`;
const FACTS = `  - name: article_facts
    kind: batch
    entity: article
    source: cms
    event: article
    features:
      - { name: article_words, value: properties.words, type: int }
`;
const YAML = `entities: [{ name: article, join_key: article_id }]
${VIEWS}${FACTS}  - name: person
    features:
      - { name: person_reads, aggregate: count, events: [read] }
services:
  - { name: ranking, features: [reads_1h, readers, shop_events, article_words] }
`;

interface Sent extends FeatureEvent {
  readonly key: string | null;
  readonly acceptedAt: number;
}

let world: ApiWorld;
let definitions: readonly FeatureDefinition[];
let sourceIds: Map<string, number>;

beforeAll(async () => {
  world = await createApiWorld({ sealed: true });
  for (const key of ['web', 'shop', 'cms']) await world.services.sources.ensure({ key, kind: 'http' });
  await world.accept([], { source: 'web' });
  const parsed = parseFeatures(YAML, 'f.yaml');
  await world.engine.services.features.apply(parsed);
  definitions = parsed.views
    .filter(({ kind, entity }) => entity !== undefined && kind !== 'batch')
    .flatMap((v) => v.features);
  const rows = await world.db.query<{ id: number; key: string }>('SELECT id, key FROM sources');
  sourceIds = new Map(rows.map(({ id, key }) => [key, id]));
});

afterAll(() => world.close());

function expected(sent: readonly Sent[], key: string, t: number): Record<string, unknown> {
  const events = sent.filter((event) => event.key === key);
  const filters = new Map([[LONG, ({ properties }: FeatureEvent) => Number(properties['secs'] ?? NaN) >= 30]]);
  return Object.fromEntries(
    definitions.map((definition) => {
      const { value, status } = naiveValue(definition, { events, sourceIds, filters }, t);
      return [definition.name, { value, status }];
    }),
  );
}

async function online(keys: readonly string[]): Promise<Record<string, unknown>[]> {
  const query = `query ($keys: [String!]!, $names: [String!]!) {
    onlineFeatures(entity: "article", keys: $keys, features: $names) { features { name value status complete } } }`;
  const names = definitions.map(({ name }) => name);
  const { onlineFeatures } = await world.data<{
    onlineFeatures: { features: { name: string; value: unknown; status: string; complete: boolean }[] }[];
  }>(query, { keys, names });
  return onlineFeatures.map(({ features }) =>
    Object.fromEntries(
      features.map(({ name, value, status, complete }) => {
        expect(complete).toBe(true);
        return [name, { value, status }];
      }),
    ),
  );
}

function trainingSets(db: Database = world.db): TrainingSetService {
  const { clock, engine } = world;
  const events = new EventHistoryReader(engine.sealer);
  const identity = new IdentityHistoryReader({ rules: DEFAULT_IDENTITY_RULES, events });
  return new TrainingSetService({ db, clock, policy: engine.policy, identity, events, chunkRows: 3 });
}

async function asOf(request: TrainingSetRequest) {
  const { rows } = await trainingSets().exportTrainingSet(request);
  const found: { status: string; values: readonly FeatureValue[]; profileId: string | null }[] = [];
  for await (const row of rows) found.push(row);
  return found;
}

let run = 0;
let message = 0;

interface Drawn {
  readonly key: 'a' | 'b' | number | null;
  readonly person: number;
  readonly name: string;
  readonly source: 'web' | 'shop';
  readonly ageMs: number;
  readonly secs: number | null;
}

/** Sends events about items of this run; what the log then has. */
async function send(prefix: string, drawn: readonly Drawn[]): Promise<Sent[]> {
  const sent: Sent[] = [];
  for (const source of ['web', 'shop'] as const) {
    const events = drawn.filter((each) => each.source === source);
    const acceptedAt = world.clock.now();
    const made = events.map(({ key, person, name, ageMs, secs }) => {
      const article =
        typeof key === 'string' ? `${prefix}${key}` : key === null ? null : Number(`${prefix}${String(key)}`);
      const reader = `reader-${String(person)}`;
      const properties = { reader, ...(article === null ? {} : { article }), ...(secs === null ? {} : { secs }) };
      const messageId = `item-event-${String(message++)}`;
      const timestampMs = acceptedAt - ageMs;
      const event = aTrack(name, { user_id: reader }, { timestampMs, messageId, properties });
      sent.push({
        ...{ type: 'track', name, messageId, properties, traits: {}, context: {}, acceptedAt },
        sourceId: sourceIds.get(source) ?? 0,
        occurredAt: timestampMs,
        key: article === null ? null : String(article),
      });
      return event;
    });
    const results = await world.accept(made, { source });
    expect(results.map(({ status }) => status)).toEqual(made.map(() => 'accepted'));
  }
  return sent;
}

const event: fc.Arbitrary<Drawn> = fc.record({
  key: fc.constantFrom('a' as const, 'a' as const, 'b' as const, 7, null),
  person: fc.nat(3),
  name: fc.constantFrom('read', 'read', 'like', 'other'),
  source: fc.constantFrom('web' as const, 'web' as const, 'shop' as const),
  ageMs: fc.constantFrom(0, 0, 1, 7 * MINUTE_MS, HOUR_MS, 5 * HOUR_MS, 30 * HOUR_MS),
  secs: fc.option(fc.constantFrom(5, 30, 31.25)),
});
const step = fc.record({
  events: fc.array(event, { maxLength: 5 }),
  laterMs: fc.constantFrom(1, MINUTE_MS, 61 * MINUTE_MS, DAY_MS),
  isApplied: fc.boolean(),
  /** Which of those that are there are taken back, counted from the last. */
  taken: fc.option(fc.nat(6), { freq: 3 }),
});

// First: where a retention has removed events, as others do here, what is counted for ever can be compared no more.
describe('comparing features of items with what the log gives', () => {
  const sampler = (maxEvents?: number) =>
    new ItemParitySampler({
      maxEvents,
      db: world.db,
      clock: world.clock,
      definitions: () => world.engine.definitions.current(),
      events: new EventHistoryReader(world.engine.sealer),
    });
  const chosen = async (keys: readonly string[]) => {
    const definitions = await world.engine.definitions.current();
    const meanings = definitions.entities.get('article')?.folds.map(({ meaning }) => meaning) ?? [];
    const items = await chooseItems(world.db, meanings, 10_000, 1);
    return items.filter(({ key }) => keys.includes(key));
  };
  const wrongIn = ({ figures }: ItemParityRound): string[] =>
    figures.filter((each) => each.mismatched + each.missing > 0).map(({ feature }) => feature);
  const drawn = { name: 'read', source: 'web', ageMs: 0, secs: 40, key: 'a', person: 200 } as const;

  it('finds them the same at any time, and tells which of which item are not', async () => {
    await send('same-', [
      ...[drawn, { ...drawn, person: 201, ageMs: 5 * HOUR_MS }, { ...drawn, name: 'like', ageMs: 30 * HOUR_MS }],
      ...[
        { ...drawn, source: 'shop' as const },
        { ...drawn, key: 'b' as const },
      ],
    ]);
    await world.drain();
    const items = await chosen(['same-a', 'same-b']);
    // Both views have one of them, and one the other.
    expect(items).toHaveLength(3);
    for (const laterMs of [0, HOUR_MS, 2 * DAY_MS]) {
      world.clock.advance(laterMs);
      const round = await sampler().compare(items);
      expect(wrongIn(round)).toEqual([]);
      expect(round).toMatchObject({ items: 3, skipped: 0, mismatches: [] });
      const names = round.figures.map(({ entity, feature }) => `${entity} ${feature}`);
      expect(names).toEqual(expect.arrayContaining(['article likes_by_read', 'article shop_events']));
      expect(names).not.toContain('article article_words');
    }
    const state = async (key: string) =>
      (await world.db.query<{ state: Buffer }>('SELECT state FROM entity_states WHERE key = $1', [key]))[0]?.state;
    const before = await state('same-b');
    await world.db.query(`UPDATE entity_states SET state = '' WHERE key = 'same-b'`);
    const lost = await sampler().compare(items);
    expect(wrongIn(lost)).toEqual(expect.arrayContaining(['reads_ever', 'last_reader', 'longest']));
    expect(lost.figures.find(({ feature }) => feature === 'reads_ever')).toMatchObject({
      ...{ entity: 'article', compared: 2, mismatched: 1, missing: 0, maxDelta: 1 },
    });
    expect(lost.figures.find(({ feature }) => feature === 'last_reader')).toMatchObject({ mismatched: 0, missing: 1 });
    expect(new Set(lost.mismatches.map(({ entity, key }) => `${entity} ${key}`))).toEqual(new Set(['article same-b']));
    // What cannot be read is not served: all of it is missing. One that is folded anew is nobody's to judge.
    await world.db.query(`UPDATE entity_states SET state = '\\xffffff' WHERE key = 'same-b'`);
    const unreadable = await sampler().compare(items);
    expect(unreadable.figures.find(({ feature }) => feature === 'reads_ever')).toMatchObject({ missing: 1 });
    await world.db.query(
      `INSERT INTO entity_refolds (fold_id, key, done_pos, state)
       SELECT fold_id, key, 0, '' FROM entity_states WHERE key = 'same-b'`,
    );
    expect(await sampler().compare(items)).toMatchObject({ items: 2, skipped: 1, mismatches: [] });
    await world.drain();
    expect(wrongIn(await sampler().compare(items))).toEqual([]);
    expect(await state('same-b')).toEqual(before);
    // Of four events, and with more read than is usual.
    const few = await sampler(3).compare(items);
    expect(few).toMatchObject({ items: 2, skipped: 1, tooBig: 1 });
    expect(few.figures.find(({ feature }) => feature === 'reads_ever')).toMatchObject({ compared: 1, tooBig: 1 });
    expect(await sampler(1_000_000).compare(items)).toMatchObject({ items: 3, tooBig: 0, mismatches: [] });
  });

  it('goes through all items by and by, also those that have lost their state, or their events, and keeps what it finds', async () => {
    await send('walk-', [drawn, { ...drawn, key: 'b' }]);
    await world.drain();
    await world.db.query(`DELETE FROM entity_states WHERE key = 'walk-a'`);
    await world.db.query(`DELETE FROM entity_events WHERE key = 'walk-b'`);
    const all = await world.db.query<{ key: string }>(
      'SELECT fold_id, key FROM entity_states UNION SELECT fold_id, key FROM entity_events',
    );
    const rounds: ItemParityRound[] = [];
    const seen: string[] = [];
    const errors: unknown[] = [];
    const watch = new ParityWatch({
      ...{ db: world.db, clock: world.clock, share: 1, perMinute: 120 },
      walk: new ItemWalk(world.db, 1),
      sampler: {
        compare: async (items: readonly ItemOfView[], _, signal) => {
          seen.push(...items.map(({ meaning, key }) => `${meaning} ${key}`));
          const round = await sampler().compare(items, undefined, signal);
          rounds.push(round);
          return round;
        },
      },
      observer: { compared: () => undefined },
      onError: (error) => errors.push(error),
    });
    for (let look = 0; look < Math.ceil(all.length / 20); look++) await watch.look();
    expect(errors).toEqual([]);
    expect([seen.length, new Set(seen).size]).toEqual([all.length, all.length]);
    const wrong = rounds.flatMap(({ mismatches }) => mismatches.map(({ key }) => key));
    expect(new Set(wrong)).toEqual(new Set(['walk-a', 'walk-b']));
    const { featureParity } = await world.data<{
      featureParity: { edges: { node: { entity: string; feature: string; mismatched: number } }[] };
    }>('{ featureParity(first: 50) { edges { node { entity feature mismatched } } } }');
    expect(featureParity.edges.map(({ node }) => node)).toContainEqual({
      ...{ entity: 'article', feature: 'reads_ever', mismatched: 2 },
    });
    // The next pass takes a share by another hash: some of them, at most so many at once, and all in the end.
    const walk = new ItemWalk(world.db, 2);
    expect((await walk.next(0.5, 10_000)).length).toBeLessThan(all.length);
    expect(await walk.next(0, 10)).toEqual([]);
  });
});

describe('features of items that are computed from events of people', () => {
  it('are those of the events that name the item, online and as of any instant, whatever is late or taken back', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 1, maxLength: 6 }),
        fc.array(fc.record({ key: fc.constantFrom('a', 'b', '7', 'c'), at: fc.nat(40) }), { maxLength: 8 }),
        async (steps, asks) => {
          const prefix = String(1_000 + run++);
          const keys = ['a', 'b', '7', 'c'].map((key) => `${prefix}${key}`);
          let sent: Sent[] = [];
          const begunAt = world.clock.now();
          for (const { events, laterMs, isApplied, taken } of steps) {
            sent.push(...(await send(prefix, events)));
            world.clock.advance(laterMs);
            if (isApplied) await world.drain();
            const gone = taken === null ? undefined : sent.at(-1 - taken);
            if (gone !== undefined) {
              const { id } = await world.engine.retractions.takeBackMessages({ id: gone.sourceId } as never, [
                gone.messageId,
              ]);
              await drainUntil(world, world.engine.retractions.done(id));
              sent = sent.filter((each) => each !== gone);
            }
            if (!isApplied) continue;
            const t = world.clock.now() + 1;
            expect(await online(keys)).toEqual(keys.map((key) => expected(sent, key, t)));
          }
          await world.drain();
          const names = definitions.map(({ name }) => name);
          const labels = asks.map(({ key, at }) => ({
            ns: 'article_id',
            value: `${prefix}${key}`,
            timeMs: Math.min(world.clock.now(), begunAt - 31 * HOUR_MS + at * HOUR_MS),
            cells: ['1'],
          }));
          for (const knownAsOf of ['now', 'event-time', begunAt + 30 * MINUTE_MS] as const) {
            if (typeof knownAsOf === 'number' && knownAsOf > world.clock.now()) continue;
            const rows = await asOf({ labels, columns: ['label'], features: names, knownAsOf });
            for (const [i, { values, profileId }] of rows.entries()) {
              const { value: key = '', timeMs = 0 } = labels[i] ?? {};
              const knownUntil = knownAsOf === 'now' ? Infinity : knownAsOf === 'event-time' ? timeMs : knownAsOf;
              const known = sent.filter(({ acceptedAt }) => acceptedAt <= knownUntil);
              const told = Object.fromEntries(
                names.map((name, j) => [name, { value: values[j]?.value, status: values[j]?.status }]),
              );
              expect(told).toEqual(expected(known, key, timeMs + 1));
              expect(profileId).toBe(null);
            }
          }
        },
      ),
      { numRuns: 8 },
    );
  }, 60_000);

  it('lose what an erased person did, be it a count, and the item that only they named', async () => {
    const drawn = { name: 'read', source: 'web', ageMs: 0, secs: 40, key: 'a' } as const;
    const own = { ...drawn, person: 91, key: null };
    const sent = await send('erased-', [{ ...drawn, person: 90 }, { ...drawn, person: 91 }, own]);
    await world.accept([
      aTrack('read', { user_id: 'reader-91' }, { properties: { article: 'canary-of-91', reader: 'reader-91' } }),
      aTrack('read', { user_id: 'reader-90' }, { properties: { article: 'canary-too', reader: 'reader-91' } }),
    ]);
    await world.drain();
    const t = world.clock.now() + 1;
    expect(await online(['erased-a'])).toEqual([expected(sent, 'erased-a', t)]);
    const { erasures } = world.engine;
    const { id } = await erasures.request(
      { identifier: { ns: 'user_id', value: 'reader-91' } },
      { reason: 'asked', actor: 'test' },
    );
    await drainUntil(world, erasures.done(id));
    const left = sent.filter(({ properties }) => properties['reader'] !== 'reader-91');
    expect(left).toHaveLength(1);
    const [now, none] = await online(['erased-a', 'canary-of-91']);
    expect(now).toEqual(expected(left, 'erased-a', world.clock.now() + 1));
    expect(none).toEqual(expected([], '', t));
    for (const table of ['entity_states', 'entity_events', 'entity_refolds']) {
      const rows = await world.db.query(`SELECT FROM ${table} WHERE key = 'canary-of-91'`);
      expect(rows).toEqual([]);
    }
    const [states] = await world.db.query<{ n: number }>(
      `SELECT count(*)::int AS n FROM entity_states WHERE position('reader-91'::bytea IN state) > 0`,
    );
    // What somebody else said stays: it is their event.
    expect(states?.n).toBe(1);
  });

  it('lose what an erased person did, also where a retention has removed the events of it', async () => {
    const { sources } = world.services;
    const archive = await sources.ensure({ key: 'archive', kind: 'http' });
    const now = world.clock.now();
    const read = (reader: string, article: string, timestampMs: number) =>
      aTrack('read', { user_id: reader }, { timestampMs, properties: { article, reader } });
    const old = now - 40 * DAY_MS;
    const byBoth = [read('reader-96', 'kept-a', old), read('canary-97', 'kept-a', old + 1)];
    await world.accept([...byBoth, read('reader-96', 'kept-b', old), read('canary-97', 'kept-c', old)], {
      source: archive.key,
    });
    await world.accept([read('reader-96', 'kept-a', now)], { source: 'web' });
    await world.drain();
    await sources.update(archive.key, { retentionMs: 30 * DAY_MS });
    world.clock.advance(MINUTE_MS);
    await world.drain();
    const removed = 'SELECT removed_events AS n FROM source_retention WHERE removed_events > 0';
    expect(await world.db.query(removed)).toEqual([{ n: 4 }]);
    const reads = async () => {
      const known = await online(['kept-a', 'kept-b', 'kept-c']);
      return known.map(({ reads_ever: ever }) => (ever as { value: unknown }).value);
    };
    expect(await reads()).toEqual([3, 1, 1]);
    const { erasures } = world.engine;
    const { id } = await erasures.request(
      { identifier: { ns: 'user_id', value: 'canary-97' } },
      { reason: 'asked', actor: 'test' },
    );
    await drainUntil(world, erasures.done(id));
    expect(await findTexts(world.db, ['canary-97', 'kept-c', hashId('user_id', 'canary-97')])).toEqual([]);
    // Items in which they were are what the log says; in others what the retention left stays.
    expect(await reads()).toEqual([1, 1, 0]);
  });

  it('are waited for by the revert that takes events out of them, and by no other', async () => {
    const drawn = { name: 'read', source: 'web', ageMs: 0, secs: 10, person: 60 } as const;
    const sent = await send('waiting-', [
      { ...drawn, key: 'a' },
      { ...drawn, key: 'a' },
      { ...drawn, key: null },
    ]);
    await world.drain();
    const takeBack = (gone: Sent | undefined) =>
      world.engine.retractions.takeBackMessages({ id: gone?.sourceId } as never, [gone?.messageId ?? '']);
    const statusOf = async (id: string) => {
      const rows = await world.db.query<{ status: string }>('SELECT status FROM retractions WHERE id = $1', [id]);
      return rows[0]?.status;
    };
    const revert = await world.db.transaction(async (held) => {
      // As somebody who removes events: nothing is folded meanwhile.
      await held.query('SELECT FROM entity_folds FOR SHARE');
      const { id } = await takeBack(sent[0]);
      const other = await takeBack(sent[2]);
      await drainUntil(world, world.engine.retractions.done(other.id));
      expect(await statusOf(id)).toBe('running');
      const marked = await world.db.query('SELECT key, retraction_ids AS ids FROM entity_refolds');
      expect(marked).toEqual([{ key: 'waiting-a', ids: [id] }]);
      // Of the same item: it waits, too.
      const second = await takeBack(sent[1]);
      world.clock.advance(1_000);
      await world.drain();
      expect(await statusOf(second.id)).toBe('running');
      return [id, second.id];
    });
    await Promise.all(revert.map((id) => drainUntil(world, world.engine.retractions.done(id))));
    expect(await world.db.query('SELECT FROM entity_refolds')).toEqual([]);
    expect(await online(['waiting-a'])).toEqual([expected([], 'waiting-a', world.clock.now() + 1)]);
  });

  it('are folded over history when the view is new, and over all of it anew when it means something else', async () => {
    const drawn = { name: 'read', source: 'web', ageMs: 0, secs: 10, key: 'a', person: 80 } as const;
    const sent = await send('history-', [drawn, { ...drawn, person: 81 }, { ...drawn, name: 'like' }]);
    await world.drain();
    const { features } = world.engine.services;
    const more = (window: string) =>
      parseFeatures(
        `views:\n  - name: article_more\n    entity: article\n    key: properties.article\n    features:\n      - { name: article_more, aggregate: count, events: [read], window: ${window} }\n`,
        'more.yaml',
      );
    const ask =
      '{ onlineFeatures(entity: "article", keys: ["history-a"], features: ["article_more"]) { features { value complete } } }';
    const plan = await features.apply(more('2h'), { dryRun: true });
    expect(plan).toMatchObject({
      newStreams: 1,
      changes: [{ name: 'article_more' }, { name: 'article_more', backfilled: true }],
    });
    await features.apply(more('2h'));
    const settled = async () => {
      await world.drain();
      return world.data<unknown>(ask);
    };
    expect(await settled()).toEqual({ onlineFeatures: [{ features: [{ value: 2, complete: true }] }] });
    const folds = await world.db.query('SELECT FROM entity_folds');
    world.clock.advance(3 * HOUR_MS);
    // The same tiles give it.
    expect(await features.apply(more('4h'))).toMatchObject({ newStreams: 0 });
    expect(await settled()).toEqual({ onlineFeatures: [{ features: [{ value: 2, complete: true }] }] });
    expect(await features.apply(more('2d'))).toMatchObject({ newStreams: 1 });
    expect(await settled()).toEqual({ onlineFeatures: [{ features: [{ value: 2, complete: true }] }] });
    // What the former version had is gone.
    expect(await world.db.query('SELECT FROM entity_folds')).toHaveLength(folds.length);
    expect(await online(['history-a'])).toEqual([expected(sent, 'history-a', world.clock.now() + 1)]);
    const pinned = { views: new Map([['article_more', 1]]), service: null };
    const labels = [{ ns: 'article_id', value: 'history-a', timeMs: world.clock.now(), cells: [] }];
    const former = trainingSets().exportTrainingSet({ labels, features: ['article_more'], versions: pinned });
    await expect(former).rejects.toMatchObject({
      code: 'CONFLICT',
      message: expect.stringContaining('the view article_more means something else by now') as string,
    });
  });

  it('are not told of an item that cannot be read, which is folded anew since somebody asked for it', async () => {
    const drawn = { name: 'read', source: 'web', ageMs: 0, secs: 10, key: 'a', person: 190 } as const;
    const sent = await send('broken-', [drawn, { ...drawn, person: 191 }, { ...drawn, key: 'b' }]);
    await world.drain();
    await world.db.query(`UPDATE entity_states SET state = '\\xffffff' WHERE key = 'broken-a'`);
    const ask = async () => {
      const found = await world.data<{
        onlineFeatures: { features: { value: unknown; status: string; complete: boolean }[] }[];
      }>(
        '{ onlineFeatures(entity: "article", keys: ["broken-a", "broken-b"], features: ["reads_ever", "article_words"]) { features { value status complete } } }',
      );
      return found.onlineFeatures.map(({ features }) => features);
    };
    const nothing = { value: null, status: 'NOT_FOUND' };
    const told = [
      [
        { ...nothing, complete: false },
        { ...nothing, complete: true },
      ],
      [
        { value: 1, status: 'PRESENT', complete: true },
        { ...nothing, complete: true },
      ],
    ];
    const marks = () => world.db.query(`SELECT key FROM entity_refolds WHERE key LIKE 'broken-%'`);
    await world.db.transaction(async (held) => {
      // As a step of the worker: who reads does not wait for it.
      await held.query('SELECT FROM entity_folds FOR UPDATE');
      expect(await ask()).toEqual(told);
    });
    expect(await marks()).toEqual([]);
    const answer = await fetch(`${world.url}/get-online-features`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${world.keys.read}` },
      body: JSON.stringify({
        features: ['article_reads:reads_ever'],
        entities: { article_id: ['broken-a', 'broken-b'] },
      }),
    });
    expect(await answer.json()).toMatchObject({
      results: [{}, { values: [null, 1], statuses: ['NOT_FOUND', 'PRESENT'] }],
    });
    expect(await marks()).toEqual([{ key: 'broken-a' }]);
    expect(await ask()).toEqual(told);
    const metrics = await (await fetch(`${world.url}/metrics`)).text();
    expect(metrics).toContain('weft_entity_unreadable_items_total 1');
    await world.drain();
    expect(await marks()).toEqual([]);
    expect(await online(['broken-a', 'broken-b'])).toEqual(
      ['broken-a', 'broken-b'].map((key) => expected(sent, key, world.clock.now() + 1)),
    );
  });

  it('are made of histories that are read once for a set, however many rows name the item, until somebody is erased', async () => {
    const drawn = { name: 'read', source: 'web', ageMs: 0, secs: 10, person: 300 } as const;
    const sent = await send(
      'often-',
      [0, 1, 2, 3, 4].map((n) => ({
        ...drawn,
        key: n % 2 === 0 ? ('a' as const) : ('b' as const),
        person: n === 2 ? 301 : 300,
        ageMs: n * 1_000,
      })),
    );
    const left = sent.filter(({ properties }) => properties['reader'] !== 'reader-301');
    expect([sent.length, left.length]).toEqual([5, 4]);
    await world.drain();
    let statements = 0;
    const counting = (tx: Transaction): Transaction =>
      new Proxy(tx, {
        get: (target, name) => {
          const member: unknown = Reflect.get(target, name, target);
          if (typeof member !== 'function') return member;
          return (...args: unknown[]): unknown => {
            if (name === 'query' && String(args[0]).includes('JOIN entity_events')) statements++;
            return Reflect.apply(member, target, args);
          };
        },
      });
    const counted = new Proxy(world.db, {
      get: (target, name) => {
        if (name === 'transaction') {
          return (work: (tx: Transaction) => Promise<unknown>, options: object) =>
            target.transaction((tx) => work(counting(tx)), options);
        }
        const member: unknown = Reflect.get(target, name, target);
        return typeof member === 'function' ? (member.bind(target) as unknown) : member;
      },
    });
    const now = world.clock.now();
    const labels = Array.from({ length: 30 }, (_, i) => ({
      ...{ ns: 'user_id', value: 'reader-300', timeMs: now - (i % 7) * 1_000 },
      cells: [i % 3 === 2 ? 'nobody-reads-it' : `often-${i % 2 === 0 ? 'a' : 'b'}`],
    }));
    const request = { labels, columns: ['article_id'], features: ['reads_ever', 'last_reader'] };
    const set = await trainingSets(counted).exportTrainingSet(request);
    let row = 0;
    for await (const { label, values } of set.rows) {
      const there = row < 15 ? sent : left;
      const { reads_ever: reads, last_reader: last } = expected(there, label.cells[0] ?? '', label.timeMs + 1);
      expect(values.map(({ value, status }) => ({ value, status }))).toEqual([reads, last]);
      // Ten chunks of three rows; what is erased meanwhile is forgotten, and what is left is read once more.
      if (row++ !== 14) continue;
      const asked = { reason: 'asked', actor: 'test' };
      const { id } = await world.engine.erasures.request({ identifier: { ns: 'user_id', value: 'reader-301' } }, asked);
      await drainUntil(world, world.engine.erasures.done(id));
    }
    expect(row).toBe(30);
    // Of three items, once before and once after; row for row it were ten.
    expect(statements).toBe(2);
    expect(set.itemHistories()).toEqual({ hits: 24, misses: 6, tooLong: 0, dropped: 0 });
    // Where nothing can be kept, all is the same but for what it takes.
    const histories = new ItemHistories(new EventHistoryReader(world.engine.sealer), {
      ...{ maxEvents: 3, maxBytes: 1e6, maxItemEvents: 1, maxItems: 2 },
    });
    const meaning = (await world.engine.definitions.current()).entities.get('article')?.folds[0]?.meaning ?? '';
    const read = (...keys: string[]) =>
      world.db.transaction(async (tx) => {
        const groups = keys.map((key) => ({ key, untilMs: now }));
        const found: string[] = [];
        const options = { toPos: Number.MAX_SAFE_INTEGER, order: 'occurred', onDamaged: () => undefined } as const;
        for await (const page of histories.read(tx, meaning, groups, options)) {
          found.push(...page.map(({ group, event }) => `${keys[group] ?? ''} ${event.messageId}`));
        }
        return found.sort();
      });
    const ids = left.flatMap(({ key, messageId }) => (key === null ? [] : [`${key} ${messageId}`])).sort();
    for (let n = 0; n < 2; n++) expect(await read('often-a', 'often-b', 'none-1', 'none-2', 'none-3')).toEqual(ids);
    expect(histories.counts).toEqual({ hits: 2, misses: 8, tooLong: 2, dropped: 2 });
    expect(await read('none-3', 'often-a', 'none-2')).toEqual(ids.filter((id) => id.startsWith('often-a')));
    expect(histories.counts).toEqual({ hits: 3, misses: 10, tooLong: 3, dropped: 3 });
  });

  it('stand beside records in sets of rows that are about items alone, or about people', async () => {
    const now = world.clock.now();
    await send('both-', [{ name: 'read', source: 'shop', ageMs: 0, secs: 10, key: 'a', person: 70 }]);
    await world.drain();
    const about = (ns: string, value: string, cells: string[]) => ({ ns, value, timeMs: now, cells });
    const items = await asOf({
      labels: ['both-a', 'both-z', ''].map((key) => about('article_id', key, ['1'])),
      columns: ['label'],
      service: 'ranking',
    });
    expect(items.map(({ status, values }) => [status, ...values.map(({ value }) => value)])).toEqual([
      ['FOUND', 1, 1, 1, null],
      ['NOT_FOUND', 0, 0, 0, null],
      ['INVALID', 0, 0, 0, null],
    ]);
    const people = await asOf({
      labels: [about('user_id', 'reader-70', ['both-a']), about('user_id', 'nobody', ['both-a'])],
      columns: ['article_id'],
      features: ['person_reads', 'reads_1h'],
    });
    expect(people.map(({ status, values }) => [status, ...values.map(({ value }) => value)])).toEqual([
      ['FOUND', 1, 1],
      ['NOT_FOUND', 0, 1],
    ]);
    const mixed = asOf({ labels: [about('user_id', 'reader-70', [])], features: ['reads_1h'] });
    await expect(mixed).rejects.toThrow('a row names no article_id, and is about user_id');
  });

  it('are in no set whose view means something else half way through', async () => {
    const half = (window: string) =>
      parseFeatures(
        `views:\n  - name: article_half\n    entity: article\n    key: properties.article\n    features:\n      - { name: article_half, aggregate: count, events: [read], window: ${window} }\n`,
        'half.yaml',
      );
    const { features } = world.engine.services;
    await features.apply(half('2h'));
    await send('half-', [{ name: 'read', source: 'web', ageMs: 0, secs: 10, key: 'a', person: 310 }]);
    await world.drain();
    const label = { ns: 'article_id', value: 'half-a', timeMs: world.clock.now(), cells: [] };
    const labels = Array.from({ length: 12 }, () => label);
    const { rows } = await trainingSets().exportTrainingSet({ labels, features: ['article_half'] });
    const found: FeatureValue['value'][] = [];
    const made = async (): Promise<void> => {
      for await (const { values } of rows) {
        found.push(values[0]?.value ?? null);
        if (found.length !== 3) continue;
        await features.apply(half('2d'));
        await world.drain();
      }
    };
    await expect(made()).rejects.toMatchObject({ code: 'CONFLICT', where: 'features' });
    // What was made before, and nothing of items that nothing is known of.
    expect(found).toEqual([1, 1, 1]);
  });
});

describe('lineage', () => {
  it('tells which views and features are about an entity, and which services read them', async () => {
    const text = '{ lineage(of: { kind: ENTITY, name: "article" }, direction: DOWN) { nodes { kind name distance } } }';
    const { data } = await world.ask<{ lineage: { nodes: { kind: string; name: string; distance: number }[] } }>(text);
    const told = (data?.lineage.nodes ?? []).map(({ kind, name, distance }) => `${kind} ${name} ${String(distance)}`);
    for (const node of [
      'VIEW article_shop 1',
      'VIEW article_facts 1',
      'FEATURE article_words 2',
      'SERVICE ranking 3',
    ]) {
      expect(told).toContain(node);
    }
    expect(told.filter((node) => node.includes('person'))).toEqual([]);
  });
});

describe('a stream view of an entity', () => {
  it.each([
    ['views: [{ name: v, entity: item, features: [] }]', 'a stream view of an entity needs a key'],
    ['views: [{ name: v, key: properties.a, features: [] }]', 'only stream views of an entity have a key'],
    ['views: [{ name: v, entity: item, key: article, features: [] }]', 'is not a path to a value'],
    ['views: [{ name: v, kind: on_demand, entity: item, features: [] }]', 'on-demand views are about people'],
    [
      'views: [{ name: v, entity: item, key: properties.a, purposes: [ads], features: [{ name: a, aggregate: count }] }]',
      'purposes are what people allow',
    ],
    [
      'views: [{ name: v, entity: item, key: properties.a, features: [{ name: a, aggregate: count, searchable: true }] }]',
      'only people are found by features',
    ],
    [
      'views: [{ name: v, entity: item, key: properties.a, features: [{ name: a, aggregate: count }], expect: { a: { steady_live: true } } }]',
      'live traffic is followed of features of people alone',
    ],
  ])('that is wrong is told so: %s', (text, told) => {
    expect(() => parseFeatures(text, 'f.yaml')).toThrow(told);
  });
});
