import { describe, expect, it } from 'vitest';

import type { IncomingEvent } from '../events/event.model.js';
import { RowMapper, RowRefusal } from './compile-mapping.js';
import { parseMapping } from './parse-mapping.js';
import type { SourceRow } from './row.model.js';

const CSV = 'source: s\nformat: csv\n';
const JSONL = 'source: s\nformat: jsonl\n';
const WHO = 'identifiers: { user_id: id }\nevent: { type: track, name: seen }\n';
const HASH = 'f'.repeat(64);

/** What one row becomes: its event, `null` where it is left out, or `CODE: reason`. */
function map(yaml: string, values: Record<string, unknown>, timeShiftMs = 0): IncomingEvent | null | string {
  const mapping = parseMapping(yaml);
  const isCsv = mapping.format === 'csv';
  const mapper = new RowMapper(mapping, isCsv ? Object.keys(values) : null, { fileHash: HASH, timeShiftMs });
  const row = {
    number: 7,
    cells: isCsv ? (Object.values(values) as string[]) : null,
    record: isCsv ? null : values,
    fault: null,
  } as SourceRow;
  try {
    if (!mapper.isWanted(row)) return null;
    mapper.enter(row);
    return mapper.event(row);
  } catch (error) {
    if (error instanceof RowRefusal) return `${error.code}: ${error.reason}`;
    throw error;
  }
}

