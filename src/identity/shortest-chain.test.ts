import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { shortestChain } from './shortest-chain.js';

const NAMES = ['a', 'b', 'c', 'd', 'e', 'f'];
const ties = fc.array(
  fc.subarray(NAMES, { minLength: 2, maxLength: 4 }).map((ids) => ({ ids })),
  { maxLength: 8 },
);

/** Steps from `a` to each name, by trying all ties again and again. */
function naiveDistances(of: readonly { ids: readonly string[] }[]): Map<string, number> {
  const distances = new Map([['a', 0]]);
  for (let round = 0; round < NAMES.length; round++) {
    for (const { ids } of of) {
      const least = Math.min(...ids.map((id) => distances.get(id) ?? Infinity));
      for (const id of ids) if (least + 1 < (distances.get(id) ?? Infinity)) distances.set(id, least + 1);
    }
  }
  return distances;
}

describe('the shortest chain between two identifiers', () => {
  it('has as few steps as there can be, each by a tie of both of its ends', () => {
    fc.assert(
      fc.property(ties, (all) => {
        const distances = naiveDistances(all);
        for (const name of NAMES) {
          const chain = shortestChain('a', name, all);
          expect(chain?.length).toBe(distances.get(name));
          let at = 'a';
          for (const { from, to, tie } of chain ?? []) {
            expect(from).toBe(at);
            expect(tie.ids).toEqual(expect.arrayContaining([from, to]));
            at = to;
          }
          if (chain !== null) expect(at).toBe(name);
        }
      }),
    );
  });

  it('takes the tie that comes first where several would do', () => {
    const [first, second] = [{ ids: ['a', 'b'] }, { ids: ['b', 'a'] }];
    expect(shortestChain('a', 'b', [first, second])?.[0]?.tie).toBe(first);
  });
});
