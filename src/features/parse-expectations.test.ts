import { describe, expect, it } from 'vitest';
import { parseFeatures } from './parse-features.js';

const withExpect = (expect: string): string =>
  `views:\n  - name: v\n    features:\n      - { name: orders, aggregate: count }\n    expect:\n${expect}`;

describe('what a view expects of its features', () => {
  it('is read by name of the feature', () => {
    const text = withExpect('      orders: { min: 0, null_share: 0.01, fresh: 2d, psi: 0.25, steady: true }\n');
    expect(parseFeatures(text, 'f.yaml').views[0]?.expect).toEqual({
      orders: { min: 0, null_share: 0.01, fresh: '2d', psi: 0.25, steady: true },
    });
    expect(parseFeatures(withExpect('      {}\n'), 'f.yaml').views[0]).not.toHaveProperty('expect');
  });

  it.each([
    ['      order: { min: 0 }\n', /6:\d+: the view has no feature order; did you mean orders/],
    ['      orders: { null_share: 2 }\n', /6:\d+: the share without a value is no number from 0 to 1/],
    ['      orders: { min: 2, max: 1 }\n', /the greatest number is less than the least/],
    ['      orders: { fresh: 2 days }\n', /"2 days" is no length of time; write 2d/],
    ['      orders: { nulls: 0.1 }\n', /nulls/],
    ['      orders: { distinct_min: 1.5 }\n', /must be a whole number/],
  ])('is refused with its line where it cannot be: %s', (text, message) => {
    expect(() => parseFeatures(withExpect(text), 'f.yaml')).toThrow(message);
  });
});
