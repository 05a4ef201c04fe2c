import { describe, expect, it } from 'vitest';
import { clusterRecords } from '../../src/identity/linkage/cluster-records.js';
import { evaluateLinkage } from '../../src/identity/linkage/evaluate-linkage.js';
import { linkRecords } from '../../src/identity/linkage/link-records.js';
import {
  weightOfProbability,
  type LinkageModel,
  type LinkageRecord,
} from '../../src/identity/linkage/linkage-model.model.js';
import { inferPersonColumns, peopleRecipe } from '../../src/identity/linkage/people-recipe.js';
import { randomNumbers } from '../../src/identity/linkage/random-numbers.js';
import { blockingKeys, isCandidate, scorePair } from '../../src/identity/linkage/score-pair.js';
import { DEFAULT_TRAINING, trainLinkage } from '../../src/identity/linkage/train-linkage.js';
import { readPeople } from '../support/people-data.js';

/** Fewer random pairs than by default: it is the recipe that is tested. */
const TRAINING = { ...DEFAULT_TRAINING, maxSampledPairs: 200_000 };

async function trained(records: readonly LinkageRecord[]): Promise<LinkageModel> {
  const columns = Object.keys(records[0]?.values ?? {});
  return trainLinkage(peopleRecipe(inferPersonColumns(columns)), records, TRAINING);
}

function truthOf(records: readonly LinkageRecord[], personOf: (record: LinkageRecord) => string): Map<string, string> {
  return new Map(records.map((record) => [record.id, personOf(record)]));
}

describe('the recipe for people', () => {
  it('knows columns by their names, and leaves out numbers that would tell who it is', () => {
    expect(
      inferPersonColumns(['rec_id', 'given_name', 'Surname', 'address_1', 'streetNumber', 'suburb', 'soc_sec_id']),
    ).toEqual({
      first_name: ['given_name'],
      surname: ['Surname'],
      address: ['address_1', 'streetNumber'],
      city: ['suburb'],
    });
  });

  it('finds at least 95 % of FEBRL 3 (F1 of pairs of clusters), which it was not tuned to', async () => {
    const records = readPeople('febrl3.csv.gz', 'rec_id');
    const model = await trained(records);
    expect(model.columns?.flatMap(({ from }) => from)).not.toContain('soc_sec_id');
    const truth = truthOf(records, ({ id }) => /rec-(\d+)/.exec(id)?.[1] ?? id);
    const { linked, blockingRecall } = await evaluateLinkage(model, records, truth);
    expect(linked.clusters.pairs.f1).toBeGreaterThan(0.95);
    expect(linked.clusters.exactClusters).toBeGreaterThan(0.95);
    expect(blockingRecall).toBeGreaterThan(0.95);
  });

  it('finds at least 80 % of fake_1000, and the same clusters when records come one by one in any order', async () => {
    const records = readPeople('fake_1000.csv.gz', 'unique_id');
    const model = await trained(records);
    const truth = truthOf(records, ({ values }) => String(values['cluster']));
    const { linked } = await evaluateLinkage(model, records, truth);
    expect(linked.clusters.pairs.f1).toBeGreaterThan(0.8);

    const { table, links } = await linkRecords(model, records, { leastProbability: model.thresholds.link });
    const batch = clusterRecords(table.size, links).clusterOf;
    const numberOf = new Map(table.ids.map((id, i) => [id, i]));
    for (const seed of [1, 2]) {
      const streamed = stream(model, shuffled(records, seed), numberOf);
      expect(streamed.weights).toEqual(Array.from(links.weight).sort((a, b) => a - b));
      expect([...clusterRecords(table.size, streamed.links).clusterOf]).toEqual([...batch]);
    }
  });
});

/** Each record is compared with those before it that share a blocking key, by the frozen model alone. */
function stream(model: LinkageModel, records: readonly LinkageRecord[], numberOf: ReadonlyMap<string, number>) {
  const blocks = new Map<string, LinkageRecord[]>();
  const least = weightOfProbability(model.thresholds.link);
  const links = { left: [] as number[], right: [] as number[], weight: [] as number[] };
  for (const record of records) {
    const keys = blockingKeys(model, record);
    const candidates = new Set(keys.flatMap((key) => blocks.get(key) ?? []));
    for (const other of candidates) {
      if (!isCandidate(model, record, other)) continue;
      const { weight } = scorePair(model, record, other);
      if (weight < least) continue;
      const [left = 0, right = 0] = [numberOf.get(record.id), numberOf.get(other.id)].sort((a = 0, b = 0) => a - b);
      links.left.push(left);
      links.right.push(right);
      links.weight.push(weight);
    }
    for (const key of keys) blocks.set(key, [...(blocks.get(key) ?? []), record]);
  }
  return { links, weights: Array.from(links.weight).sort((a, b) => a - b) };
}

function shuffled<T>(items: readonly T[], seed: number): T[] {
  const random = randomNumbers(seed);
  return items
    .map((item) => ({ item, at: random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item);
}
