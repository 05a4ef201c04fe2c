import {
  levelWeights,
  probabilityOfWeight,
  UNSEEN_PROBABILITY,
  weightOfProbability,
  type Comparison,
} from './linkage-model.model.js';

/**
 * Pairs that are on the same levels, counted together. `levels` has one index for each comparison, -1 for none, and
 * `adjustment` is what term frequencies add to their weight, rounded to a quarter of a bit.
 */
export interface Pattern {
  readonly levels: readonly number[];
  readonly adjustment: number;
  count: number;
}

export interface EmOptions {
  /** Probability that a pair among the patterns is a match, to start from. */
  readonly startPrior: number;
  readonly maxIterations: number;
  /** Ends when no probability changed by more. */
  readonly convergence: number;
}

export interface EmResult {
  /** By comparison, by level; null of a level that no pair is on. */
  readonly m: readonly (readonly (number | null)[])[];
  /** The share of matches among the patterns. */
  readonly prior: number;
  readonly iterations: number;
}

/**
 * Estimates m by expectation and maximisation, u being known: the probability of each pattern to be a match by the m so
 * far, and from these the m that make the patterns likeliest. Levels whose m is fixed keep it.
 * Source: A. P. Dempster, N. M. Laird, D. B. Rubin, JRSS B 39 (1977); W. E. Winkler, Using the EM algorithm for weight
 * computation in the Fellegi–Sunter model of record linkage (1988).
 */
export function estimateM(
  comparisons: readonly Comparison[],
  patterns: readonly Pattern[],
  options: EmOptions,
): EmResult {
  const pairs = patterns.reduce((sum, { count }) => sum + count, 0);
  let { startPrior: prior } = options;
  let current = comparisons;
  let m: (number | null)[][] = [];
  for (let iteration = 1; ; iteration++) {
    const { counts, matches } = expected(current, patterns, prior);
    m = current.map((comparison, c) => shares(comparison, counts[c] ?? []));
    const nextPrior = Math.min(1 - 1e-9, Math.max(1e-12, matches / pairs));
    const change = Math.max(Math.abs(nextPrior - prior), largestChange(current, m));
    prior = nextPrior;
    current = current.map((comparison, c) => withM(comparison, m[c] ?? []));
    if (change < options.convergence || iteration >= options.maxIterations) return { m, prior, iterations: iteration };
  }
}

/** How many matches are to be expected on each level of each comparison, and in all. */
function expected(comparisons: readonly Comparison[], patterns: readonly Pattern[], prior: number) {
  const weights = comparisons.map(levelWeights);
  const counts = comparisons.map(({ levels }) => new Float64Array(levels.length));
  const start = weightOfProbability(prior);
  let matches = 0;
  for (const { levels, adjustment, count } of patterns) {
    let weight = start + adjustment;
    for (let c = 0; c < levels.length; c++) {
      const level = levels[c] as number;
      if (level >= 0) weight += (weights[c] as number[])[level] as number;
    }
    const share = probabilityOfWeight(weight) * count;
    matches += share;
    for (let c = 0; c < levels.length; c++) {
      const level = levels[c] as number;
      const ofComparison = counts[c] as Float64Array;
      if (level >= 0) ofComparison[level] = (ofComparison[level] as number) + share;
    }
  }
  return { counts, matches };
}

function shares({ levels }: Comparison, counts: ArrayLike<number>): (number | null)[] {
  let total = 0;
  levels.forEach(({ isNull }, i) => (total += isNull ? 0 : (counts[i] ?? 0)));
  return levels.map(({ isNull, isMFixed, m }, i) => {
    if (isNull) return null;
    if (isMFixed) return m;
    const count = counts[i] ?? 0;
    return count === 0 || total === 0 ? null : count / total;
  });
}

function largestChange(comparisons: readonly Comparison[], m: readonly (readonly (number | null)[])[]): number {
  let most = 0;
  comparisons.forEach(({ levels }, c) => {
    levels.forEach((level, i) => {
      most = Math.max(most, Math.abs((m[c]?.[i] ?? 0) - (level.m ?? 0)));
    });
  });
  return most;
}

/** The comparison with these m; a level that was not seen is as good as impossible while EM runs. */
export function withM(comparison: Comparison, m: readonly (number | null)[]): Comparison {
  return {
    ...comparison,
    levels: comparison.levels.map((level, i) => (level.isNull ? level : { ...level, m: m[i] ?? UNSEEN_PROBABILITY })),
  };
}
