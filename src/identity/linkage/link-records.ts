import { WeftError } from '../../platform/errors.js';
import { blockingColumns, forEachCandidate, RuleBlocks } from './blocking.js';
import type { Links } from './cluster-records.js';
import {
  ruleText,
  weightOfProbability,
  type BlockingRule,
  type LinkageModel,
  type LinkageRecord,
} from './linkage-model.model.js';
import { PairScorer, scoredColumns } from './pair-scorer.js';
import { RecordTable } from './record-table.js';

/** Pairs that a rule may make; one that makes more is refused before any is scored. */
export const MAX_RULE_PAIRS = 500_000_000;
/** Pairs above the threshold that are kept. */
export const MAX_LINKS = 100_000_000;

export interface LinkOptions {
  /** Pairs from this match probability on are told. */
  readonly leastProbability: number;
  readonly maxRulePairs?: number;
  readonly onProgress?: (scored: number, rule: string) => void;
  /** Awaited from time to time; what it throws ends the linkage. */
  readonly breathe?: () => Promise<void>;
}

export interface LinkedRecords {
  readonly table: RecordTable;
  readonly links: Links;
  /** Pairs that were scored, by rule: each counts for the first rule that makes it. */
  readonly pairsByRule: readonly number[];
}

export interface RuleEstimate {
  readonly rule: string;
  /** Pairs that the rule makes by itself, before its filter. */
  readonly pairs: number;
  /** Records in its greatest block. */
  readonly largestBlock: number;
}

/** Columns of the model that blocking and scoring read. */
export function columnsRead(model: LinkageModel): string[] {
  return [...new Set([...scoredColumns(model), ...blockingColumns(model.blockingRules)])];
}

/** How many pairs each rule makes, by counting and without making them. */
export function estimatePairs(
  rules: readonly BlockingRule[],
  model: LinkageModel,
  records: readonly LinkageRecord[],
): RuleEstimate[] {
  const table = RecordTable.of(records, model, blockingColumns(rules));
  return rules.map((rule) => estimateOf(new RuleBlocks(rule, table)));
}

function estimateOf(blocks: RuleBlocks): RuleEstimate {
  return { rule: ruleText(blocks.rule), pairs: blocks.countPairs(), largestBlock: blocks.largestBlock() };
}

/**
 * Scores all candidates of the model's blocking rules.
 * @throws WeftError BAD_REQUEST if a rule makes too many pairs
 */
export async function linkRecords(
  model: LinkageModel,
  records: readonly LinkageRecord[],
  options: LinkOptions,
): Promise<LinkedRecords> {
  const table = RecordTable.of(records, model, columnsRead(model));
  const rules = model.blockingRules.map((rule) => new RuleBlocks(rule, table));
  for (const rule of rules) refuseTooMany(estimateOf(rule), options.maxRulePairs ?? MAX_RULE_PAIRS);
  const scorer = new PairScorer(model, table);
  const least = options.leastProbability <= 0 ? -Infinity : weightOfProbability(options.leastProbability);
  const found = new LinkList();
  const pairsByRule = rules.map(() => 0);
  let scored = 0;
  let at = 0;
  await forEachCandidate(
    rules,
    (left, right, rule) => {
      scored++;
      at = rule;
      pairsByRule[rule] = (pairsByRule[rule] as number) + 1;
      const weight = scorer.weight(left, right);
      if (weight >= least) found.add(left, right, weight);
    },
    async () => {
      options.onProgress?.(scored, ruleText((rules[at] as RuleBlocks).rule));
      await options.breathe?.();
    },
  );
  return { table, links: found.links(), pairsByRule };
}

function refuseTooMany({ rule, pairs, largestBlock }: RuleEstimate, most: number): void {
  if (pairs <= most) return;
  throw new WeftError('BAD_REQUEST', `the blocking rule ${rule} makes ${pairs} pairs`, {
    hint: `its greatest block has ${largestBlock} records; add to what records have to agree in until it makes at most ${most}`,
  });
}

const FIRST_CAPACITY = 1_024;

/** A list of links that grows by doubling. */
class LinkList {
  #length = 0;
  #left = new Int32Array(FIRST_CAPACITY);
  #right = new Int32Array(FIRST_CAPACITY);
  #weight = new Float64Array(FIRST_CAPACITY);

  add(left: number, right: number, weight: number): void {
    if (this.#length === this.#left.length) this.#grow();
    this.#left[this.#length] = left;
    this.#right[this.#length] = right;
    this.#weight[this.#length++] = weight;
  }

  links(): Links {
    return {
      left: this.#left.subarray(0, this.#length),
      right: this.#right.subarray(0, this.#length),
      weight: this.#weight.subarray(0, this.#length),
    };
  }

  #grow(): void {
    if (this.#length >= MAX_LINKS) {
      throw new WeftError('BAD_REQUEST', `more than ${MAX_LINKS} pairs are linked`, {
        hint: 'raise the threshold, or train the model again: it takes too many for one person',
      });
    }
    const grown = <T extends Int32Array | Float64Array>(from: T, to: T): T => {
      to.set(from);
      return to;
    };
    this.#left = grown(this.#left, new Int32Array(2 * this.#length));
    this.#right = grown(this.#right, new Int32Array(2 * this.#length));
    this.#weight = grown(this.#weight, new Float64Array(2 * this.#length));
  }
}
