import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { blockingColumns, forEachCandidate, RuleBlocks } from './blocking.js';
import type { LinkageModel, LinkageRecord } from './linkage-model.model.js';
import { readLinkageModel } from './read-linkage-model.js';
import { RecordTable } from './record-table.js';
import { blockingKeys, isCandidate } from './score-pair.js';

const RULES = [
  { on: ['first', 'substr(last, 1, 2)'] },
  { on: ['phones'], lists: ['phones'] },
  { on: ['town', 'phones'], lists: ['phones'] },
  'l.town = r.town AND levenshtein(l.last, r.last) <= 1',
];

const model: LinkageModel = readLinkageModel(
  JSON.stringify({
    format: 'weft-linkage-1',
    comparisons: [{ name: 'first', levels: [{ when: 'first_l = first_r' }, { when: 'ELSE' }] }],
    blocking: RULES,
  }),
  'model.json',
);

const aLetter = fc.option(fc.constantFrom('a', 'b'), { nil: null });
const aPerson = fc.record({
  first: aLetter,
  last: fc.option(fc.constantFrom('ann', 'anna', 'abc', 'xyz'), { nil: null }),
  town: aLetter,
  phones: fc.option(fc.array(fc.constantFrom('1', '2', '3'), { maxLength: 3 }), { nil: null }),
});
type Person = typeof aPerson extends fc.Arbitrary<infer T> ? T : never;

const recordsOf = (people: readonly Person[]): LinkageRecord[] =>
  people.map((values, i) => ({ id: String(i), values }));

/** Which of the rules above hold for two people, said once more by hand. */
function rulesFor(a: Person, b: Person): number[] {
  const same = (x: string | null, y: string | null): boolean => x !== null && x === y;
  const hasCommonPhone = (a.phones ?? []).some((phone) => b.phones?.includes(phone));
  const near = (x: string | null, y: string | null): boolean =>
    x !== null && y !== null && (x === y || [x, y].sort().join() === 'ann,anna');
  return [
    same(a.first, b.first) && a.last !== null && b.last !== null && a.last.slice(0, 2) === b.last.slice(0, 2),
    hasCommonPhone,
    same(a.town, b.town) && hasCommonPhone,
    same(a.town, b.town) && near(a.last, b.last),
  ].flatMap((holds, rule) => (holds ? [rule] : []));
}

describe('candidates', () => {
  it('are each pair that a rule makes, once, under the first rule that makes it', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(aPerson, { maxLength: 12 }), async (people) => {
        const table = RecordTable.of(recordsOf(people), model, blockingColumns(model.blockingRules));
        const found: string[] = [];
        await forEachCandidate(
          model.blockingRules.map((rule) => new RuleBlocks(rule, table)),
          (left, right, rule) => found.push(`${table.ids[left] ?? ''} ${table.ids[right] ?? ''} ${rule}`),
        );
        const expected: string[] = [];
        people.forEach((a, i) =>
          people.forEach((b, j) => {
            const [first] = i < j ? rulesFor(a, b) : [];
            if (first !== undefined) expected.push(`${i} ${j} ${first}`);
          }),
        );
        expect(found.sort()).toEqual(expected.sort());
      }),
      { numRuns: 500 },
    );
  });

  it('have a blocking key in common, so that a stream finds the same pairs', () => {
    fc.assert(
      fc.property(fc.array(aPerson, { minLength: 2, maxLength: 6 }), (people) => {
        const records = recordsOf(people);
        const keys = records.map((record) => new Set(blockingKeys(model, record)));
        records.forEach((a, i) =>
          records.forEach((b, j) => {
            if (i >= j) return;
            const isExpected = rulesFor(people[i] as Person, people[j] as Person).length > 0;
            const share = [...(keys[i] ?? [])].some((key) => keys[j]?.has(key));
            expect(isCandidate(model, a, b)).toBe(isExpected);
            if (isExpected) expect(share).toBe(true);
          }),
        );
      }),
      { numRuns: 200 },
    );
  });

  it('are counted before they are made', () => {
    const people = recordsOf(Array.from({ length: 5 }, () => ({ first: 'a', last: 'ann', town: null, phones: null })));
    const table = RecordTable.of(people, model, blockingColumns(model.blockingRules));
    const [first, second] = model.blockingRules.map((rule) => new RuleBlocks(rule, table));
    expect(first?.countPairs()).toBe(10);
    expect(first?.largestBlock()).toBe(5);
    expect(second?.countPairs()).toBe(0);
  });
});
