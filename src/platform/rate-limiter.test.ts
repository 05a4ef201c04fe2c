import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ManualClock } from './clock.js';
import { RateLimiter } from './rate-limiter.js';

function limiter(limits: Partial<{ tokensPerSecond: number; burstTokens: number; maxKeys: number }> = {}) {
  const clock = new ManualClock(1_000_000);
  const full = { tokensPerSecond: 10, burstTokens: 20, maxKeys: 100, ...limits };
  return { clock, limiter: new RateLimiter(full, clock) };
}

describe('RateLimiter', () => {
  it('grants a burst, then says how long to wait, and grants after exactly that', () => {
    const { clock, limiter: rates } = limiter();
    expect(rates.take('a', 20)).toBe(0);
    expect(rates.take('a', 5)).toBe(500);
    clock.advance(499);
    expect(rates.take('a', 5)).toBe(1);
    clock.advance(1);
    expect(rates.take('a', 5)).toBe(0);
  });

  it('keeps keys apart', () => {
    const { limiter: rates } = limiter();
    rates.take('a', 20);
    expect(rates.take('a', 1)).toBeGreaterThan(0);
    expect(rates.take('b', 20)).toBe(0);
  });

  it('grants more than a bucket holds to a full one, which then owes it', () => {
    const { clock, limiter: rates } = limiter();
    expect(rates.take('a', 100)).toBe(0);
    expect(rates.take('a', 1)).toBe(8_100);
    clock.advance(8_100);
    expect(rates.take('a', 1)).toBe(0);
  });

  it('lets a key have a rate of its own, from when it is given', () => {
    const { clock, limiter: rates } = limiter();
    const own = { tokensPerSecond: 1, burstTokens: 2 };
    expect(rates.take('a', 2, own)).toBe(0);
    expect(rates.take('a', 1, own)).toBe(1_000);
    expect(rates.take('b', 20)).toBe(0);
    clock.advance(60_000);
    expect(rates.take('a', 20)).toBe(0);
    clock.advance(60_000);
    expect(rates.take('a', 2, own)).toBe(0);
    expect(rates.take('a', 1, own)).toBe(1_000);
  });

  it('grants again what was given back', () => {
    const { limiter: rates } = limiter();
    rates.take('a', 20);
    rates.giveBack('a', 20);
    rates.giveBack('nobody', 20);
    expect(rates.take('a', 20)).toBe(0);
    expect(rates.take('a', 1)).toBe(100);
    expect(rates.size).toBe(1);
  });

  it('holds no more keys than its bound, and forgets the one unused for longest', () => {
    const { limiter: rates } = limiter({ maxKeys: 2 });
    rates.take('a', 20);
    rates.take('b', 20);
    rates.take('a', 0);
    rates.take('c', 20);
    expect(rates.size).toBe(2);
    expect(rates.take('a', 1)).toBeGreaterThan(0);
    expect(rates.take('b', 1)).toBe(0);
  });

  it('never grants more than the burst and the rate allow, whatever is asked when', () => {
    const asks = fc.array(fc.record({ waitMs: fc.nat(3_000), tokens: fc.integer({ min: 1, max: 20 }) }), {
      maxLength: 60,
    });
    fc.assert(
      fc.property(asks, (steps) => {
        const { clock, limiter: rates } = limiter();
        let granted = 0;
        for (const { waitMs, tokens } of steps) {
          clock.advance(waitMs);
          if (rates.take('a', tokens) === 0) granted += tokens;
          expect(granted).toBeLessThanOrEqual(20 + ((clock.now() - 1_000_000) / 1_000) * 10 + 1e-6);
        }
      }),
    );
  });
});
