import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { RowCleaner } from './clean-rows.js';
import { RowMapper } from './compile-mapping.js';
import { withCleaning } from './dedupe-rows.js';
import { createUnitMaker, type LoadUnit } from './group-rows.js';
import { parseMapping } from './parse-mapping.js';
import type { SourceRow } from './row.model.js';

const HEADER = ['id', 'a', 'b'];

function mappingWith(yaml: string) {
  return parseMapping(`
source: s
format: csv
nulls: [n/a]
key: '{id}'
identifiers: { user_id: id }
event: { type: track, name: seen }
properties: { a: a, b: b }
${yaml}`);
}

function rowsOf(cells: readonly (readonly string[])[]): SourceRow[] {
  return cells.map((each, i) => ({ number: i + 2, cells: each, record: null, fault: null }));
}

/** What became of rows: `[a, b]` of events, codes and reasons of refusals. */
function mapped(yaml: string, cells: readonly (readonly string[])[]) {
  const mapping = mappingWith(yaml);
  const mapper = new RowMapper(mapping, HEADER, { fileHash: 'f', timeShiftMs: 0 });
  const maker = withCleaning(mapping, HEADER, createUnitMaker(mapping, mapper));
  const units: LoadUnit[] = [];
  for (const row of rowsOf(cells)) maker.push(row, units);
  maker.end(units);
  return { units, mapper, skipped: maker.skipped, results: units.map(resultOf) };
}

function resultOf({ event, refusal }: LoadUnit): unknown {
  if (event === null) return `${refusal?.code ?? ''}: ${refusal?.reason ?? ''}`;
  return [event.properties?.['a'], event.properties?.['b']];
}

