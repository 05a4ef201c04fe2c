import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { matchQuality, type TruthRow } from './match-quality.js';

const truth: TruthRow[] = [
  { personId: 'ann', ns: 'email', value: 'a' },
  { personId: 'ann', ns: 'crm_id', value: '1' },
  { personId: 'ann', ns: 'anonymous_id', value: 'shared' },
  { personId: 'bob', ns: 'anonymous_id', value: 'shared' },
  { personId: 'bob', ns: 'email', value: 'b' },
];

function profiles(assignment: Readonly<Record<string, string>>): (ns: string, value: string) => string | undefined {
  return (ns, value) => assignment[`${ns}:${value}`];
}

describe('match quality', () => {
  it('is perfect where profiles are people, and a shared cookie may stand with either', () => {
    const withAnn = profiles({ 'email:a': 'x', 'crm_id:1': 'x', 'anonymous_id:shared': 'x', 'email:b': 'y' });
    expect(matchQuality(truth, withAnn)).toMatchObject({ precision: 1, recall: 3 / 4, missedPairs: 1, wrongPairs: 0 });
  });

  it('counts a pair of two people in one profile as wrong', () => {
    const all = matchQuality(truth, () => 'one');
    expect(all).toMatchObject({ linkedPairs: 6, wrongPairs: 2, recall: 1, profiles: 1, people: 2, identifiers: 4 });
    expect(all.precision).toBeCloseTo(4 / 6);
  });

  it('leaves what no profile has alone', () => {
    expect(matchQuality(truth, () => undefined)).toMatchObject({
      precision: 1,
      recall: 0,
      profiles: 4,
      missedPairs: 4,
    });
  });

  it('agrees with counting every pair of identifiers', () => {
    const row = fc.record({ person: fc.nat(4), value: fc.nat(9) });
    fc.assert(
      fc.property(
        fc.array(row, { maxLength: 25 }),
        fc.array(fc.nat(3), { minLength: 10, maxLength: 10 }),
        (rows, of) => {
          const table = rows.map(({ person, value }) => ({ personId: String(person), ns: 'n', value: String(value) }));
          const values = [...new Set(table.map((entry) => entry.value))];
          const owners = (value: string): string[] =>
            table.filter((entry) => entry.value === value).map((entry) => entry.personId);
          let [linked, wrong, missed] = [0, 0, 0];
          values.forEach((a, i) => {
            values.slice(i + 1).forEach((b) => {
              const together = of[Number(a)] === of[Number(b)];
              const onePerson = owners(a).some((person) => owners(b).includes(person));
              if (together) linked += 1;
              if (together && !onePerson) wrong += 1;
              if (!together && onePerson) missed += 1;
            });
          });
          const quality = matchQuality(table, (_ns, value) => String(of[Number(value)]));
          expect(quality).toMatchObject({ linkedPairs: linked, wrongPairs: wrong, missedPairs: missed });
        },
      ),
    );
  });
});
