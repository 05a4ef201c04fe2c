import { describe, expect, it } from 'vitest';
import { editDistance, nearestName } from './near-names.js';

describe('the nearest name', () => {
  it.each([
    ['', 'abc', 3],
    ['kitten', 'sitting', 3],
    ['spnd', 'spend', 1],
    ['sepnd', 'spend', 1],
    ['same', 'same', 0],
  ])('is by edits: %s to %s is %i', (a, b, distance) => {
    expect(editDistance(a, b)).toBe(distance);
    expect(editDistance(b, a)).toBe(distance);
  });

  it('is the one with the fewest edits, then the first by name', () => {
    expect(nearestName('spnd_90d', ['spend_30d', 'spend_90d', 'orders_90d'])).toBe('spend_90d');
    expect(nearestName('spend_40d', ['spend_90d', 'spend_30d'])).toBe('spend_30d');
    expect(nearestName('Spend_90d', ['spend_90d'])).toBe('spend_90d');
  });

  it('is none where all are far', () => {
    expect(nearestName('zzz', ['spend_90d', 'abc'])).toBeUndefined();
    expect(nearestName('x'.repeat(100), ['x'.repeat(99)])).toBeUndefined();
  });
});