describe('cleaning in a mapping', () => {
  it('reads numbers with a decimal comma or with parted thousands', () => {
    const yaml = `
columns: { a: double, b: double }
clean:
  a: { decimal: comma, validate: { max: 2000000 } }
  b: { decimal: point }`;
    const cells = [
      ['1', '1.250,50', '1,250.50'],
      ['2', '80,00', "1'000"],
      ['3', '-1.234.567', ' -0.5 '],
      ['4', '12.5', '7'],
      ['5', '1 250,5', ''],
    ];
    expect(mapped(yaml, cells).results).toEqual([
      [1250.5, 1250.5],
      [80, 1000],
      [-1234567, -0.5],
      [12.5, 7],
      [1250.5, undefined],
    ]);
  });

  it('leaves what is no such number to be refused, and says how commas are read', () => {
    const cells = [['1', '1.25.000,5', '80,00']];
    expect(mapped('columns: { a: string, b: double }\nclean: { a: { decimal: comma } }', cells).results).toEqual([
      'BAD_VALUE: column "b": "80,00" is not a number ("decimal" of "clean" reads commas)',
    ]);
    expect(mapped('clean: { a: { decimal: comma } }', cells).results).toEqual([['1.25.000,5', '80,00']]);
  });

  it('changes values in the order trim, case, map, impute, validate', () => {
    const yaml = `
clean:
  a: { trim: true, case: title, map: { Uk: United Kingdom, '-': n/a }, impute: previous, validate: { required: true } }
  b: { case: upper, impute: { value: NONE } }`;
    const { results } = mapped(yaml, [
      ['1', ' n/a ', 'x'],
      ['2', '  uK ', 'x'],
      ['3', ' - ', ''],
      ['4', "o'neil SMITH", 'y'],
      ['5', '', 'n/a'],
    ]);
    expect(results).toEqual([
      'VALUE_MISSING: column "a" is empty, and must not be',
      ['United Kingdom', 'X'],
      ['United Kingdom', 'NONE'],
      ["O'Neil Smith", 'Y'],
      ["O'Neil Smith", 'NONE'],
    ]);
  });

  it('refuses, empties or flags values that are not valid, and keeps the row as it was read', () => {
    const rule = (otherwise: string): string => `
clean:
  a: { trim: true, validate: { pattern: '[a-z]+[0-9]', otherwise: ${otherwise} } }
  b: { validate: { min: 0, max: 10, otherwise: ${otherwise} } }`;
    const rows = [
      ['1', ' ab1 ', '3'],
      ['2', 'nope ', '11'],
      ['3', 'ab1', 'x'],
      ['4', '', ''],
    ];
    const refused = mapped(rule('refuse'), rows);
    expect(refused.results).toEqual([
      ['ab1', '3'],
      'NOT_VALID: column "a": "nope" does not match [a-z]+[0-9]',
      'NOT_VALID: column "b": "x" is no number',
      [undefined, undefined],
    ]);
    const [, second] = refused.units;
    expect(second === undefined ? '' : refused.mapper.describe(second.row)).toBe('{"id":"2","a":"nope ","b":"11"}');
    expect(mapped(rule('null'), rows).results).toEqual([
      ['ab1', '3'],
      [undefined, undefined],
      ['ab1', undefined],
      [undefined, undefined],
    ]);
    const flagged = mapped(rule('flag'), rows);
    expect(flagged.results[1]).toEqual(['nope', '11']);
    expect(flagged.units.map(({ event }) => event?.context?.['invalid_columns'])).toEqual([
      undefined,
      ['a', 'b'],
      ['b'],
      undefined,
    ]);
  });

  it('demands values of a list, and different ones', () => {
    const yaml = `clean: { a: { validate: { unique: true } }, b: { validate: { oneOf: [x, 1] } } }`;
    expect(
      mapped(yaml, [
        ['1', 'k', 'x'],
        ['2', 'k', '1'],
        ['3', '', 'y'],
        ['4', '', ''],
      ]).results,
    ).toEqual([
      ['k', 'x'],
      'NOT_UNIQUE: column "a": "k" is in a row before, and must be unique',
      'NOT_VALID: column "b": "y" is none of the values that it may be',
      [undefined, undefined],
    ]);
  });

  it('refuses a group with a row that is not valid', () => {
    const mapping = parseMapping(`
source: s
format: csv
columns: { b: double }
clean: { b: { validate: { min: 0 } } }
group: { by: [id] }
key: '{id}'
identifiers: { user_id: id }
event: { type: track, name: seen }
properties: { total: { sum: b } }
`);
    const maker = withCleaning(
      mapping,
      HEADER,
      createUnitMaker(mapping, new RowMapper(mapping, HEADER, { fileHash: 'f', timeShiftMs: 0 })),
    );
    const units: LoadUnit[] = [];
    for (const row of rowsOf([['1', '', '2'], ['1', '', '-1'], ['2', '', '5']])) maker.push(row, units); // prettier-ignore
    maker.end(units);
    expect(units.map(({ event, refusal }) => event?.properties ?? refusal?.reason)).toEqual([
      'column "b": "-1" is less than 0 (with it its whole group of 2 rows, from row 2)',
      { total: 5 },
    ]);
  });

  it('cleans records too, and makes no text of their numbers', () => {
    const mapping = parseMapping(`
source: s
format: jsonl
clean: { a: { trim: true, impute: { value: none } }, n: { validate: { max: 5, otherwise: null } } }
identifiers: { user_id: id }
event: { type: track, name: seen }
`);
    const cleaner = new RowCleaner(mapping, null);
    const clean = (record: SourceRow['record']) =>
      cleaner.clean({ number: 1, cells: null, record, fault: null }).record;
    expect(clean({ id: 'u', a: ' x ', n: 5 })).toEqual({ id: 'u', a: 'x', n: 5 });
    expect(clean({ id: 'u', n: 6 })).toEqual({ id: 'u', a: 'none', n: null });
  });

  it('tells what is wrong with it, and takes tables of files into the mapping', () => {
    const invalid = (yaml: string): string => {
      try {
        mappingWith(yaml);
        return '';
      } catch (error) {
        return error instanceof Error ? error.message : '';
      }
    };
    expect(invalid(`clean: { a: { validate: { pattern: '(' } } }`)).toContain(
      'clean.a.validate.pattern: not a pattern of RE2',
    );
    expect(invalid('clean: { a: { impute: next } }')).toContain('clean.a.impute: must be one of previous');
    expect(invalid('clean: { a: { mapFile: t.csv } }')).toContain('is a file, which only weft load reads');
    expect(invalid('dedupe: { keep: first }')).toContain('"by" must name at least one column');
    const yaml = 'source: s\nformat: csv\nidentifiers: { user_id: id }\nevent: { type: identify }\n';
    const withFile = parseMapping(`${yaml}clean: { a: { mapFile: t.csv } }\n`, 'm', (path) => {
      expect(path).toBe('t.csv');
      return 'UK,"United Kingdom"\nDE,Germany\n';
    });
    const inlined = parseMapping(`${yaml}clean: { a: { map: { UK: United Kingdom, DE: Germany } } }\n`);
    expect(withFile.cleaning).toEqual(inlined.cleaning);
    expect(withFile.hash).toBe(inlined.hash);
    expect(parseMapping(withFile.text).hash).toBe(withFile.hash);
  });
});

describe('repeated rows', () => {
  it('are left out like those that are repeated within as many rows, in the order of the others', () => {
    const letters = fc.constantFrom('x', 'y', 'z');
    const rows = fc.array(fc.tuple(letters, letters), { maxLength: 40 });
    fc.assert(
      fc.property(rows, fc.constantFrom('first', 'last'), fc.integer({ min: 1, max: 12 }), (pairs, keep, within) => {
        const cells = pairs.map(([a, b], i) => [String(i), a, b]);
        const { units, skipped } = mapped(`dedupe: { by: [a, b], keep: ${keep}, within: ${String(within)} }`, cells);
        const same = (i: number, j: number): boolean => pairs[i]?.join() === pairs[j]?.join();
        const kept = pairs.flatMap((_, i) => {
          const others = pairs
            .map((__, j) => j)
            .filter((j) => (keep === 'first' ? j < i && i - j <= within : j > i && j - i <= within));
          return others.some((j) => same(i, j)) ? [] : [String(i)];
        });
        expect(units.map(({ event }) => event?.messageId)).toEqual(kept);
        expect(skipped).toBe(pairs.length - kept.length);
      }),
      { numRuns: 200 },
    );
  });
});
