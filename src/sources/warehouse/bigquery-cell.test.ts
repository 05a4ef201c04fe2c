import { describe, expect, it } from 'vitest';

import { bigQueryCell, bigQueryCursor } from './bigquery-cell.js';

describe('what a value of BigQuery becomes in a row', () => {
  it.each([
    ['BOOLEAN', 'true', true],
    ['INTEGER', '-7', -7],
    ['INT64', '9007199254740993', '9007199254740993'],
    ['NUMERIC', '10.50', 10.5],
    ['BIGNUMERIC', '12345678901234567890', '12345678901234567890'],
    ['FLOAT', '1e-300', 1e-300],
    ['FLOAT', 'NaN', null],
    ['FLOAT64', '-Infinity', null],
    ['TIMESTAMP', '1769860800123456', '2026-01-31T12:00:00.123456Z'],
    ['TIMESTAMP', '-1', '1969-12-31T23:59:59.999999Z'],
    ['DATETIME', '2026-01-31T12:00:00', '2026-01-31T12:00:00.000000'],
    ['DATETIME', '2026-01-31T12:00:00.5', '2026-01-31T12:00:00.500000'],
    ['DATE', '2026-01-31', '2026-01-31'],
    ['BYTES', 'AP8Q', 'AP8Q'],
    ['JSON', '{"a":[1,null],"id":9007199254740993}', { a: [1, null], id: '9007199254740993' }],
    ['GEOGRAPHY', 'POINT(1 2)', 'POINT(1 2)'],
    ['STRING', '', ''],
    ['STRING', null, null],
  ] as const)('%s %s', (type, value, expected) => {
    expect(bigQueryCell({ name: 'a', type })(value)).toEqual(expected);
  });

  it('is a list of a repeated field, and an object of a record, at any depth', () => {
    const address = { name: 'address', type: 'RECORD', fields: [{ name: 'city', type: 'STRING' }] };
    const person = {
      name: 'person',
      type: 'RECORD',
      mode: 'REPEATED',
      fields: [{ name: 'tags', type: 'INTEGER', mode: 'REPEATED' }, address],
    };
    const read = bigQueryCell(person);
    expect(
      read([
        { v: { f: [{ v: [{ v: '1' }, { v: '2' }] }, { v: { f: [{ v: 'Riga' }] } }] } },
        { v: { f: [{ v: [] }, { v: null }] } },
      ]),
    ).toEqual([
      { tags: [1, 2], address: { city: 'Riga' } },
      { tags: [], address: null },
    ]);
  });

  it('is exact in a cursor', () => {
    expect(bigQueryCursor('NUMERIC')('0.10')).toBe('0.10');
    expect(bigQueryCursor('TIMESTAMP')('1769860800123456')).toBe('2026-01-31T12:00:00.123456Z');
    expect(bigQueryCursor('INTEGER')(null)).toBeNull();
  });
});
