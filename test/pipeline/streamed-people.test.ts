import { afterEach, describe, expect, it } from 'vitest';
import { evaluateClusters } from '../../src/identity/linkage/evaluate-clusters.js';
import type { LinkageRecord } from '../../src/identity/linkage/linkage-model.model.js';
import {
  activate,
  batchClusters,
  profilesOf,
  settle,
  shuffled,
  stream,
  trainedPeople,
} from '../support/matching-world.js';
import { readPeople } from '../support/people-data.js';
import { createWorld, type World } from '../support/world.js';

/**
 * Records that come one by one, as sign-ups do, each of them applied, compared and linked before the next comes.
 * By default those of some people; `WEFT_TEST_STREAMED=all` (`npm run test:streamed`) takes both files whole, in two
 * random orders each. Each record is several transactions, so that takes many minutes.
 */
const IS_WHOLE = process.env['WEFT_TEST_STREAMED'] === 'all';
const ORDERS = IS_WHOLE ? [1, 2] : [1];
const RECORDS = 40;

interface PeopleFile {
  readonly file: string;
  readonly idColumn: string;
  /** What would tell who it is. */
  readonly without: readonly string[];
  readonly personOf: (record: LinkageRecord) => string;
  /** What F1 of pairs of clusters is at least, over the whole file. */
  readonly leastF1: number;
}

const FILES: readonly PeopleFile[] = [
  {
    file: 'fake_1000.csv.gz',
    idColumn: 'unique_id',
    without: ['unique_id', 'cluster'],
    personOf: ({ values }) => String(values['cluster']),
    leastF1: 0.8,
  },
  {
    file: 'febrl3.csv.gz',
    idColumn: 'rec_id',
    without: ['rec_id', 'soc_sec_id'],
    personOf: ({ id }) => /rec-(\d+)/.exec(id)?.[1] ?? id,
    leastF1: 0.95,
  },
];

const worlds: World[] = [];

afterEach(async () => {
  await Promise.all(worlds.splice(0).map((world) => world.close()));
});

/** All records of some people, taken at random, so that there is somebody to be linked. */
function ofSomePeople(records: readonly LinkageRecord[], personOf: ReadonlyMap<string, string>): LinkageRecord[] {
  const byPerson = new Map<string, LinkageRecord[]>();
  for (const record of records) {
    const person = personOf.get(record.id) ?? '';
    byPerson.set(person, [...(byPerson.get(person) ?? []), record]);
  }
  const chosen: LinkageRecord[] = [];
  for (const own of shuffled([...byPerson.values()], 11)) if (chosen.length < RECORDS) chosen.push(...own);
  return chosen;
}

function f1Of(profiles: readonly string[], personOf: ReadonlyMap<string, string>): number {
  const numbers = new Map<string, number>();
  const clusterOf: number[] = [];
  const people: number[] = [];
  for (const [cluster, ids] of profiles.entries()) {
    for (const id of ids.split(' ')) {
      const person = personOf.get(id) ?? '';
      if (!numbers.has(person)) numbers.set(person, numbers.size);
      clusterOf.push(cluster);
      people.push(numbers.get(person) ?? -1);
    }
  }
  return evaluateClusters(clusterOf, people).pairs.f1;
}

describe('people whose records come one by one', () => {
  it.each(FILES.flatMap((file) => ORDERS.map((order) => ({ ...file, order }))))(
    'of $file are who a linkage of all at once says (order $order)',
    async ({ file, idColumn, without, personOf, leastF1, order }) => {
      const { records, model } = await trainedPeople(file, idColumn, without);
      const truth = new Map(readPeople(file, idColumn).map((record) => [record.id, personOf(record)]));
      const chosen = IS_WHOLE ? records : ofSomePeople(records, truth);
      const world = await createWorld();
      worlds.push(world);
      await world.accept([], { source: 'web' });
      await world.drain();
      // Nobody has any traits yet, so it is said which the model is to read.
      const columns = model.columns?.flatMap(({ from }) => from) ?? [];
      await activate(world, model, Object.fromEntries(columns.map((name) => [name, { kind: 'trait', name }])));
      await settle(world);
      await stream(world, shuffled(chosen, order), () => 1);
      const profiles = await profilesOf(world);
      expect(profiles.flatMap((ids) => ids.split(' '))).toHaveLength(chosen.length);
      expect(profiles).toEqual(await batchClusters(model, chosen));
      expect(f1Of(profiles, truth)).toBeGreaterThanOrEqual(leastF1);
    },
    IS_WHOLE ? 3_600_000 : 240_000,
  );
});
