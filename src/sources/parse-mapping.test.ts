import { describe, expect, it } from 'vitest';

import { WeftError } from '../platform/errors.js';
import { columnsOf } from './mapping.model.js';
import { parseMapping } from './parse-mapping.js';

const ORDERS = `
source: orders
format: csv
columns: { Quantity: int, UnitPrice: double }
group:
  by: [InvoiceNo]
  lines: { path: lines, fields: { sku: StockCode, quantity: Quantity } }
key: "{InvoiceNo}"
when: Quantity != 0
time: { column: InvoiceDate, format: "yyyy-MM-dd HH:mm:ss", zone: Europe/London }
identifiers:
  crm_id: { column: CustomerID, transforms: [trim, stripDecimal] }
event:
  type: track
  name: { switch: [{ when: 'InvoiceNo.startsWith("C")', name: order_cancelled }, { name: order_completed }] }
properties: { total: { sum: Quantity * UnitPrice }, lines_back: { count: Quantity < 0 }, country: Country, kind: { const: b2c } }
errors: 30%
`;

/** The lines of the error that a mapping causes. */
function problems(yaml: string): string[] {
  try {
    parseMapping(yaml, 'm.yaml');
  } catch (error) {
    if (error instanceof WeftError && error.code === 'DEFINITION_INVALID') return error.message.split('\n  ').slice(1);
    throw error;
  }
  return [];
}

const MINIMAL = 'source: s\nformat: csv\nidentifiers: { user_id: id }\nevent: { type: track, name: seen }\n';

describe('mapping files', () => {
  it('are read with all their parts', () => {
    const mapping = parseMapping(ORDERS);
    expect(mapping.source).toBe('orders');
    expect(mapping.group?.lines?.fields.map((field) => field.name)).toEqual(['sku', 'quantity']);
    expect(mapping.properties.map(({ name, value }) => [name, value.kind])).toEqual([
      ['total', 'sum'],
      ['lines_back', 'count'],
      ['country', 'column'],
      ['kind', 'constant'],
    ]);
    expect(mapping.errorLimit).toEqual({ rows: 1_000, share: 0.3 });
    expect(columnsOf(mapping).sort()).toEqual([
      'Country',
      'CustomerID',
      'InvoiceDate',
      'InvoiceNo',
      'Quantity',
      'StockCode',
      'UnitPrice',
    ]);
  });

  it('need little', () => {
    expect(parseMapping(MINIMAL)).toMatchObject({ key: null, time: null, group: null, delimiter: ',' });
  });

  it('have a hash that comments and layout do not change, and content does', () => {
    const { hash } = parseMapping(MINIMAL);
    expect(parseMapping(`# a comment\n${MINIMAL.replace('{ user_id: id }', '\n  user_id:   id')}`).hash).toBe(hash);
    expect(parseMapping(MINIMAL.replace('seen', 'viewed')).hash).not.toBe(hash);
  });

  it('tell all their problems at once, each with its line and column', () => {
    const found = problems(`source: Orders!
format: xml
keys: "{Id}"
key: "{Id"
time: { column: At, format: yyyy-MM, zone: Mars/Base }
identifiers: { Crm: Id }
event: { type: tracks, name: x }
properties:
  a: { column: A, type: integer, transforms: [trim, upcase] }
  b: { sum: A }
`);
    expect(found).toEqual([
      'm.yaml:3:1 keys: unknown field; did you mean "key"?',
      'm.yaml:2:9 format: must be one of csv, jsonl, parquet',
      expect.stringContaining('m.yaml:1:9 source: a source key has'),
      expect.stringContaining('m.yaml:7:16 event.type: must be one of identify, track'),
      expect.stringContaining('m.yaml:6:21 identifiers.Crm: a namespace has'),
      'm.yaml:4:6 key: a column is written {Column}; the braces do not match',
      'm.yaml:4:6 key: must name a column, as in "{InvoiceNo}"',
      'm.yaml:5:29 time.format: the pattern names no day (d)',
      expect.stringContaining('m.yaml:5:44 time.zone: unknown zone'),
      'm.yaml:9:25 properties.a.type: must be one of string, int, double, bool, json',
      expect.stringContaining('m.yaml:9:53 properties.a.transforms[1]: must be one of trim'),
      'm.yaml:10:13 properties.b.sum: "sum" is over the lines of a group: it needs "group"',
    ]);
  });

  it('say what is wrong with a whole map or list in the line of its key, and with an item in its own', () => {
    const found = problems(`source: orders
format: csv
identifier:
  user_id: id
identifiers:
  - user_id
event:
  type: track
  name: seen
properties:
  total:
    expression: a
  tags: { column: t, transforms: [
      trim,
      upcase] }
`);
    expect(found.map((line) => line.split(': ')[0])).toEqual([
      'm.yaml:3:1 identifier',
      'm.yaml:5:1 identifiers',
      'm.yaml:12:5 properties.total.expression',
      'm.yaml:11:3 properties.total',
      'm.yaml:15:7 properties.tags.transforms[1]',
    ]);
  });

  it.each([
    ['as it is', 'when: A == "x"\n  && && B\n', '6:6'],
    ['in quotes', 'when: \'A == "x"\n  && && B\'\n', '6:6'],
    ['as a block', 'when: | # of A\n  A == "x"\n  && && B\n', '7:6'],
    ['as a folded block', 'when: >-\n  A == "x"\n  && && B\n', '7:6'],
  ])('point at the line of an expression of several lines, written %s', (_, text, place) => {
    expect(problems(MINIMAL + text)[0]).toContain(`m.yaml:${place} when: `);
  });

  it('point into expressions', () => {
    expect(problems(`${MINIMAL}when: 'A == "x" && '`)).toEqual([expect.stringMatching(/^m\.yaml:5:19 when: /)]);
    expect(problems(`${MINIMAL}columns: { A: double }\nwhen: A + 1`)).toEqual([
      'm.yaml:6:7 when: the result is double, expected is bool',
    ]);
    expect(problems(`${MINIMAL}columns: { A: double }\nwhen: A == "x"`)).toEqual([
      expect.stringMatching(/^m\.yaml:6:7 when: no such overload: double == string/),
    ]);
    expect(problems(`${MINIMAL}when: 'A.matches("(a+)+b")'`)[0]).toContain('matches() can take unbounded time');
    expect(problems(`${MINIMAL}when: '[1].all(x, [2].all(y, x < y))'`)[0]).toContain('inside another macro');
  });

  it('that are not YAML or not a map are refused with a position', () => {
    expect(problems('source: [')[0]).toMatch(/^m\.yaml:1:/);
    expect(problems('- a')).toEqual(['m.yaml:1:1 must be a map']);
    expect(problems('')).toEqual(['m.yaml:1:1 must be a map']);
    expect(problems(MINIMAL + MINIMAL)[0]).toContain('unique');
  });

  it('tell of a namespace that no identifier may have, whose values would all be dropped', () => {
    const under = (namespace: string): string => MINIMAL.replace(/(identifiers: \{ ?)\w+/, `$1${namespace}`);
    expect(problems(under(`n${'s'.repeat(31)}`))).toEqual([]);
    expect(problems(under(`n${'s'.repeat(32)}`))).toEqual([expect.stringContaining('32 at most')]);
  });

  it('of groups need a key, and tracks a name', () => {
    expect(problems(`${MINIMAL}group: { by: [A] }`)).toEqual([
      'm.yaml:1:1 "key" is missing: the events of groups need one',
    ]);
    expect(problems(MINIMAL.replace(', name: seen', ''))).toEqual([
      'm.yaml:4:8 event: an event of type track needs a "name"',
    ]);
  });
});
