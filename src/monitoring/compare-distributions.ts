/*
 * How far two samples of one quantity are apart. Pure.
 */

/** Shares below this count as this, so that an empty bin gives no infinity. */
const LEAST_SHARE = 1e-4;

/**
 * The population stability index of two distributions over the same bins, in natural logarithms: the sum of
 * (a − e) · ln(a / e) over shares. It is the symmetrised divergence of S. Kullback and R. A. Leibler, "On Information and
 * Sufficiency", 1951; as an index of drift: N. Siddiqi, "Credit Risk Scorecards", 2006, by whom below 0.1 is no change,
 * 0.1 to 0.25 some, above 0.25 a great one.
 *
 * @param expected counts by bin, of the reference; @param actual counts by bin
 */
export function populationStability(expected: readonly number[], actual: readonly number[]): number {
  const [n, m] = [sumOf(expected), sumOf(actual)];
  if (n === 0 || m === 0) return 0;
  return expected.reduce((sum, count, bin) => {
    const e = Math.max(count / n, LEAST_SHARE);
    const a = Math.max((actual[bin] ?? 0) / m, LEAST_SHARE);
    return sum + (a - e) * Math.log(a / e);
  }, 0);
}

/**
 * Bounds of bins that each hold about as many of the reference; fewer where values repeat. Where the first of them would
 * hold one value alone, what is less has a bin of its own: else a fall of a value that all had would not show.
 *
 * @param sorted ascending, at least one
 * @returns the greatest value of each bin but the last
 */
export function equalBins(sorted: readonly number[], bins: number): number[] {
  const least = sorted[0] ?? NaN;
  const bounds = Array.from(
    { length: bins - 1 },
    (_, i) => sorted[Math.ceil(((i + 1) * sorted.length) / bins) - 1] ?? NaN,
  );
  return [...new Set(bounds[0] === least ? [nextBelow(least), ...bounds] : bounds)];
}

function nextBelow(value: number): number {
  return value === 0 ? -Number.MIN_VALUE : value - Math.abs(value) * Number.EPSILON;
}

/** How many values are in each of the bins that the bounds part, one more than there are bounds. */
export function countsIn(bounds: readonly number[], values: readonly number[]): number[] {
  const counts = new Array<number>(bounds.length + 1).fill(0);
  for (const value of values) {
    let bin = bounds.findIndex((bound) => value <= bound);
    if (bin < 0) bin = bounds.length;
    counts[bin] = (counts[bin] ?? 0) + 1;
  }
  return counts;
}

export interface KolmogorovSmirnov {
  /** The greatest distance of the two empirical distribution functions, 0 to 1. */
  readonly statistic: number;
  /** How probable such a distance is at least, were both samples of one distribution; asymptotic. */
  readonly pValue: number;
}

/**
 * The two-sample test of A. N. Kolmogorov (1933) and N. V. Smirnov (1948). The probability is that of the limit
 * distribution, Q(λ) = 2 Σ (−1)^(k−1) e^(−2k²λ²) with λ = √(nm / (n + m)) · D, as in W. H. Press et al., "Numerical
 * Recipes", section 14.3; for ties it is too great, so that it errs towards no difference.
 *
 * @param a ascending, at least one; @param b likewise
 */
export function kolmogorovSmirnov(a: readonly number[], b: readonly number[]): KolmogorovSmirnov {
  let [i, j, statistic] = [0, 0, 0];
  while (i < a.length && j < b.length) {
    const x = Math.min(a[i] ?? Infinity, b[j] ?? Infinity);
    while (i < a.length && a[i] === x) i++;
    while (j < b.length && b[j] === x) j++;
    statistic = Math.max(statistic, Math.abs(i / a.length - j / b.length));
  }
  const lambda = Math.sqrt((a.length * b.length) / (a.length + b.length)) * statistic;
  return { statistic, pValue: limitProbability(lambda) };
}

function limitProbability(lambda: number): number {
  // Below, the series converges slowly, and the probability is 1 to 12 digits.
  if (lambda < 0.2) return 1;
  let [sum, sign] = [0, 1];
  for (let k = 1; k <= 100; k++) {
    const term = Math.exp(-2 * k * k * lambda * lambda);
    sum += sign * term;
    if (term < 1e-16) break;
    sign = -sign;
  }
  return Math.min(1, Math.max(0, 2 * sum));
}

function sumOf(counts: readonly number[]): number {
  return counts.reduce((sum, count) => sum + count, 0);
}
