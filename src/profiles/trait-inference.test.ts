import { describe, expect, it } from 'vitest';
import { MAX_INFERRED_TRAITS, TraitInference } from './trait-inference.js';

describe('the types of traits, told from what was sent', () => {
  it('are those of nearly all values', () => {
    const inference = new TraitInference();
    for (let i = 0; i < 99; i++) inference.add({ age: i, born: '1984-01-01T00:00:00Z', tags: ['a'], name: 'Ann' });
    inference.add({ age: 'old', name: null, mixed: 1, $consent: true });
    inference.add({ mixed: 'x', born: 'long ago' });
    for (let i = 0; i < 40; i++) inference.add({ born: 'spring' });
    expect(inference.traits()).toEqual([
      { name: 'age', counts: { number: 99, string: 1 }, nulls: 0, type: 'number' },
      { name: 'born', counts: { 'date-time': 99, string: 41 }, nulls: 0, type: 'string' },
      { name: 'mixed', counts: { number: 1, string: 1 }, nulls: 0, type: null },
      { name: 'name', counts: { string: 99 }, nulls: 1, type: 'string' },
      { name: 'tags', counts: { list: 99 }, nulls: 0, type: 'list' },
    ]);
  });

  it('are told of a bounded number of traits, and the other values are counted', () => {
    const inference = new TraitInference();
    for (let i = 0; i < MAX_INFERRED_TRAITS + 3; i++) inference.add({ [`t${String(i)}`]: i });
    expect([inference.traits().length, inference.others]).toEqual([MAX_INFERRED_TRAITS, 3]);
  });
});
