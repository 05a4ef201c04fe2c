import { AdaptiveWindow } from './adaptive-window.js';

/** Values by which the others are ranked, before anything is told. */
const WARM_UP = 256;
/** How probable it may be that a change is told where there is none, for each look. */
const DELTA = 0.002;
/** The mean rank has to move so far; a smaller change of much traffic is no news. */
export const LEAST_SHIFT = 0.1;

/** That values have become greater or less. */
export interface LiveShift {
  /** About when, ms: to the size of the window's oldest part. */
  readonly since: number;
  /** How far the mean rank has moved, 0 to 1. */
  readonly by: number;
}

/**
 * ADWIN over a stream of values, which are ranked among the first 256 of them, as its bound is for numbers from 0 to 1 and
 * one great number must not hide the others. After a change it begins anew. Memory grows with the logarithm of the stream.
 */
export class LiveWindow {
  #warmUp: number[] = [];
  #reference: Float64Array | null = null;
  #window = new AdaptiveWindow(DELTA);
  /** Where the window was cut last, ms; null: never. */
  #since: number | null = null;

  /** Values that are looked at; 0 until there are enough to rank them by. */
  get count(): number {
    return this.#window.count;
  }

  /**
   * @param values in the order in which they were computed
   * @param at when, ms
   * @returns null: nothing has changed, as far as can be told
   */
  add(values: readonly number[], at: number): LiveShift | null {
    const ranked = this.#ranked(values);
    if (ranked.length === 0) return null;
    if (this.#window.add(ranked, at)) this.#since = this.#window.since;
    // The mean rank of the values that rank the others is a half. What a slow change drops from the window adds up so.
    const by = Math.abs(this.#window.mean - 0.5);
    if (this.#since === null || by < LEAST_SHIFT) return null;
    const shift = { since: this.#since, by };
    this.#begin();
    return shift;
  }

  #ranked(values: readonly number[]): number[] {
    const reference = this.#reference;
    if (reference !== null) return values.map((value) => midRank(reference, value));
    this.#warmUp.push(...values);
    if (this.#warmUp.length < WARM_UP) return [];
    this.#reference = Float64Array.from(this.#warmUp).sort();
    this.#warmUp = [];
    return [];
  }

  #begin(): void {
    this.#reference = null;
    this.#window = new AdaptiveWindow(DELTA);
    this.#since = null;
  }
}

/** The share of numbers that are less, and half of those that are the same. @param sorted ascending, at least one */
export function midRank(sorted: Float64Array, value: number): number {
  const firstWhere = (isThere: (each: number) => boolean): number => {
    let [low, high] = [0, sorted.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (isThere(sorted[middle] ?? Infinity)) high = middle;
      else low = middle + 1;
    }
    return low;
  };
  return (firstWhere((each) => each >= value) + firstWhere((each) => each > value)) / (2 * sorted.length);
}
