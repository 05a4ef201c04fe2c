import { RuleBlocks } from '../linkage/blocking.js';
import { columnsRead } from '../linkage/link-records.js';
import type { LinkageModel, LinkageRecord } from '../linkage/linkage-model.model.js';
import { PairScorer } from '../linkage/pair-scorer.js';
import { RecordTable } from '../linkage/record-table.js';

/** Records that have a block in common, and how likely they are of one person. */
export interface ScoredCandidates {
  /** The lesser id. */
  readonly a: string;
  readonly b: string;
  /** log2 of the odds that both are of one person. */
  readonly weight: number;
}

/**
 * Weighs pairs by the model alone: the frequencies are those that it holds, so that a pair weighs the same whoever else is
 * among the records.
 * @param records all that pairs name, each once
 * @param pairs of ids; those of which no rule makes a candidate are left out
 * @param least log2 of the odds from which on pairs are told
 */
export function scoreCandidates(
  model: LinkageModel,
  records: readonly LinkageRecord[],
  pairs: Iterable<readonly [string, string]>,
  least: number,
): ScoredCandidates[] {
  const table = RecordTable.of(records, model, columnsRead(model));
  const numberOf = new Map(table.ids.map((id, number) => [id, number]));
  const rules = model.blockingRules.map((rule) => new RuleBlocks(rule, table));
  const scorer = new PairScorer(model, table);
  const scored: ScoredCandidates[] = [];
  for (const [x, y] of pairs) {
    const [i, j] = [numberOf.get(x) ?? -1, numberOf.get(y) ?? -1];
    const [left, right] = i < j ? [i, j] : [j, i];
    if (left < 0 || left === right || !rules.some((rule) => rule.makes(left, right))) continue;
    const weight = scorer.weight(left, right);
    if (weight >= least) scored.push({ a: table.ids[left] ?? '', b: table.ids[right] ?? '', weight });
  }
  return scored;
}
