import type { Clock } from './clock.js';

export interface Rate {
  /** Tokens that come back each second. */
  readonly tokensPerSecond: number;
  /** Tokens of a full bucket: what may be taken at once after a pause. */
  readonly burstTokens: number;
}

/** The rate of keys that come without one of their own, and how many there may be. */
export interface RateLimits extends Rate {
  /** Buckets kept. The one unused for longest goes first, which fills it: by then it is most likely full anyway. */
  readonly maxKeys: number;
}

const MAX_RATE_PER_SECOND = 1_000_000;

/** How a person is told of a number that can be no rate. */
export const RATE_HINT = `give a whole number from 1 to ${String(MAX_RATE_PER_SECOND)}, per second`;

/** Whether a rate of a key or of a source may be this. */
export function isRatePerSecond(value: number): boolean {
  return Number.isInteger(value) && value >= 1 && value <= MAX_RATE_PER_SECOND;
}

interface Bucket {
  tokens: number;
  atMs: number;
}

/** A token bucket per key. */
export class RateLimiter {
  readonly #limits: RateLimits;
  readonly #clock: Clock;
  /** In order of last use. */
  readonly #buckets = new Map<string, Bucket>();
  /** The last in it: most requests are of the key of the one before. */
  #newest = '';

  constructor(limits: RateLimits, clock: Clock) {
    this.#limits = limits;
    this.#clock = clock;
  }

  /** Keys that have a bucket now. */
  get size(): number {
    return this.#buckets.size;
  }

  /**
   * Takes the tokens and answers 0, or takes none and answers for how many ms to wait. More tokens than a bucket holds
   * are granted to a full one, and owed: else they would never be.
   * @param rate of this key
   */
  take(key: string, tokens: number, rate: Rate = this.#limits): number {
    const bucket = this.#refilled(key, rate);
    const missing = Math.min(tokens, rate.burstTokens) - bucket.tokens;
    if (missing > 0) return Math.ceil((missing / rate.tokensPerSecond) * 1_000);
    bucket.tokens -= tokens;
    return 0;
  }

  /** For tokens that were granted and then not used. */
  giveBack(key: string, tokens: number): void {
    const bucket = this.#buckets.get(key);
    if (bucket !== undefined) bucket.tokens += tokens;
  }

  #refilled(key: string, { tokensPerSecond, burstTokens }: Rate): Bucket {
    const now = this.#clock.now();
    const found = this.#buckets.get(key);
    if (found === undefined) {
      if (this.#buckets.size >= this.#limits.maxKeys) this.#forgetOldest();
      const bucket = { tokens: burstTokens, atMs: now };
      this.#buckets.set(key, bucket);
      this.#newest = key;
      return bucket;
    }
    // A system clock can be set back; time that runs backwards refills nothing.
    const elapsedMs = Math.max(0, now - found.atMs);
    found.tokens = Math.min(burstTokens, found.tokens + (elapsedMs / 1_000) * tokensPerSecond);
    found.atMs = now;
    if (key !== this.#newest) {
      this.#buckets.delete(key);
      this.#buckets.set(key, found);
      this.#newest = key;
    }
    return found;
  }

  #forgetOldest(): void {
    for (const key of this.#buckets.keys()) {
      this.#buckets.delete(key);
      return;
    }
  }
}
