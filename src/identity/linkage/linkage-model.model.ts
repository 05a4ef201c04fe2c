import type { Condition, ValueExpression } from './condition.model.js';

/**
 * Models of probabilistic record linkage after I. P. Fellegi and A. B. Sunter, A theory for record linkage, JASA 64
 * (1969): a pair of records has one level of each comparison, each level adds log2(m / u) to the pair's match weight.
 */

/** What a linkage works on: identified values by column. Missing values are null or left out. */
export interface LinkageRecord {
  readonly id: string;
  readonly values: Readonly<Record<string, LinkageValue | undefined>>;
}

/** Lists are of what has several values, as telephone numbers; their order does not count. */
export type LinkageValue = string | readonly string[] | null;

/** A correction of a level's weight by how frequent the value is: agreement on a rare one says more. */
export interface TermFrequencyAdjustment {
  readonly column: string;
  /** 1 corrects in full, 0 not at all. */
  readonly weight: number;
  /** Frequencies below count as this, so that one-off values (typing slips) say no more than that. */
  readonly minimumU: number;
}

export interface ComparisonLevel {
  readonly condition: Condition;
  /** The condition as it was written. */
  readonly text: string;
  readonly label: string;
  /** Nothing can be said, for want of a value: the level weighs 0. */
  readonly isNull: boolean;
  /** Probability of the level among pairs of records of one person; null of a level that is not trained. */
  readonly m: number | null;
  /** Probability of the level among pairs of records of different people; null of a level that is not trained. */
  readonly u: number | null;
  readonly isMFixed: boolean;
  readonly isUFixed: boolean;
  readonly termFrequency: TermFrequencyAdjustment | null;
  /** The adjustment starts from this level's own u, and not from that of the level of equal values. */
  readonly isOwnU: boolean;
}

export interface Comparison {
  readonly name: string;
  /** The first level whose condition holds is the pair's. */
  readonly levels: readonly ComparisonLevel[];
}

/** Two records are candidates if they agree in all keys, and the filter, if there is one, holds. */
export interface BlockingRule {
  /** As it was written: the expressions, or all of it as SQL. */
  readonly source: readonly string[] | string;
  readonly keys: readonly ValueExpression[];
  readonly filter: Condition | null;
  /** Columns of lists: records agree in them when they have one item in common. */
  readonly listColumns: readonly string[];
}

/** How a column of the model is made of those of the records; see `normalise-value.ts`. */
export const COLUMN_KINDS = [
  'text',
  'name',
  'date',
  'address',
  'postcode',
  'email',
  'phone',
  'number',
  'list',
] as const;
export type ColumnKind = (typeof COLUMN_KINDS)[number];

export interface ModelColumn {
  readonly name: string;
  readonly kind: ColumnKind;
  /** Columns of the records, joined by spaces. */
  readonly from: readonly string[];
}

/** How often the values of a column occur, as they were when the model was trained. */
export interface TermFrequencies {
  /** Records with a value. */
  readonly total: number;
  /** Values that occur at least twice; any other counts as occurring once. */
  readonly counts: ReadonlyMap<string, number>;
  /** What stands for a value in `counts`: a keyed hash, in models that are stored; default: the value. */
  readonly keyOf?: TermKey;
}

export type TermKey = (value: string) => string;

export function ruleText({ source }: BlockingRule): string {
  return typeof source === 'string' ? source : source.join(', ');
}

export interface TrainingSettings {
  /** Rules that hardly ever join different people, and the share of all pairs of one person that they find. */
  readonly deterministicRules: readonly BlockingRule[];
  readonly recall: number;
  /** One run of EM each; it learns m of the comparisons that read none of the rule's columns. */
  readonly passes: readonly BlockingRule[];
}

export interface LinkageModel {
  /** SHA-256 of all that decides on weights, hex: equal versions give equal weights. */
  readonly version: string;
  /** What texts are compared by. DuckDB, and so models of Splink, count bytes. */
  readonly textUnits: 'characters' | 'bytes';
  /** Made of the records' columns; null: the records' columns are used as they are. */
  readonly columns: readonly ModelColumn[] | null;
  /** Probability that two records picked at random are of one person. */
  readonly prior: number;
  readonly comparisons: readonly Comparison[];
  readonly blockingRules: readonly BlockingRule[];
  readonly training: TrainingSettings;
  /** By column; of a column that is missing here, the frequencies in the records at hand count. */
  readonly termFrequencies: ReadonlyMap<string, TermFrequencies>;
  readonly thresholds: LinkageThresholds;
}

/** Match probabilities, 0 to 1: from `link` on pairs are linked, from `review` on a person is to look. */
export interface LinkageThresholds {
  readonly link: number;
  readonly review: number;
}

export const DEFAULT_PRIOR = 0.0001;
export const DEFAULT_RECALL = 0.7;
export const DEFAULT_THRESHOLDS: LinkageThresholds = { link: 0.9, review: 0.5 };

/** Of a level that was never seen, so that it neither decides alone nor is impossible. */
export const UNSEEN_PROBABILITY = 1e-6;
const LEAST_PROBABILITY = 1e-300;

/** log2 of the odds. */
export function weightOfProbability(probability: number): number {
  return Math.log2(probability / (1 - probability));
}

/** The probability whose odds have this log2. */
export function probabilityOfWeight(weight: number): number {
  if (weight >= 0) return 1 / (1 + 2 ** -weight);
  const odds = 2 ** weight;
  return odds / (1 + odds);
}

/** log2(m / u) of each level, 0 of levels of missing values. */
export function levelWeights({ levels }: Comparison): number[] {
  const m = probabilitiesOf(levels, 'm');
  const u = probabilitiesOf(levels, 'u');
  return levels.map(({ isNull }, i) => {
    if (isNull) return 0;
    return Math.log2(Math.max(m[i] ?? 0, LEAST_PROBABILITY) / Math.max(u[i] ?? 0, LEAST_PROBABILITY));
  });
}

/** m or u of each level; levels that are not trained have their defaults. Levels of missing values have none: 0. */
export function probabilitiesOf(levels: readonly ComparisonLevel[], which: 'm' | 'u'): number[] {
  const defaults = defaultProbabilities(levels)[which];
  return levels.map((level, i) => (level.isNull ? 0 : (level[which] ?? defaults[i] ?? 0)));
}

/**
 * Where EM starts from: 95 % of the matches agree in full, the others are spread evenly; weights are spaced evenly from
 * -5 for the last level to 3, and 10 for the first.
 */
function defaultProbabilities(levels: readonly ComparisonLevel[]): { m: number[]; u: number[] } {
  const seen = levels.filter(({ isNull }) => !isNull).length;
  const m: number[] = [];
  const u: number[] = [];
  let rank = 0;
  for (const { isNull } of levels) {
    if (isNull) {
      m.push(0);
      u.push(0);
      continue;
    }
    const share = rank === 0 ? 0.95 : 0.05 / (seen - 1);
    m.push(share);
    u.push(share / 2 ** startWeight(rank, seen));
    rank++;
  }
  return { m, u };
}

function startWeight(rank: number, levels: number): number {
  if (rank === 0) return 10;
  return levels <= 2 ? -5 : 3 - ((rank - 1) * 8) / (levels - 2);
}
