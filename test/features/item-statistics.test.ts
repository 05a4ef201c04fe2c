import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { createLoads } from '../../src/create-loads.js';
import { AnchorStateStore } from '../../src/features/anchor-state.store.js';
import { EntityPopulationReader } from '../../src/features/entity-population.reader.js';
import { parseFeatures } from '../../src/features/parse-features.js';
import { FeatureAlertReader } from '../../src/monitoring/feature-alert.reader.js';
import { addStatisticsCommand } from '../../src/monitoring/feature-statistics.command.js';
import { FeatureStatisticsReader } from '../../src/monitoring/feature-statistics.reader.js';
import { parseMapping } from '../../src/sources/parse-mapping.js';
import { expectationsOf } from '../../src/start-statistics.js';
import { StatisticsRun } from '../../src/statistics-run.js';
import { StatisticsWatch } from '../../src/statistics-watch.js';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { runWith } from '../support/command-runner.js';
import { aTrack, DAY_MS, HOUR_MS, MINUTE_MS } from '../support/world.js';

/* Statistics and expectations of features over the items of an entity. */

const YAML = `entities: [{ name: page, join_key: page_id }]
views:
  - name: page_reads
    entity: page
    key: properties.page
    features:
      - { name: reads, aggregate: count, events: [read] }
      - { name: secs_sum, aggregate: sum, value: properties.secs, events: [read] }
      - { name: last_note, aggregate: last, value: properties.note, events: [read] }
      - { name: first_note, aggregate: first, value: properties.note, events: [read] }
      - { name: last_email, aggregate: last, value: properties.email, events: [read] }
    expect: { reads: { max: 100, fresh: 2d, steady: true }, last_note: { null_share: 0.9 } }
  - name: page_facts
    kind: batch
    entity: page
    source: cms
    event: page
    features:
      - { name: words, value: properties.words, type: int }
      - { name: topic, value: properties.topic }
    expect: { words: { min: 100, on_load: stop }, topic: { distinct_min: 2 } }
  - name: person
    features: [{ name: person_reads, aggregate: count, events: [read] }]
`;
const MAPPING = `source: cms
format: csv
entity: page
time: at
identifiers: { page_id: id }
event: { type: track, name: page }
properties: { words: { column: words, type: int }, topic: topic }
`;
const PAGES = 12;

let world: ApiWorld;
let run: StatisticsRun;
let watch: StatisticsWatch;
let folder: string;
const told: string[] = [];
const failures: unknown[] = [];

async function look(): Promise<void> {
  await watch.look();
  expect(failures).toEqual([]);
}

let secs = 0;
const read = (person: number, page: string, properties: Record<string, string | number>) =>
  aTrack(
    'read',
    { user_id: `reader-${String(person)}` },
    { timestampMs: world.clock.now() - 10_000 + secs++, properties: { page, ...properties } },
  );

async function load(name: string, rows: readonly string[]) {
  const { engine, services, clock, db } = world;
  const { loads } = createLoads(engine, services.sources, engine.accept, { db, clock });
  const file = join(folder, name);
  const at = new Date(clock.now()).toISOString();
  await writeFile(file, ['id,at,words,topic', ...rows.map((row) => row.replace('@', at)), ''].join('\n'));
  return loads.load({ file, mapping: parseMapping(MAPPING) });
}

beforeAll(async () => {
  world = await createApiWorld({ sealed: true });
  folder = await mkdtemp(join(tmpdir(), 'weft-item-statistics-'));
  await world.services.sources.ensure({ key: 'cms', kind: 'batch' });
  await world.engine.services.features.apply(parseFeatures(YAML, 'f.yaml'));
  run = new StatisticsRun({
    db: world.db,
    clock: world.clock,
    definitions: () => world.engine.definitions.current(),
    anchors: new AnchorStateStore(),
    pause: () => Promise.resolve(),
  });
  watch = new StatisticsWatch({
    ...{ db: world.db, clock: world.clock, run },
    expectations: async () => expectationsOf(await world.engine.definitions.current()),
    observer: {
      violated: () => undefined,
      began: ({ feature, kind }) => told.push(`began ${feature} ${kind}`),
      ended: (feature, kind) => told.push(`ended ${feature} ${kind}`),
    },
    onError: (error) => failures.push(error),
  });
  // Page p is read by p + 1 people, the last of whom is another for each; one person alone notes the same of six pages.
  for (let page = 0; page < PAGES; page++) {
    const readers = Array.from({ length: page + 1 }, (_, i) =>
      read(page + i, `p${String(page)}`, { secs: 10, note: 'by-many', email: 'ann@example.com' }),
    );
    const own = page < 6 ? [read(99, `p${String(page)}`, { secs: 10, note: 'by-one', email: 'ann@example.com' })] : [];
    await world.accept([...readers, ...own]);
    world.clock.advance(1_000);
  }
  const rows = ['p0', 'p1', 'q0', 'q1', 'q2', 'q3'].map((id, i) => `${id},@,${String(100 * (i + 1))},garden`);
  expect(await load('pages.csv', [...rows, 'q4,@,,tools'])).toMatchObject({ accepted: 7 });
  await world.drain();
  await look();
});

