import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { JsonValue } from '../events/event.model.js';
import { anonymise, type AnonymiseOptions, type Table } from './anonymise.js';
import { hierarchyOf } from './generalise.model.js';

const options = (more: Partial<AnonymiseOptions> = {}): AnonymiseOptions => ({
  k: 3,
  quasi: ['age', 'postcode'],
  drop: ['email'],
  maxSuppressedShare: 0,
  ...more,
});

const people = (rows: readonly (readonly JsonValue[])[]): Table => ({
  columns: ['email', 'age', 'postcode', 'plan'],
  rows,
});

const value = fc.oneof(
  fc.constant(null),
  fc.integer({ min: 0, max: 99 }),
  fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e6, max: 1e6 }),
  fc.stringMatching(/^[0-9]{4,5}$/),
  fc
    .date({ min: new Date('1950-01-01'), max: new Date('2020-01-01'), noInvalidDate: true })
    .map((d) => d.toISOString()),
  fc.string({ maxLength: 20 }),
  fc.boolean(),
);
/** A column of one kind, mostly, as they are. */
const column = fc
  .constantFrom('int', 'mixed')
  .chain((kind) =>
    fc.array(kind === 'int' ? fc.integer({ min: 0, max: 60 }) : value, { minLength: 40, maxLength: 40 }),
  );

describe('a table that is anonymised', () => {
  it('has at least k rows of each kind, whatever was in it, and loses no more than is said', () => {
    fc.assert(
      fc.property(
        column,
        column,
        fc.integer({ min: 0, max: 40 }),
        fc.integer({ min: 2, max: 8 }),
        fc.double({ min: 0, max: 0.5, noNaN: true }),
        (ages, postcodes, size, k, maxSuppressedShare) => {
          const rows = ages.slice(0, size).map((age, i) => [`mail${String(i)}`, age, postcodes[i] ?? null, i]);
          const { table, report } = anonymise(people(rows), options({ k, maxSuppressedShare }));
          const groups = new Map<string, number>();
          for (const [age, postcode] of table.rows) {
            const key = JSON.stringify([age, postcode]);
            groups.set(key, (groups.get(key) ?? 0) + 1);
          }
          for (const members of groups.values()) expect(members).toBeGreaterThanOrEqual(k);
          expect(table.rows.length + report.suppressedRows).toBe(size);
          expect(report.groups).toBe(groups.size);
          if (size >= k) expect(report.suppressedRows).toBeLessThanOrEqual(Math.floor(size * maxSuppressedShare));
          expect(JSON.stringify(table)).not.toContain('mail');
          // What is neither recognised by nor dropped is as it was, and in its order.
          const plans = table.rows.map((row) => row[2] as number);
          expect(plans).toEqual([...plans].sort((a, b) => a - b));
        },
      ),
      { numRuns: 300 },
    );
  });

  it('says ranges of numbers, prefixes of codes and less and less of dates', () => {
    const rows = [
      ['a', 31, '10115', 'pro'],
      ['b', 34, '10117', 'pro'],
      ['c', 38, '10119', 'free'],
      ['d', 52, '20095', 'free'],
      ['e', 55, '20097', 'pro'],
      ['f', 58, '20099', 'pro'],
    ];
    const { table, report } = anonymise(people(rows), options());
    expect(table.columns).toEqual(['age', 'postcode', 'plan']);
    expect(table.rows.slice(0, 3)).toEqual([
      ['30..40', '1011*', 'pro'],
      ['30..40', '1011*', 'pro'],
      ['30..40', '1011*', 'free'],
    ]);
    expect(report).toMatchObject({ rows: 6, suppressedRows: 0, groups: 2, smallestGroup: 3 });
    const dates = hierarchyOf(['1984-05-06', '1990-01-02T10:00:00Z']);
    expect([0, 1, 2, 3, 4, 5].map((level) => dates.at('1984-05-06', level))).toEqual([
      '1984-05-06',
      '1984-05-06',
      '1984-05',
      '1984',
      '1980s',
      '*',
    ]);
  });

  it('tells nothing of fewer than k', () => {
    const { table, report } = anonymise(people([['a', 31, '10115', 'pro']]), options());
    expect(table.rows).toEqual([]);
    expect(report).toMatchObject({ suppressedRows: 1, groups: 0, smallestGroup: 0 });
  });

  it.each([
    [{ k: 1 }, 'k is no whole number'],
    [{ quasi: ['ages'] }, 'there is no column ages'],
    [{ drop: ['age'] }, 'age is both'],
  ])('is refused with %j', (more, message) => {
    expect(() => anonymise(people([]), options(more))).toThrow(message);
  });
});
