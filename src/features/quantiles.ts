/**
 * The quantile at `p` of numbers in ascending order, by linear interpolation of the order statistics: definition 7 of
 * R. J. Hyndman and Y. Fan, "Sample Quantiles in Statistical Packages", 1996, which NumPy takes by default.
 *
 * @param sorted ascending, at least one
 * @param p 0 to 1
 */
export function quantileOf(sorted: ArrayLike<number>, p: number): number {
  const at = p * (sorted.length - 1);
  const below = Math.floor(at);
  const low = sorted[below] ?? NaN;
  const high = sorted[Math.min(below + 1, sorted.length - 1)] ?? NaN;
  return low === high ? low : low + (high - low) * (at - below);
}

/** Mean and standard deviation, in one pass that loses no digits to great numbers. */
export interface Moments {
  readonly mean: number;
  /** Of the population: divided by n. */
  readonly stddev: number;
}

/**
 * B. P. Welford, "Note on a Method for Calculating Corrected Sums of Squares and Products", 1962.
 * @param values at least one
 */
export function momentsOf(values: Iterable<number>): Moments {
  let [count, mean, squares] = [0, 0, 0];
  for (const value of values) {
    count += 1;
    const before = value - mean;
    mean += before / count;
    squares += before * (value - mean);
  }
  return { mean, stddev: Math.sqrt(squares / count) };
}

export interface HistogramBin {
  /** Inclusive. */
  readonly from: number;
  /** Exclusive, but for the last bin, which has its end, too. */
  readonly to: number;
  readonly count: number;
}

/**
 * How many numbers fall into each of some bins of equal width, from the least to the greatest; one bin where all are the
 * same.
 *
 * @param sorted ascending, at least one
 */
export function histogramOf(sorted: ArrayLike<number>, bins: number): HistogramBin[] {
  const from = sorted[0] ?? NaN;
  const to = sorted[sorted.length - 1] ?? NaN;
  const width = (to - from) / bins;
  if (!(width > 0) || !Number.isFinite(width)) return [{ from, to, count: sorted.length }];
  const counts = new Array<number>(bins).fill(0);
  for (let i = 0; i < sorted.length; i++) {
    const bin = Math.min(bins - 1, Math.floor(((sorted[i] ?? from) - from) / width));
    counts[bin] = (counts[bin] ?? 0) + 1;
  }
  return counts.map((count, bin) => ({
    from: from + bin * width,
    to: bin === bins - 1 ? to : from + (bin + 1) * width,
    count,
  }));
}