afterAll(async () => {
  await world.close();
  await rm(folder, { recursive: true });
});

const FIELDS = `feature entity profiles nulls distinct numbers { min max mean } topValues { value count } newestEventAt`;
async function ask(feature: string): Promise<unknown> {
  const query = `query ($feature: String!) { featureStatistics(feature: $feature) { edges { node { ${FIELDS} } } } }`;
  const { featureStatistics } = await world.data<{ featureStatistics: { edges: { node: unknown }[] } }>(query, {
    feature,
  });
  return featureStatistics.edges[0]?.node;
}

describe('statistics of features of items', () => {
  it('are of all items, those of records alone and those that only events name', async () => {
    const readsOf = (page: number): number => page + 1 + (page < 6 ? 1 : 0);
    const reads = Array.from({ length: PAGES }, (_, page) => readsOf(page)).reduce((sum, n) => sum + n, 0);
    // Five pages are known by records alone.
    const mean = reads / (PAGES + 5);
    expect(await ask('reads')).toMatchObject({ entity: 'page', profiles: 17, nulls: 0, numbers: { min: 0, max: 12 } });
    const { numbers } = (await ask('reads')) as { numbers: { mean: number } };
    expect(numbers.mean).toBeCloseTo(mean, 12);
    expect(await ask('words')).toMatchObject({
      ...{ entity: 'page', profiles: 17, nulls: 11, distinct: 6, numbers: { min: 100, max: 600, mean: 350 } },
    });
    expect(await ask('topic')).toMatchObject({ nulls: 10, distinct: 2, topValues: [{ value: 'garden', count: 6 }] });
    expect(await ask('person_reads')).toMatchObject({ entity: 'profile', profiles: 24 });
  });

  it('tell no text that fewer than five people said, of however many items, and none that looks personal', async () => {
    expect(await ask('last_note')).toMatchObject({
      nulls: 5,
      distinct: 2,
      topValues: [{ value: 'by-many', count: 6 }],
    });
    // Whose a text is that is not of the newest event, nobody says.
    expect(await ask('first_note')).toMatchObject({ nulls: 5, distinct: 1, topValues: [] });
    expect(await ask('last_email')).toMatchObject({ nulls: 5, topValues: [] });
    const kept = await world.db.query<{ row: string }>('SELECT s::text AS row FROM feature_statistics s');
    expect(kept.filter(({ row }) => /by-one|@/.test(row))).toEqual([]);
    expect(kept.some(({ row }) => row.includes('by-many'))).toBe(true);
  });

  it('leave out what cannot be read, and are of no feature that history is still folded into', async () => {
    const [before] = await world.db.query<{ state: Buffer }>(`SELECT state FROM entity_states WHERE key = 'p11'`);
    await world.db.query(`UPDATE entity_states SET state = '\\xffffff' WHERE key = 'p11'`);
    const [reads] = await run.tally(undefined, ['reads']);
    expect(reads?.statistics).toMatchObject({ entity: 'page', profiles: 16, numbers: { max: 11 } });
    await world.db.query(`UPDATE entity_states SET state = $1 WHERE key = 'p11'`, [before?.state]);
    await world.db.query('UPDATE entity_folds SET since_pos = since_pos + 1000');
    expect(await run.tally(undefined, ['reads', 'words'])).toMatchObject([{ statistics: { feature: 'words' } }]);
    // What is kept of days before stays until it is.
    world.clock.advance(HOUR_MS);
    await look();
    expect(await ask('reads')).toMatchObject({ profiles: 17 });
    await world.db.query('UPDATE entity_folds SET since_pos = since_pos - 1000');
  });

  it('are shown by the command', async () => {
    const reader = new FeatureStatisticsReader(world.db);
    const { code, stdout } = await runWith(
      (io) =>
        addStatisticsCommand(new Command('features'), {
          ...{ ...io, signal: new AbortController().signal },
          withStatistics: (use) =>
            use({
              names: () => Promise.resolve(['reads']),
              latest: (name) => reader.latest(name),
              compute: () => Promise.resolve(null),
            }),
        }),
      ['stats', 'reads'],
    );
    expect(code).toBe(0);
    expect(stdout).toMatch(/^items +17$/m);
    expect(stdout).toMatch(/from … to +items/);
  });
});

