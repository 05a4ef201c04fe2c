import fc from 'fast-check';
import { expect, it } from 'vitest';
import { insertAt, trimmed } from './insert-at.js';

it('inserts as splice does, however long the array is', () => {
  fc.assert(
    fc.property(fc.array(fc.integer(), { maxLength: 20 }), fc.nat(), fc.integer(), (array, at, element) => {
      const position = at % (array.length + 1);
      const expected = [...array];
      expected.splice(position, 0, element);
      expect(insertAt([...array], position, element)).toEqual(expected);
      expect(trimmed(expected)).toEqual(expected);
    }),
  );
});
