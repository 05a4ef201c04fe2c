import type { LinkageModel, TermFrequencies, TermKey } from './linkage-model.model.js';
import type { RecordTable } from './record-table.js';
import { MISSING } from './value-store.js';

/** How often each value of the column occurs. */
export function countTerms(table: RecordTable, column: string): TermFrequencies {
  const counts = new Int32Array(table.store.size);
  let total = 0;
  for (const value of table.column(column)) {
    if (value === MISSING) continue;
    total++;
    counts[value] = (counts[value] as number) + 1;
  }
  const frequent: (readonly [string, number])[] = [];
  counts.forEach((count, value) => {
    if (count > 1) frequent.push([table.store.text(value), count]);
  });
  frequent.sort(([a], [b]) => (a < b ? -1 : 1));
  return { total, counts: new Map(frequent) };
}

/** Columns whose frequencies correct weights, and that the model has none of: those of the records at hand would count. */
export function untrainedColumns({
  comparisons,
  termFrequencies,
}: Pick<LinkageModel, 'comparisons' | 'termFrequencies'>): string[] {
  const adjusted = comparisons.flatMap(({ levels }) =>
    levels.flatMap(({ termFrequency }) => (termFrequency === null ? [] : [termFrequency.column])),
  );
  return [...new Set(adjusted)].filter((column) => !termFrequencies.has(column)).sort();
}

/** log2 of the frequency of each record's value; -Infinity where it is missing. */
export function logFrequencies(
  table: RecordTable,
  column: string,
  { total, counts, keyOf = asItIs }: TermFrequencies,
): Float64Array {
  const byValue = new Float64Array(table.store.size).fill(NaN);
  const logs = new Float64Array(table.size).fill(-Infinity);
  table.column(column).forEach((value, record) => {
    if (value === MISSING || total === 0) return;
    let log = byValue[value] as number;
    if (Number.isNaN(log)) {
      log = Math.log2((counts.get(keyOf(table.store.text(value))) ?? 1) / total);
      byValue[value] = log;
    }
    logs[record] = log;
  });
  return logs;
}

const asItIs: TermKey = (value) => value;

/**
 * The model without the values that it counts: their keys stand for them. It weighs every pair as before, to the last bit,
 * and keeps its version.
 */
export function withKeyedTerms(model: LinkageModel, keysOf: (column: string) => TermKey): LinkageModel {
  const termFrequencies = new Map<string, TermFrequencies>();
  for (const [column, frequencies] of model.termFrequencies) {
    const keyOf = keysOf(column);
    if (frequencies.keyOf !== undefined) throw new Error(`the values of ${column} are not there any more`);
    // Sorted, so that not even the order tells anything of the values.
    const counts = [...frequencies.counts].map(([value, count]) => [keyOf(value), count] as const);
    counts.sort(([a], [b]) => (a < b ? -1 : 1));
    termFrequencies.set(column, { total: frequencies.total, counts: new Map(counts), keyOf });
  }
  return { ...model, termFrequencies };
}
