import { WeftError } from '../../platform/errors.js';
import { compileComparison, type LevelFinder } from './compile-comparison.js';
import { columnsOf, exactColumnOf } from './condition.model.js';
import {
  levelWeights,
  probabilitiesOf,
  weightOfProbability,
  type Comparison,
  type ComparisonLevel,
  type LinkageModel,
} from './linkage-model.model.js';
import type { RecordTable } from './record-table.js';
import { countTerms, logFrequencies } from './term-frequencies.js';

/** What one comparison adds to a pair's weight. */
export interface ComparisonPart {
  /** Index; -1 where no level's condition holds. */
  readonly level: number;
  /** log2(m / u) of the level. */
  readonly weight: number;
  /** The correction by how frequent the value is. */
  readonly adjustment: number;
}

/** Columns that scoring by a model reads. */
export function scoredColumns({ comparisons }: Pick<LinkageModel, 'comparisons'>): string[] {
  const columns = comparisons.flatMap(({ levels }) =>
    levels.flatMap(({ condition, termFrequency }) => [
      ...columnsOf(condition),
      ...(termFrequency === null ? [] : [termFrequency.column]),
    ]),
  );
  return [...new Set(columns)].sort();
}

/** What scoring works out of a table whatever m and u are, once for all models that differ in these alone. */
export class ScoringParts {
  readonly #table: RecordTable;
  readonly #termFrequencies: LinkageModel['termFrequencies'];
  readonly #finders = new Map<string, LevelFinder>();
  readonly #logs = new Map<string, Float64Array>();

  constructor(table: RecordTable, termFrequencies: LinkageModel['termFrequencies']) {
    this.#table = table;
    this.#termFrequencies = termFrequencies;
  }

  finderOf(comparison: Comparison): LevelFinder {
    const conditions = JSON.stringify(comparison.levels.map(({ condition }) => condition));
    const finder = this.#finders.get(conditions) ?? compileComparison(comparison, this.#table);
    this.#finders.set(conditions, finder);
    return finder;
  }

  /** log2 of the frequency of each record's value. */
  logsOf(column: string): Float64Array {
    let found = this.#logs.get(column);
    if (found === undefined) {
      const frequencies = this.#termFrequencies.get(column) ?? countTerms(this.#table, column);
      found = logFrequencies(this.#table, column, frequencies);
      this.#logs.set(column, found);
    }
    return found;
  }
}

/**
 * Match weights of pairs of records: log2 of the odds that both are of one person. Parts are added in the order of the
 * comparisons, so that equal pairs have equal weights to the last bit wherever they are scored.
 */
export class PairScorer {
  readonly #prior: number;
  readonly #comparisons: readonly CompiledComparison[];

  constructor(
    model: Pick<LinkageModel, 'prior' | 'comparisons' | 'termFrequencies'>,
    table: RecordTable,
    parts = new ScoringParts(table, model.termFrequencies),
  ) {
    this.#prior = weightOfProbability(model.prior);
    this.#comparisons = model.comparisons.map((comparison) => compiled(comparison, parts));
  }

  /** Weight that all pairs start from. */
  get prior(): number {
    return this.#prior;
  }

  /** @param left the record whose id is the less, by its number in the table */
  weight(left: number, right: number): number {
    let weight = this.#prior;
    for (let c = 0; c < this.#comparisons.length; c++) {
      const comparison = this.#comparisons[c] as CompiledComparison;
      const level = comparison.finder.levelOf(left, right);
      if (level < 0) continue;
      weight += comparison.weights[level] as number;
      const adjust = comparison.adjusts[level];
      if (adjust !== null && adjust !== undefined) weight += adjustment(adjust, left, right);
    }
    return weight;
  }

  /** Puts the level of each comparison into `levels`, -1 for none. */
  levels(left: number, right: number, levels: Int8Array): void {
    for (let c = 0; c < this.#comparisons.length; c++) {
      levels[c] = (this.#comparisons[c] as CompiledComparison).finder.levelOf(left, right);
    }
  }

  /** What term frequencies add to the weight of a pair that is on these levels; null: nothing. */
  adjusterOf(levels: readonly number[]): ((left: number, right: number) => number) | null {
    const adjusts = this.#comparisons.flatMap((comparison, c) => comparison.adjusts[levels[c] ?? -1] ?? []);
    if (adjusts.length === 0) return null;
    return (left, right) => {
      let sum = 0;
      for (let i = 0; i < adjusts.length; i++) sum += adjustment(adjusts[i] as Adjust, left, right);
      return sum;
    };
  }

  /** In the order of the model's comparisons. */
  parts(left: number, right: number): ComparisonPart[] {
    return this.#comparisons.map(({ finder, weights, adjusts }) => {
      const level = finder.levelOf(left, right);
      const adjust = adjusts[level] ?? null;
      return {
        level,
        weight: weights[level] ?? 0,
        adjustment: adjust === null ? 0 : adjustment(adjust, left, right),
      };
    });
  }
}

interface CompiledComparison {
  readonly finder: LevelFinder;
  /** By level. */
  readonly weights: readonly number[];
  readonly adjusts: readonly (Adjust | null)[];
}

interface Adjust {
  readonly logs: Float64Array;
  readonly weight: number;
  readonly logExact: number;
  readonly logLeast: number;
}

function compiled(comparison: Comparison, parts: ScoringParts): CompiledComparison {
  return {
    finder: parts.finderOf(comparison),
    weights: levelWeights(comparison),
    adjusts: comparison.levels.map((level) => {
      const { termFrequency, isNull, condition } = level;
      if (termFrequency === null || isNull || condition.kind === 'else' || termFrequency.weight === 0) return null;
      return {
        logs: parts.logsOf(termFrequency.column),
        weight: termFrequency.weight,
        logExact: Math.log2(exactU(level, comparison)),
        logLeast: Math.log2(termFrequency.minimumU),
      };
    }),
  };
}

/**
 * u of the level of equal values of the adjusted column: what the weight of any level of it starts from.
 * @throws WeftError MODEL_INVALID if there is no such level
 */
function exactU(level: ComparisonLevel, { name, levels }: Comparison): number {
  const u = probabilitiesOf(levels, 'u');
  if (level.isOwnU) return u[levels.indexOf(level)] ?? NaN;
  const exact = levels.findIndex(
    ({ condition }) => exactColumnOf(condition)?.toLowerCase() === level.termFrequency?.column.toLowerCase(),
  );
  if (exact >= 0) return u[exact] ?? NaN;
  throw new WeftError('MODEL_INVALID', `no level of ${name} has equal values of ${level.termFrequency?.column ?? ''}`, {
    where: `comparisons.${name}`,
    hint: 'term frequencies correct the weight of equal values: add such a level, or leave the adjustment out',
  });
}

/** The more frequent of the two values counts; where one record has none, that of the other. */
function adjustment({ logs, weight, logExact, logLeast }: Adjust, left: number, right: number): number {
  const log = Math.max(logs[left] as number, logs[right] as number);
  return log === -Infinity ? 0 : weight * (logExact - Math.max(log, logLeast));
}
