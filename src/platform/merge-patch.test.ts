import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { applyMergePatch, composeMergePatches } from './merge-patch.js';

describe('applyMergePatch', () => {
  // RFC 7396, appendix A.
  it.each<[unknown, unknown, unknown]>([
    [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
    [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }],
    [{ a: 'b' }, { a: null }, {}],
    [{ a: 'b', b: 'c' }, { a: null }, { b: 'c' }],
    [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
    [{ a: 'c' }, { a: ['b'] }, { a: ['b'] }],
    [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
    [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
    [
      ['a', 'b'],
      ['c', 'd'],
      ['c', 'd'],
    ],
    [{ a: 'b' }, ['c'], ['c']],
    [{ a: 'foo' }, null, null],
    [{ a: 'foo' }, 'bar', 'bar'],
    [{ e: null }, { a: 1 }, { e: null, a: 1 }],
    [[1, 2], { a: 'b', c: null }, { a: 'b' }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ])('makes of %j by %j: %j', (target, patch, result) => {
    expect(applyMergePatch(target, patch)).toEqual(result);
  });

  it('reaches no prototype, and changes neither argument', () => {
    const target = JSON.parse('{"a":{"b":1}}') as unknown;
    const patch = JSON.parse(
      '{"__proto__":{"polluted":1},"a":{"constructor":{"prototype":{"polluted":1}}}}',
    ) as unknown;
    expect(applyMergePatch(target, patch)).toEqual({ a: { b: 1 } });
    expect(({} as { polluted?: number }).polluted).toBeUndefined();
    expect(target).toEqual({ a: { b: 1 } });
  });
});

describe('composeMergePatches', () => {
  it('does at once what two patches do one after the other, where neither turns what is an object into none', () => {
    const leaf = fc.constantFrom(1, 'x', true);
    const deep = fc.dictionary(fc.constantFrom('a', 'b'), leaf, { minKeys: 1 });
    const target = fc.record({ o: deep, p: leaf }, { requiredKeys: [] });
    const patch = fc.record(
      {
        o: fc.dictionary(fc.constantFrom('a', 'b'), fc.oneof(leaf, fc.constant(null))),
        p: fc.oneof(leaf, fc.constant(null)),
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(target, patch, patch, (document, first, second) => {
        expect(applyMergePatch(document, composeMergePatches(first, second))).toEqual(
          applyMergePatch(applyMergePatch(document, first), second),
        );
      }),
    );
  });
});
