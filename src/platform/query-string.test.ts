import { parse } from 'node:querystring';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { parseQueryString } from './query-string.js';

it('reads whatever a browser writes', () => {
  const pair = fc.tuple(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'grapheme' }));
  fc.assert(
    fc.property(fc.array(pair, { maxLength: 10 }), (pairs) => {
      const search = new URLSearchParams(pairs);
      const expected = new Map([...new Set(search.keys())].map((name) => [name, search.getAll(name)]));
      const found = new Map(
        Object.entries(parseQueryString(search.toString())).map(([name, value]) => [name, [value].flat()]),
      );
      expect(found).toEqual(expected);
    }),
  );
});

it('reads what is oddly put together as Node does', () => {
  const text = fc.array(fc.constantFrom('a', 'b', '=', '&', '+', '%20', '%C3%A4', '__proto__'), { maxLength: 20 });
  fc.assert(
    fc.property(text, (parts) => {
      expect({ ...parseQueryString(parts.join('')) }).toEqual({ ...parse(parts.join('')) });
    }),
  );
});

it('leaves what is not well-formed as it is', () => {
  expect({ ...parseQueryString('a=%zz&b=%E4+c&%=1') }).toEqual({ a: '%zz', b: '%E4 c', '%': '1' });
});