describe('which items statistics are of', () => {
  it('is decided by hash where there are many, page after page of keys', async () => {
    await world.db.query(
      `INSERT INTO entity_records (entity, key, source_id, name, message_id, occurred_at, accepted_at, properties)
       SELECT 'bulk', 'k' || (i % 5500), (SELECT id FROM sources WHERE key = 'cms'), 'page', i::text, i, i, '{}'
       FROM generate_series(1, 6000) i`,
    );
    const population = new EntityPopulationReader(world.db);
    const expected = await world.db.query<{ key: string }>(
      `SELECT key FROM (SELECT DISTINCT key FROM entity_records WHERE entity = 'bulk') k
       ORDER BY hashtextextended(key, 0) & 281474976710655, key LIMIT 100`,
    );
    expect(await population.choose('bulk', [], 100)).toEqual(expected.map(({ key }) => key));
    expect(new Set(await population.choose('bulk', [], 10_000)).size).toBe(5_500);
    expect(await population.choose('none', [], 100)).toEqual([]);
    await world.db.query(`DELETE FROM entity_records WHERE entity = 'bulk'`);
  });
});

describe('what views of items expect', () => {
  it('is looked at with the statistics, and told when it begins and when it is over', async () => {
    expect(told).toEqual([]);
    for (let page = 0; page < 6; page++) {
      await world.accept(Array.from({ length: 101 }, () => read(page, `p${String(page)}`, { secs: 1 })));
    }
    await world.drain();
    world.clock.advance(DAY_MS);
    await look();
    expect(told.sort()).toEqual(['began reads max']);
    const { featureAlerts, featureDrift } = await world.data<{
      featureAlerts: { edges: { node: unknown }[] };
      featureDrift: { edges: { node: { feature: string } }[] };
    }>(`{ featureAlerts(onlyOpen: true) { edges { node { feature kind value bound } } }
          featureDrift { edges { node { feature psi } } } }`);
    expect(featureAlerts.edges).toEqual([{ node: { feature: 'reads', kind: 'MAX', value: 108, bound: 100 } }]);
    expect(featureDrift.edges.map(({ node }) => node.feature)).toEqual(expect.arrayContaining(['reads', 'words']));
    // While history is folded anew nothing is known of it: it is not over.
    await world.db.query('UPDATE entity_folds SET since_pos = since_pos + 1000');
    world.clock.advance(2 * HOUR_MS);
    await look();
    expect(told).toEqual(['began reads max']);
    await world.db.query('UPDATE entity_folds SET since_pos = since_pos - 1000');
    world.clock.advance(3 * DAY_MS);
    await look();
    expect(told).toContain('began reads fresh');
    await world.accept([read(1, 'p0', { secs: 1 })]);
    await world.drain();
    world.clock.advance(HOUR_MS);
    await look();
    expect(told).toContain('ended reads fresh');
  });

  it('is looked at anew where the look before failed half way through', async () => {
    await world.db.query('DELETE FROM feature_alerts');
    told.length = 0;
    world.clock.advance(2 * HOUR_MS);
    const days = vi.spyOn(FeatureAlertReader.prototype, 'days').mockRejectedValueOnce(new Error('gone'));
    await watch.look();
    days.mockRestore();
    expect(failures.splice(0)).toEqual([new Error('gone')]);
    expect(told).toEqual([]);
    world.clock.advance(MINUTE_MS);
    await look();
    expect(told).toEqual(['began reads max']);
  });

  it('is asked of the records of a file before any of them is sent', async () => {
    const before = await world.db.query('SELECT FROM entity_records');
    await expect(load('bad.csv', ['x0,@,99,garden', 'x1,@,500,tools'])).rejects.toThrow('not as expected');
    expect(await world.db.query('SELECT FROM entity_records')).toHaveLength(before.length);
    const loaded = await load('one-topic.csv', ['x0,@,100,garden', 'x1,@,500,garden']);
    expect(loaded).toMatchObject({
      accepted: 2,
      unexpected: [{ name: 'page_facts.topic', kind: 'distinct_min', value: 1, bound: 2 }],
    });
  });
});
