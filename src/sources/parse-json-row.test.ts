import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseJsonRow } from './parse-json-row.js';

describe('a row of JSON', () => {
  it('keeps the digits of whole numbers that a number cannot hold', () => {
    const text = '{"id":9007199254740993,"ids":[-9007199254740993,1,"9007199254740993"],"a\\"9007199254740993":1.5e20}';
    expect(parseJsonRow(text)).toEqual({
      id: '9007199254740993',
      ids: ['-9007199254740993', 1, '9007199254740993'],
      'a"9007199254740993': 1.5e20,
    });
  });

  it('is what JSON is otherwise', () => {
    const digits = fc.constantFrom('9007199254740991', '"\\', '1234567890123456789', '\\"', '{"a":12345678901234567}');
    const value = fc.jsonValue().chain((json) => digits.map((text) => ({ json, [text]: text })));
    fc.assert(
      fc.property(value, (json) => {
        const text = JSON.stringify(json, (_key, each: unknown) => (isHuge(each) ? 0 : each));
        expect(parseJsonRow(text)).toEqual(JSON.parse(text));
      }),
    );
    expect(() => parseJsonRow('{"a":01234567890123456789}')).toThrow(SyntaxError);
  });
});

function isHuge(value: unknown): boolean {
  return Number.isInteger(value) && !Number.isSafeInteger(value);
}
