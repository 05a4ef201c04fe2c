import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { RowMapper } from './compile-mapping.js';
import { createUnitMaker, type LoadUnit } from './group-rows.js';
import { parseMapping } from './parse-mapping.js';

const HEADER = ['order', 'sku', 'n', 'price', 'who'];

function mappingText(within: number, most = 500): string {
  return `
source: s
format: csv
columns: { n: int, price: double }
group: { by: [order], within: ${String(within)}, lines: { path: lines, most: ${String(most)}, fields: { sku: sku, n: n } } }
key: "o{order}"
when: sku != "skip"
identifiers: { crm_id: who }
event: { type: track, name: order_completed }
properties: { total: { sum: n * price }, back: { count: n < 0 }, rows: { count: true }, first_sku: sku }
`;
}

/** Units of rows given as cells; row numbers from 2, after a header. */
function units(rows: readonly (readonly string[])[], within = 100, most?: number): LoadUnit[] {
  const mapping = parseMapping(mappingText(within, most));
  const maker = createUnitMaker(mapping, new RowMapper(mapping, HEADER, { fileHash: '', timeShiftMs: 0 }));
  const out: LoadUnit[] = [];
  for (const [i, cells] of rows.entries()) maker.push({ number: i + 2, cells, record: null, fault: null }, out);
  maker.end(out);
  return out;
}

describe('grouping rows', () => {
  it('makes one event of the rows of a group, adjacent or not', () => {
    const found = units([
      ['1', 'a', '2', '1.1', 'ann'],
      ['2', 'z', '1', '5', 'bob'],
      ['1', 'b', '-1', '1.1', 'ann'],
      ['1', 'skip', '9', '9', 'ann'],
    ]);
    expect(found.map((unit) => unit.event)).toEqual([
      expect.objectContaining({
        messageId: 'o2',
        properties: { total: 5, back: 0, rows: 1, first_sku: 'z', lines: [{ sku: 'z', n: 1 }] },
      }),
      expect.objectContaining({
        messageId: 'o1',
        identifiers: [{ ns: 'crm_id', value: 'ann' }],
        properties: {
          total: 1.1,
          back: 1,
          rows: 2,
          first_sku: 'a',
          lines: [
            { sku: 'a', n: 2 },
            { sku: 'b', n: -1 },
          ],
        },
      }),
    ]);
  });

  it('keeps sums whole where the list of lines is cut, and says so', () => {
    const [unit] = units(
      ['a', 'b', 'c'].map((sku) => ['1', sku, '1', '2', 'ann']),
      100,
      2,
    );
    expect(unit?.event?.properties).toMatchObject({
      total: 6,
      rows: 3,
      lines: [{ sku: 'a' }, { sku: 'b' }],
      lines_omitted: 1,
    });
  });

  it('refuses a group whole for one faulty row, and names that row', () => {
    const found = units([
      ['1', 'a', '2', '1', 'ann'],
      ['1', 'b', 'two', '1', 'ann'],
      ['1', 'c', '3', '1', 'ann'],
      ['2', 'a', '1', '1', 'bob'],
      ['', 'a', '1', '1', 'bob'],
    ]);
    expect(found.map((unit) => [unit.event?.messageId ?? unit.refusal?.code, unit.row.number, unit.rows])).toEqual([
      ['KEY_MISSING', 6, 1],
      ['BAD_VALUE', 3, 3],
      ['o2', 5, 1],
    ]);
    expect(found[1]?.refusal?.reason).toBe(
      'column "n": "two" is not an integer (with it its whole group of 3 rows, from row 2)',
    );
  });

  it('refuses a row that comes after its group was complete', () => {
    const others = Array.from({ length: 600 }, (_, i) => [`x${String(i)}`, 'a', '1', '1', 'bob']);
    const found = units([['1', 'a', '1', '1', 'ann'], ...others, ['1', 'b', '1', '1', 'ann']], 100);
    const ofOrder = found.filter((unit) => unit.event?.messageId === 'o1' || unit.refusal !== null);
    expect(ofOrder.map((unit) => [unit.event?.messageId ?? unit.refusal?.code, unit.row.number])).toEqual([
      ['o1', 2],
      ['GROUP_SPLIT', 603],
    ]);
  });

  it('conserves rows and equals grouping in memory, wherever the rows of a group lie', () => {
    const row = fc.tuple(
      fc.nat(5).map(String),
      fc.constantFrom('a', 'b', 'skip'),
      fc.constantFrom('1', '-2', 'bad'),
      fc.constant('0.1'),
      fc.constant('ann'),
    );
    fc.assert(
      fc.property(fc.array(row, { maxLength: 40 }), (rows) => {
        const found = units(rows, 1_000);
        const wanted = rows.filter(([, sku]) => sku !== 'skip');
        expect(found.reduce((sum, unit) => sum + unit.rows, 0)).toBe(wanted.length);
        expect(new Set(found.map((unit) => unit.row.number)).size).toBe(found.length);
        for (const unit of found) {
          const order = unit.row.cells?.[0] ?? '';
          const own = wanted.filter((cells) => cells[0] === order);
          const isBad = own.some((cells) => cells[2] === 'bad');
          expect(unit.event === null).toBe(isBad);
          if (unit.event === null) continue;
          const total = own.reduce((sum, cells) => sum + Number(cells[2]), 0) / 10;
          expect(unit.event.properties?.['total']).toBeCloseTo(total, 9);
          expect(unit.event.properties?.['rows']).toBe(own.length);
        }
      }),
    );
  });
});
