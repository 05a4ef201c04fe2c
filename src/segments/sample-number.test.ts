import { describe, expect, it } from 'vitest';
import { sampleNumber } from './sample-number.js';

const IDS = Array.from({ length: 20_000 }, (_, i) => `018f0000-0000-7000-8000-${i.toString(16).padStart(12, '0')}`);

describe('the number of a profile in a sample', () => {
  it('is the documented one', () => {
    // printf 'spring:018f0000-0000-7000-8000-000000000000' | sha256sum, its first 12 digits over 16^12
    expect(sampleNumber('spring', IDS[0] ?? '')).toBe(0.3212909045230887);
  });

  it('takes the share that is asked for, of names apart from one another', () => {
    const spring = IDS.filter((id) => sampleNumber('spring', id) < 0.1);
    const both = spring.filter((id) => sampleNumber('autumn', id) < 0.1);
    // Four standard deviations of the binomial distributions.
    expect(Math.abs(spring.length - 2_000)).toBeLessThan(170);
    expect(Math.abs(both.length - 200)).toBeLessThan(57);
  });
});
