import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { clusterRecords, type RecordPair } from './cluster-records.js';
import { evaluateClusters } from './evaluate-clusters.js';

const RECORDS = 9;
const aRecord = fc.nat(RECORDS - 1);
const aPair = fc.tuple(aRecord, aRecord).filter(([a, b]) => a !== b);
const aLink = fc.record({ pair: aPair, weight: fc.constantFrom<number>(1, 2, 2.5, 9) });
type Link = typeof aLink extends fc.Arbitrary<infer T> ? T : never;

function clustered(links: readonly Link[], rules: Parameters<typeof clusterRecords>[2] = {}): number[] {
  const columns = {
    left: links.map(({ pair: [a, b] }) => Math.min(a, b)),
    right: links.map(({ pair: [a, b] }) => Math.max(a, b)),
    weight: links.map(({ weight }) => weight),
  };
  return [...clusterRecords(RECORDS, columns, rules).clusterOf];
}

describe('clusters', () => {
  it('are the records that hang together by links', () => {
    fc.assert(
      fc.property(fc.array(aLink), (links) => {
        const expected = Array.from({ length: RECORDS }, (_, i) => i);
        for (let round = 0; round < RECORDS; round++) {
          for (const { pair } of links) {
            const least = Math.min(...pair.map((record) => expected[record] ?? 0));
            for (const record of pair) expected[record] = least;
          }
        }
        expect(clustered(links)).toEqual(expected);
      }),
    );
  });

  it('do not depend on the order of the links, nor of the rules', () => {
    const aCase = fc.record({
      links: fc.array(aLink, { maxLength: 12 }),
      cannotLink: fc.array(aPair, { maxLength: 3 }),
      mustLink: fc.array(aPair, { maxLength: 2 }),
      maxSize: fc.constantFrom(2, 4, Infinity),
    });
    const inAnyOrder = aCase.chain((each) =>
      fc.record({
        given: fc.constant(each),
        links: fc.shuffledSubarray(each.links, { minLength: each.links.length }),
        cannotLink: fc.shuffledSubarray(each.cannotLink, { minLength: each.cannotLink.length }),
        mustLink: fc.shuffledSubarray(each.mustLink, { minLength: each.mustLink.length }),
      }),
    );
    fc.assert(
      fc.property(inAnyOrder, ({ given: { links, ...rules }, links: shuffled, cannotLink, mustLink }) => {
        expect(clustered(shuffled, { ...rules, cannotLink, mustLink })).toEqual(clustered(links, rules));
      }),
      { numRuns: 1_000 },
    );
  });

  it('never hold two records that must stay apart, nor more than they may', () => {
    fc.assert(
      fc.property(
        fc.array(aLink),
        fc.array(aPair, { maxLength: 4 }),
        fc.integer({ min: 1, max: 5 }),
        (links, cannotLink, maxSize) => {
          const found = clustered(links, { cannotLink, maxSize });
          for (const [a, b] of cannotLink) expect(found[a]).not.toBe(found[b]);
          for (const name of found) expect(found.filter((other) => other === name).length).toBeLessThanOrEqual(maxSize);
        },
      ),
    );
  });

  it('give way to the weaker link where two records must stay apart', () => {
    const cannotLink: RecordPair[] = [[0, 2]];
    const strong: Link = { pair: [0, 1], weight: 5 };
    const weak: Link = { pair: [1, 2], weight: 3 };
    expect(clustered([weak, strong], { cannotLink }).slice(0, 3)).toEqual([0, 0, 2]);
    expect(clustered([strong, { ...weak, weight: 7 }], { cannotLink }).slice(0, 3)).toEqual([0, 1, 1]);
  });
});

describe('the quality of clusters', () => {
  it('is what counting pair by pair and record by record gives', () => {
    const some = fc.array(fc.tuple(fc.nat(4), fc.nat(4)), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(some, (records) => {
        const [clusters, people] = [records.map(([cluster]) => cluster), records.map(([, person]) => person)];
        const quality = evaluateClusters(clusters, people);
        const pairs = records.flatMap((a, i) =>
          records.slice(i + 1).map((b) => [a[0] === b[0], a[1] === b[1]] as const),
        );
        const both = pairs.filter(([together, same]) => together && same).length;
        const together = pairs.filter(([each]) => each).length;
        const same = pairs.filter(([, each]) => each).length;
        expect(quality.pairs.precision).toBeCloseTo(together === 0 ? 1 : both / together, 12);
        expect(quality.pairs.recall).toBeCloseTo(same === 0 ? 1 : both / same, 12);
        const share = (i: number, of: readonly number[]): number => {
          const alike = records.flatMap((_, j) => (of[j] === of[i] ? [j] : []));
          return alike.filter((j) => clusters[j] === clusters[i] && people[j] === people[i]).length / alike.length;
        };
        const mean = (of: readonly number[]): number =>
          records.reduce((sum, _, i) => sum + share(i, of), 0) / records.length;
        expect(quality.bCubed.precision).toBeCloseTo(mean(clusters), 12);
        expect(quality.bCubed.recall).toBeCloseTo(mean(people), 12);
      }),
    );
  });

  it('counts a person as found only if the cluster is exactly their records', () => {
    const { exactClusters, pairs } = evaluateClusters([1, 1, 2, 3, 3, 3], [7, 7, 8, 9, 9, 5]);
    expect(exactClusters).toBe(2 / 4);
    expect(pairs).toMatchObject({ precision: 2 / 4, recall: 1 });
  });
});
