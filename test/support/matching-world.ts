import { clusterRecords } from '../../src/identity/linkage/cluster-records.js';
import { linkRecords } from '../../src/identity/linkage/link-records.js';
import type { LinkageModel, LinkageRecord } from '../../src/identity/linkage/linkage-model.model.js';
import { randomNumbers } from '../../src/identity/linkage/random-numbers.js';
import { inferPersonColumns, peopleRecipe } from '../../src/identity/linkage/people-recipe.js';
import { readLinkageModel, writeLinkageModel } from '../../src/identity/linkage/read-linkage-model.js';
import { DEFAULT_TRAINING, trainLinkage } from '../../src/identity/linkage/train-linkage.js';
import type { IncomingEvent, JsonObject } from '../../src/events/event.model.js';
import type { ColumnMapping } from '../../src/identity/matching/matching.model.js';
import { readPeople } from './people-data.js';
import { anIdentify, MINUTE_MS, type World } from './world.js';

/** People of a file, without some columns, and a model that was trained on them by the recipe for people. */
export async function trainedPeople(
  file: string,
  idColumn: string,
  without: readonly string[],
): Promise<{ records: LinkageRecord[]; model: LinkageModel }> {
  const records = readPeople(file, idColumn).map(({ id, values }): LinkageRecord => {
    return { id, values: Object.fromEntries(Object.entries(values).filter(([name]) => !without.includes(name))) };
  });
  const columns = Object.keys(records[0]?.values ?? {});
  const model = await trainLinkage(peopleRecipe(inferPersonColumns(columns)), records, {
    ...DEFAULT_TRAINING,
    // Fewer random pairs than by default: it is the recipe that is tested.
    maxSampledPairs: 200_000,
  });
  return { records, model };
}

/** One person's record as an event: its id is a user id, its values are traits. */
export function aRecordEvent({ id, values }: LinkageRecord): IncomingEvent {
  const traits = Object.fromEntries(
    Object.entries(values).filter(([, value]) => value !== null && value !== undefined),
  );
  return anIdentify({ user_id: `r ${id}` }, traits as JsonObject);
}

export async function activate(world: World, model: LinkageModel, mapping: ColumnMapping = {}): Promise<string> {
  const { models } = world.engine.matching;
  const { version } = await models.add({ text: writeLinkageModel(model), file: 'model', name: 'people' }, 'a test');
  const traits = Object.values(mapping).map(({ name }) => `traits.${name}`);
  await world.db.query(
    `INSERT INTO seen_names (event, field) SELECT 'identify', field FROM unnest($1::text[]) AS f (field) ON CONFLICT DO NOTHING`,
    [traits],
  );
  await models.activate(version, { mapping }, 'a test');
  return version;
}

/** Whoever has a town in common is compared; equal names make them one. */
const MODEL_BY_TOWN = readLinkageModel(
  JSON.stringify({
    format: 'weft-linkage-1',
    prior: 0.5,
    comparisons: [
      {
        name: 'name',
        levels: [
          { when: 'name_l = name_r', m: 0.9, u: 0.01 },
          { when: 'ELSE', m: 0.1, u: 0.99 },
        ],
      },
    ],
    blocking: [{ on: ['town'] }],
  }),
  'model',
);

/** Has people compared by the town and the name among their traits. */
export function activateByTown(world: World): Promise<string> {
  const mapping: ColumnMapping = { name: { kind: 'trait', name: 'name' }, town: { kind: 'trait', name: 'town' } };
  return activate(world, MODEL_BY_TOWN, mapping);
}

/** Accepts records in chunks, everything being applied and compared between them. */
export async function stream(world: World, records: readonly LinkageRecord[], chunk: () => number): Promise<void> {
  for (let i = 0; i < records.length;) {
    const size = chunk();
    world.clock.advance(MINUTE_MS);
    await world.accept(records.slice(i, i + size).map(aRecordEvent));
    await settle(world);
    i += size;
  }
}

/** Applies and compares all there is. */
export async function settle(world: World): Promise<void> {
  world.clock.advance(MINUTE_MS);
  await world.drain();
}

/** Who is one profile, by ids of records: the ids of each sorted, and these sorted. */
export async function profilesOf(world: World): Promise<string[]> {
  const rows = await world.db.query<{ ids: string[] }>(
    `SELECT array_agg(substr(value, 3) ORDER BY value COLLATE "C") AS ids FROM identifiers WHERE ns = 'user_id' GROUP BY profile_id`,
  );
  return rows.map(({ ids }) => ids.sort().join(' ')).sort();
}

/** The clusters of a linkage of all records at once, likewise. */
export async function batchClusters(model: LinkageModel, records: readonly LinkageRecord[]): Promise<string[]> {
  const { table, links } = await linkRecords(model, records, { leastProbability: model.thresholds.link });
  const clusters = new Map<number, string[]>();
  for (const [i, cluster] of clusterRecords(table.size, links).clusterOf.entries()) {
    clusters.set(cluster, [...(clusters.get(cluster) ?? []), table.ids[i] ?? '']);
  }
  return [...clusters.values()].map((ids) => ids.sort().join(' ')).sort();
}

export function shuffled<T>(items: readonly T[], seed: number): T[] {
  const random = randomNumbers(seed);
  return items
    .map((item) => ({ item, at: random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item);
}
