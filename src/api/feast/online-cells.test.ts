import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { keyColumn, packRow, writeColumns, type OnlineCell } from './online-cells.js';

const cell: fc.Arbitrary<OnlineCell> = fc.record({
  value: fc.jsonValue().map((value) => JSON.stringify(value)),
  status: fc.constantFrom('"PRESENT"', '"NOT_FOUND"'),
  eventTime: fc.constantFrom('"1970-01-01T00:00:00Z"', '"2026-11-23T08:04:17.123Z"'),
});

const table = fc
  .tuple(fc.nat(5), fc.nat(4))
  .chain(([rows, columns]) =>
    fc.array(fc.array(cell, { minLength: columns, maxLength: columns }), { minLength: rows, maxLength: rows }),
  );

describe('columns of features', () => {
  it('hold what each row has, in the order of the rows, whatever characters it is', () => {
    fc.assert(
      fc.property(table, fc.nat(4), (rows, spare) => {
        const count = rows[0]?.length ?? spare;
        const json = writeColumns(rows.map(packRow), count, { before: '{"é":[', after: ']}' }).toString();
        const columns = Array.from({ length: count }, (_, i) => ({
          values: rows.map((row) => JSON.parse(row[i]?.value ?? '') as unknown),
          statuses: rows.map((row) => JSON.parse(row[i]?.status ?? '') as unknown),
          event_timestamps: rows.map((row) => JSON.parse(row[i]?.eventTime ?? '') as unknown),
        }));
        expect(json).toBe(JSON.stringify({ é: columns }));
      }),
    );
  });

  it('begin with that of the keys', () => {
    expect(JSON.parse(keyColumn(['a "b"', 'ü']))).toEqual({
      values: ['a "b"', 'ü'],
      statuses: ['PRESENT', 'PRESENT'],
      event_timestamps: ['1970-01-01T00:00:00Z', '1970-01-01T00:00:00Z'],
    });
  });
});
