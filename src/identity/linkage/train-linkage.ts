import { WeftError } from '../../platform/errors.js';
import { blockingColumns, forEachCandidate, RuleBlocks } from './blocking.js';
import { columnsOf, exactColumnsOf } from './condition.model.js';
import { ComparedPairs } from './count-patterns.js';
import { estimateM, withM } from './estimate-m.js';
import {
  levelWeights,
  probabilitiesOf,
  probabilityOfWeight,
  ruleText,
  weightOfProbability,
  type BlockingRule,
  type Comparison,
  type LinkageModel,
  type LinkageRecord,
} from './linkage-model.model.js';
import { PairScorer, ScoringParts, scoredColumns } from './pair-scorer.js';
import { randomNumbers, type RandomNumbers } from './random-numbers.js';
import { withVersion } from './read-linkage-model.js';
import { RecordTable } from './record-table.js';
import { countTerms } from './term-frequencies.js';

export interface TrainingOptions {
  /** The same seed, settings and records give the same model, to the last bit. */
  readonly seed: number;
  /** Pairs to estimate u from. */
  readonly maxSampledPairs: number;
  /** Pairs that one pass of EM goes through; of a rule that makes more, a random share. */
  readonly maxPassPairs: number;
  readonly onProgress?: (step: TrainingStep) => void;
  /** Awaited from time to time; what it throws ends the training. */
  readonly breathe?: () => Promise<void>;
}

export const DEFAULT_TRAINING = { seed: 1, maxSampledPairs: 1_000_000, maxPassPairs: 2_000_000 };
const MAX_ITERATIONS = 50;
const CONVERGENCE = 1e-4;
/** A level that the sample does not have is taken to be in it half a time. */
const UNSEEN_COUNT = 0.5;

const PAIRS_A_BATCH = 50_000;
/** Pairs of passes that are kept for the second time that m is estimated, of all passes together; others are made anew. */
const MAX_KEPT_PAIRS = 10_000_000;

/** What has just been estimated. */
export type TrainingStep =
  | { readonly kind: 'prior'; readonly pairs: number; readonly prior: number }
  | { readonly kind: 'u'; readonly pairs: number }
  | { readonly kind: 'pass'; readonly rule: string; readonly pairs: number; readonly iterations: number }
  | { readonly kind: 'skipped'; readonly rule: string; readonly reason: string };

/**
 * Trains settings on records without knowing who is who:
 *
 * 1. the prior from rules that hardly ever join different people, and the share of all matches that these find;
 * 2. u from random pairs, nearly all of which are of different people, less what the others are expected to add;
 * 3. m by EM, one pass for each rule (settings without passes: each blocking rule), of the comparisons that read none of
 *    its columns; of several passes, the median;
 * 4. frequencies of the values whose levels are adjusted by them.
 *
 * @throws WeftError BAD_REQUEST if there are fewer than two records or no pass found a pair
 */
export async function trainLinkage(
  settings: LinkageModel,
  records: readonly LinkageRecord[],
  options: TrainingOptions,
): Promise<LinkageModel> {
  if (records.length < 2) {
    throw new WeftError('BAD_REQUEST', 'there are no two records to compare', {
      hint: 'train on a file with more rows',
    });
  }
  const passes = settings.training.passes.length > 0 ? settings.training.passes : settings.blockingRules;
  const complete = { ...settings, training: { ...settings.training, passes } };
  const rules = [...settings.training.deterministicRules, ...passes];
  const columns = [...new Set([...scoredColumns(settings), ...blockingColumns(rules)])];
  const training = new Training(complete, RecordTable.of(records, settings, columns), options);
  return training.run();
}

class Training {
  readonly #settings: LinkageModel;
  readonly #table: RecordTable;
  readonly #options: TrainingOptions;
  readonly #random: RandomNumbers;
  readonly #parts: ScoringParts;
  readonly #termFrequencies: LinkageModel['termFrequencies'];
  readonly #kept = new Map<BlockingRule, ComparedPairs>();
  #keptPairs = 0;

  constructor(settings: LinkageModel, table: RecordTable, options: TrainingOptions) {
    this.#settings = settings;
    this.#table = table;
    this.#options = options;
    this.#random = randomNumbers(options.seed);
    this.#termFrequencies = new Map(termColumns(settings).map((name) => [name, countTerms(table, name)]));
    this.#parts = new ScoringParts(table, this.#termFrequencies);
  }

