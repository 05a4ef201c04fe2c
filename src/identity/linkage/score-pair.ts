import { createHash } from 'node:crypto';
import { blockingColumns, RuleBlocks } from './blocking.js';
import { probabilityOfWeight, type LinkageModel, type LinkageRecord } from './linkage-model.model.js';
import { PairScorer, scoredColumns } from './pair-scorer.js';
import { compareIds, RecordTable } from './record-table.js';

/** One bar of the explanation of a pair's weight. */
export interface WaterfallStep {
  /** Name of the comparison; `prior` for where all pairs start. */
  readonly comparison: string;
  /** What holds of the pair; null for the prior, and where no level's condition holds. */
  readonly level: string | null;
  /** log2 of how many times likelier the level is in records of one person. */
  readonly weight: number;
  /** What is added because the value is rare, or taken off because it is frequent. */
  readonly adjustment: number;
}

export interface ScoredPair {
  /** Sum of the steps: log2 of the odds that both records are of one person. */
  readonly weight: number;
  readonly probability: number;
  readonly waterfall: readonly WaterfallStep[];
}

/**
 * How likely two records are of one person, and why. It depends on these two records and the model alone, and not on
 * which is given first. In a column whose frequencies the model does not have, each value counts as occurring as often
 * as in the two records.
 */
export function scorePair(model: LinkageModel, a: LinkageRecord, b: LinkageRecord): ScoredPair {
  const [left, right] = compareIds(a.id, b.id) <= 0 ? [a, b] : [b, a];
  const table = RecordTable.of([left, right], model, scoredColumns(model));
  const scorer = new PairScorer(model, table);
  const weight = scorer.weight(0, 1);
  const steps = scorer.parts(0, 1).map(({ level, weight: own, adjustment }, i): WaterfallStep => {
    const { name = '', levels = [] } = model.comparisons[i] ?? {};
    return { comparison: name, level: levels[level]?.label ?? null, weight: own, adjustment };
  });
  const prior = { comparison: 'prior', level: null, weight: scorer.prior, adjustment: 0 };
  return { weight, probability: probabilityOfWeight(weight), waterfall: [prior, ...steps] };
}

/** Bytes of a blocking key: so many that keys of different values do not meet. */
const KEY_BYTES = 16;

/** A block that a record is in. */
export interface BlockingKey {
  /** Hex; a hash, which keeps it short but hides nothing from whoever can guess the values. */
  readonly key: string;
  /** The number of the rule in the model. */
  readonly rule: number;
}

/**
 * The blocks that records are in, so that a stream can look up whom to compare them with: records of which a rule of the
 * model makes a pair have a key in common. A key is of the rule and the values alone, in no order.
 * @returns by id, each key once
 */
export function blockingKeysOf(model: LinkageModel, records: readonly LinkageRecord[]): Map<string, BlockingKey[]> {
  const table = RecordTable.of(records, model, blockingColumns(model.blockingRules));
  const keys = new Map(table.ids.map((id) => [id, new Map<string, BlockingKey>()]));
  for (const [number, rule] of model.blockingRules.entries()) {
    const blocks = new RuleBlocks(rule, table);
    for (const [record, id] of table.ids.entries()) {
      for (const values of blocks.keysOf(record, table.store)) {
        const text = JSON.stringify([rule.source, values]);
        const key = createHash('sha256').update(text).digest().subarray(0, KEY_BYTES).toString('hex');
        keys.get(id)?.set(key, { key, rule: number });
      }
    }
  }
  return new Map([...keys].map(([id, own]) => [id, [...own.values()].sort((a, b) => (a.key < b.key ? -1 : 1))]));
}

/** The keys of one record; see {@link blockingKeysOf}. */
export function blockingKeys(model: LinkageModel, record: LinkageRecord): string[] {
  return (blockingKeysOf(model, [record]).get(record.id) ?? []).map(({ key }) => key);
}

/** Whether a rule of the model makes a pair of these records: whether they are to be scored at all. */
export function isCandidate(model: LinkageModel, a: LinkageRecord, b: LinkageRecord): boolean {
  const table = RecordTable.of([a, b], model, blockingColumns(model.blockingRules));
  return model.blockingRules.some((rule) => new RuleBlocks(rule, table).makes(0, 1));
}
