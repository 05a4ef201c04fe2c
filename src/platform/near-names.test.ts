import { describe, expect, it } from 'vitest';
import { editDistance, nameHint, nearestName } from './near-names.js';

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

describe('a hint about a name that there is not', () => {
  it('is the name that was meant, or else the few that there are, or else what to do', () => {
    expect(nameHint('wbe', ['web', 'app'], 'make one')).toBe('did you mean web?');
    expect(nameHint('till', ['web', 'app'], 'make one')).toBe('use one of those that there are: app, web');
    expect(nameHint('till', [], 'make one')).toBe('make one');
    const many = Array.from({ length: 9 }, (_, i) => `source-${String(i)}`);
    expect(nameHint('till', many, 'make one')).toBe('make one');
  });
});