  async run(): Promise<LinkageModel> {
    const termFrequencies = this.#termFrequencies;
    const prior = await this.#prior();
    const sampled = await this.#sample();
    const start = { ...this.#settings, prior, termFrequencies, comparisons: this.#withU(sampled, null, prior) };
    const first = await this.#passes(start);
    // Now that m is known, the matches among the random pairs can be taken off.
    const cleaned = { ...start, comparisons: this.#withU(sampled, first, prior) };
    const comparisons = await this.#passes(cleaned);
    return withVersion({ ...cleaned, comparisons });
  }

  async #prior(): Promise<number> {
    const { training, prior } = this.#settings;
    if (training.deterministicRules.length === 0) return prior;
    let pairs = 0;
    const rules = training.deterministicRules.map((rule) => new RuleBlocks(rule, this.#table));
    await forEachCandidate(rules, () => pairs++, this.#options.breathe);
    const all = (this.#table.size * (this.#table.size - 1)) / 2;
    const estimate = pairs / training.recall / all;
    const result = pairs === 0 ? prior : Math.min(0.5, estimate);
    this.#options.onProgress?.({ kind: 'prior', pairs, prior: result });
    return result;
  }

  /** By comparison and level: how many random pairs are on it. */
  async #sample(): Promise<Float64Array[]> {
    const finders = this.#settings.comparisons.map((comparison) => this.#parts.finderOf(comparison));
    const counts = this.#settings.comparisons.map(({ levels }) => new Float64Array(levels.length));
    let pairs = 0;
    for (const { left, right } of this.#randomPairs()) {
      // One comparison after the other: what it reads of the values stays at hand.
      finders.forEach((finder, c) => {
        const ofComparison = counts[c] as Float64Array;
        for (let i = 0; i < left.length; i++) {
          const level = finder.levelOf(left[i] as number, right[i] as number);
          if (level >= 0) ofComparison[level] = (ofComparison[level] as number) + 1;
        }
      });
      pairs += left.length;
      await this.#options.breathe?.();
    }
    this.#options.onProgress?.({ kind: 'u', pairs });
    return counts;
  }

  /**
   * Pairs of different records in batches: each record in turn with one drawn at random; all pairs where there are no
   * more than are wanted.
   */
  *#randomPairs(): Generator<{ readonly left: Int32Array; readonly right: Int32Array }> {
    const { size } = this.#table;
    const all = (size * (size - 1)) / 2;
    const wanted = Math.min(all, this.#options.maxSampledPairs);
    let [a, b] = [0, 0];
    for (let done = 0; done < wanted; done += PAIRS_A_BATCH) {
      const left = new Int32Array(Math.min(PAIRS_A_BATCH, wanted - done));
      const right = new Int32Array(left.length);
      for (let i = 0; i < left.length; i++) {
        if (wanted === all) [a, b] = b + 1 < size ? [a, b + 1] : [a + 1, a + 2];
        else [a, b] = [(done + i) % size, Math.floor(this.#random() * (size - 1))];
        const other = wanted < all && b >= a ? b + 1 : b;
        left[i] = Math.min(a, other);
        right[i] = Math.max(a, other);
      }
      yield { left, right };
    }
  }

  /** @param trained comparisons whose m is known */
  #withU(sampled: readonly Float64Array[], trained: readonly Comparison[] | null, prior: number): Comparison[] {
    return this.#settings.comparisons.map((comparison, c) => {
      const counts = sampled[c] ?? new Float64Array(comparison.levels.length);
      const isSeen = (i: number): boolean => comparison.levels[i]?.isNull === false;
      const total = counts.reduce((sum, count, i) => sum + (isSeen(i) ? count : 0), 0);
      const m = trained === null ? null : probabilitiesOf(trained[c]?.levels ?? [], 'm');
      const rest = Array.from(counts, (count, i) => {
        if (!isSeen(i)) return 0;
        return Math.max(UNSEEN_COUNT, count - prior * total * (m?.[i] ?? 0));
      });
      const sum = rest.reduce((all, each) => all + each, 0);
      return {
        ...comparison,
        levels: comparison.levels.map((level, i) =>
          level.isNull || level.isUFixed ? level : { ...level, u: (rest[i] ?? 0) / sum },
        ),
      };
    });
  }

  async #passes(model: LinkageModel): Promise<Comparison[]> {
    const found = model.comparisons.map(({ levels }) => levels.map((): number[] => []));
    for (const rule of model.training.passes) {
      const m = await this.#pass(model, rule);
      m?.forEach((ofComparison, c) => {
        ofComparison?.forEach((value, i) => {
          if (value !== null) found[c]?.[i]?.push(value);
        });
      });
    }
    return model.comparisons.map((comparison, c) => {
      const medians = comparison.levels.map((level, i) => (level.isMFixed ? level.m : median(found[c]?.[i] ?? [])));
      if (medians.every((each) => each === null)) return comparison;
      return normalised(withM(comparison, medians));
    });
  }

  /** By comparison: m of each level; null of a comparison that the rule says something of. */
  async #pass(model: LinkageModel, rule: BlockingRule): Promise<(readonly (number | null)[] | null)[] | null> {
    const columns = new Set(blockingColumns([rule]));
    const isLearnt = ({ levels }: Comparison): boolean =>
      !levels.some(({ condition }) => columnsOf(condition).some((column) => columns.has(column)));
    const learnt = model.comparisons.filter(isLearnt);
    const scorer = new PairScorer({ ...model, comparisons: learnt }, this.#table, this.#parts);
    const pairs = await this.#pairsOf(rule, scorer, learnt);
    if (pairs.size === 0 || learnt.length === 0) {
      const reason = learnt.length === 0 ? 'it reads columns of all comparisons' : 'it makes no pair';
      this.#options.onProgress?.({ kind: 'skipped', rule: ruleText(rule), reason });
      return null;
    }
    const { m, iterations } = estimateM(learnt, pairs.patterns(scorer), {
      startPrior: priorWithin(rule, model),
      maxIterations: MAX_ITERATIONS,
      convergence: CONVERGENCE,
    });
    this.#options.onProgress?.({ kind: 'pass', rule: ruleText(rule), pairs: pairs.size, iterations });
    return model.comparisons.map((comparison) => m[learnt.indexOf(comparison)] ?? null);
  }

  /** The pairs of a pass, or a random share of them; the same each time. */
  async #pairsOf(rule: BlockingRule, scorer: PairScorer, learnt: readonly Comparison[]): Promise<ComparedPairs> {
    const kept = this.#kept.get(rule);
    if (kept !== undefined) return kept;
    const pairs = new ComparedPairs(learnt.map(({ levels }) => levels.length));
    const blocks = new RuleBlocks(rule, this.#table);
    const share = this.#options.maxPassPairs / blocks.countPairs();
    const random = randomNumbers(this.#options.seed);
    await forEachCandidate(
      [blocks],
      (left, right) => {
        if (share >= 1 || random() < share) pairs.add(scorer, left, right);
      },
      this.#options.breathe,
    );
    if (this.#keptPairs + pairs.size <= MAX_KEPT_PAIRS) {
      this.#keptPairs += pairs.size;
      this.#kept.set(rule, pairs);
    }
    return pairs;
  }
}

/**
 * How likely a pair that the rule makes is a match, to start from: the prior, with the weights of equal values of the
 * columns that the rule demands to be equal.
 */
function priorWithin(rule: BlockingRule, { prior, comparisons }: LinkageModel): number {
  const left = new Set(rule.keys.map(({ column }) => column));
  let weight = weightOfProbability(prior);
  for (const comparison of comparisons) {
    const weights = levelWeights(comparison);
    comparison.levels.forEach(({ condition }, i) => {
      const exact = exactColumnsOf(condition);
      if (exact === null || exact.length === 0 || !exact.every((column) => left.has(column))) return;
      for (const column of exact) left.delete(column);
      weight += weights[i] ?? 0;
    });
  }
  return Math.min(0.99, Math.max(1e-6, probabilityOfWeight(weight)));
}

function termColumns({ comparisons }: LinkageModel): string[] {
  return [
    ...new Set(comparisons.flatMap(({ levels }) => levels.flatMap(({ termFrequency }) => termFrequency?.column ?? []))),
  ];
}

function median(values: readonly number[]): number | null {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle];
  if (upper === undefined) return null;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? upper)) / 2;
}

/** Medians of several passes do not add up to 1. */
function normalised(comparison: Comparison): Comparison {
  const m = probabilitiesOf(comparison.levels, 'm');
  const sum = m.reduce((all, each) => all + each, 0);
  return {
    ...comparison,
    levels: comparison.levels.map((level, i) =>
      level.isNull || level.isMFixed ? level : { ...level, m: (m[i] ?? 0) / sum },
    ),
  };
}