describe('mapping a row', () => {
  it('makes what it says of purposes consents of the event, and refuses what says neither yes nor no', () => {
    const yaml = `${CSV}${WHO}consents: { mail: opt_in, post: { column: post, default: denied }, ads: ads }\n`;
    const row = { id: 'u', opt_in: 'Yes', post: '', ads: '' };
    expect(map(yaml, row)).toMatchObject({ context: { consent: { purposes: { mail: 'granted', post: 'denied' } } } });
    expect(map(yaml, { ...row, ads: 'denied' })).toMatchObject({
      context: { consent: { purposes: { ads: 'denied' } } },
    });
    expect(map(yaml, { ...row, ads: 'maybe' })).toBe('BAD_VALUE: the consent to "ads" is neither granted nor denied');
    const timed = `${JSONL}${WHO}consents: { mail: mail }\n`;
    const mail = { status: 'granted', expiresAt: '2027-01-01' };
    expect(map(timed, { id: 'u', mail })).toMatchObject({
      context: { consent: { purposes: { mail: { status: 'granted', expiresAt: Date.UTC(2027, 0, 1) } } } },
    });
  });

  it('makes an event of its columns', () => {
    const yaml = `${CSV}time: { column: at, zone: Europe/Paris }
identifiers: { crm_id: { column: customer, transforms: [trim, stripDecimal] }, email: { column: mail, transforms: [trim, lower] } }
event: { type: identify, groupId: firm }
traits: { age: { column: age, type: int }, vip: { column: vip, type: bool }, tags: { column: tags, type: json }, tier: { column: tier, default: none } }
context: { origin: { const: { system: crm } } }
`;
    const values = {
      at: '2024-01-01 12:00:00',
      customer: '17850.0',
      mail: ' A@X.org ',
      firm: 'acme',
      age: '41',
      vip: 'Yes',
      tags: '["a"]',
      tier: '',
    };
    expect(map(yaml, values)).toEqual({
      type: 'identify',
      messageId: `${HASH.slice(0, 32)}:7`,
      identifiers: [
        { ns: 'crm_id', value: '17850' },
        { ns: 'email', value: 'a@x.org' },
      ],
      timestampMs: Date.UTC(2024, 0, 1, 11),
      groupId: 'acme',
      properties: {},
      traits: { age: 41, vip: true, tags: ['a'], tier: 'none' },
      context: { origin: { system: 'crm' } },
    });
  });

  it('leaves empty cells out, and those that mean nothing', () => {
    const yaml = `${CSV}nulls: ["N/A"]\n${WHO}properties: { a: a, b: b, c: { column: c, transforms: [trim] } }`;
    expect(map(yaml, { id: 'u', a: '', b: 'N/A', c: ' N/A ' })).toMatchObject({ properties: {} });
    expect(map(yaml, { id: 'N/A', a: '0', b: 'false', c: 'x' })).toMatchObject({
      identifiers: [],
      properties: { a: '0', b: 'false', c: 'x' },
    });
  });

  it('shifts times by the load', () => {
    expect(map(`${CSV}time: at\n${WHO}`, { id: 'u', at: '2024-01-01' }, 5)).toMatchObject({
      timestampMs: Date.UTC(2024, 0, 1) + 5,
    });
  });

  it('computes with numbers of any type and rounds to micro-units', () => {
    const yaml = `${CSV}columns: { n: int, price: double }\nwhen: n > 0 && id != ""\n${WHO}properties: { total: { cel: n * price }, twice: { cel: n * 2 }, big: { cel: n == 6 }, text: { cel: 'id + "!"' } }`;
    expect(map(yaml, { id: 'u', n: '6', price: '2.55' })).toMatchObject({
      properties: { total: 15.3, twice: 12, big: true, text: 'u!' },
    });
    expect(map(yaml, { id: 'u', n: '-6', price: 'rubbish' })).toBeNull();
    expect(map(yaml, { id: 'u', n: '6', price: '' })).toBe('BAD_EXPRESSION: "n * price": column "price" is empty');
    expect(map(yaml, { id: 'u', n: '6', price: 'free' })).toBe('BAD_VALUE: column "price": "free" is not a number');
  });

  it('tests for presence with has()', () => {
    const yaml = `${CSV}columns: { n: int }\nwhen: has(row.n) && row["first name"] == "Ada"\n${WHO}`;
    expect(map(yaml, { id: 'u', n: '', 'first name': 'Ada' })).toBeNull();
    expect(map(yaml, { id: 'u', n: '1', 'first name': 'Ada' })).not.toBeNull();
  });

  it('reads JSON rows by name and by path, with their own types', () => {
    const yaml = `${JSONL}when: user.age > 17\nidentifiers: { user_id: user.id }\nevent: { type: { column: type }, name: { column: event } }\nproperties: { age: user.age, "all": user, flat: a.b }`;
    const user = { id: 12, age: 18 };
    expect(map(yaml, { type: 'track', event: 'seen', user, 'a.b': true })).toMatchObject({
      type: 'track',
      name: 'seen',
      identifiers: [{ ns: 'user_id', value: '12' }],
      properties: { age: 18, all: user, flat: true },
    });
    expect(map(yaml, { type: 'buy', event: 'seen', user })).toBe('BAD_VALUE: column "type" is no type of an event');
    expect(map(yaml, { type: 'track', event: null, user })).toBe('NAME_MISSING: the event has no name');
    expect(map(yaml, { type: 'page', event: null, user })).toMatchObject({ type: 'page' });
  });

  it('takes a list or an object for its JSON where a text is asked for, and for no truth value', () => {
    const who = 'identifiers: { user_id: id }\nevent: { type: group, groupId: firm }\n';
    expect(map(`${JSONL}${who}`, { id: 'u', firm: { a: 1 } })).toMatchObject({ groupId: '{"a":1}' });
    const yaml = `${JSONL}${WHO}traits: { vip: { column: vip, type: bool } }`;
    expect(map(yaml, { id: 'u', vip: ['true'] })).toBe('BAD_VALUE: column "vip": "[\\"true\\"]" is not true or false');
  });

  it('does not reach into prototypes', () => {
    expect(
      map(`${JSONL}${WHO}properties: { a: __proto__, b: constructor.name, c: toString }`, { id: 'u' }),
    ).toMatchObject({
      properties: {},
    });
  });

  it('chooses names by the first case that holds', () => {
    const yaml = (cases: string): string =>
      `${CSV}identifiers: { user_id: id }\nevent: { type: track, name: { switch: ${cases} } }`;
    const cases = `[{ when: 'id.startsWith("C")', name: back }, { name: bought }]`;
    expect(map(yaml(cases), { id: 'C1' })).toMatchObject({ name: 'back' });
    expect(map(yaml(cases), { id: '1' })).toMatchObject({ name: 'bought' });
    expect(map(yaml(`[{ when: 'id == ""', name: none }]`), { id: '1' })).toMatch(/^NO_CASE: /);
  });

  it('builds keys, hashes long ones and refuses empty parts', () => {
    const yaml = `${CSV}key: "{a}-{b}"\n${WHO}`;
    expect(map(yaml, { id: 'u', a: '1', b: '2' })).toMatchObject({ messageId: '1-2' });
    expect(map(yaml, { id: 'u', a: 'x'.repeat(300), b: '2' })).toMatchObject({
      messageId: expect.stringMatching(/^sha256:[0-9a-f]{64}$/) as string,
    });
    expect(map(yaml, { id: 'u', a: '1', b: '' })).toBe('KEY_MISSING: column "b" is empty, and the key needs it');
  });

  it.each([
    ['int', '1.5', 'an integer'],
    ['int', '0x10', 'an integer'],
    ['int', '9007199254740993', 'an integer'],
    ['double', '1,5', 'a number ("decimal" of "clean" reads commas)'],
    ['double', 'Infinity', 'a number'],
    ['double', '1e999', 'a number'],
    ['bool', 'maybe', 'true or false'],
  ])('refuses as %s: %j', (type, cell, expected) => {
    const yaml = `${CSV}${WHO}properties: { a: { column: a, type: ${type} } }`;
    expect(map(yaml, { id: 'u', a: cell })).toBe(`BAD_VALUE: column "a": ${JSON.stringify(cell)} is not ${expected}`);
  });

  it.each([
    ['int', ' +6.0 ', 6],
    ['int', '-0', 0],
    ['int', '1e3', 1_000],
    ['double', '.5', 0.5],
    ['bool', 'F', false],
    ['string', '007', '007'],
  ])('reads as %s: %j', (type, cell, expected) => {
    const yaml = `${CSV}${WHO}properties: { a: { column: a, type: ${type} } }`;
    expect(map(yaml, { id: 'u', a: cell })).toMatchObject({ properties: { a: expected } });
  });

  it('says which columns a header lacks, with near names, and which it has twice', () => {
    const mapping = parseMapping(`${CSV}${WHO}properties: { c: Country, d: Descripton }`);
    const make = (header: string[]): RowMapper => new RowMapper(mapping, header, { fileHash: HASH, timeShiftMs: 0 });
    expect(() => make(['id', 'id', 'Country', 'Description'])).toThrow(
      'the header does not fit the mapping:\n  column "id" occurs more than once\n  no column "Descripton"; did you mean "Description"?',
    );
  });
});
