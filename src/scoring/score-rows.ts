/*
 * Answers to rows, some of which a model may have none for: a run may fail, and nobody knows by which of its rows.
 *
 * A run that fails is made again in eight parts, and these again, until the row that is to blame stands alone. Rows are
 * given up, and answered by null, once that is known of them, and where there is no more to be had: the model cannot be
 * asked at all, too many rows of this call have failed, or its time is up.
 */
import type { ModelOutput } from './model-manifest.model.js';
import type { FeatureRow } from './prediction.model.js';

/**
 * What an error of a run says: one of its rows is to blame, the model cannot be asked for anything now, or neither, and
 * the error is the caller's to hear.
 */
export type Blame = 'rows' | 'model' | 'neither';

/** What may be asked of a model, and what is known of rows that it failed on. */
export interface RowRuns {
  readonly maxRows: number;
  /** Answers to rows `from` (inclusive) to `to` (exclusive), in one run. */
  run(from: number, to: number): Promise<ModelOutput[]>;
  blame(error: unknown): Blame;
  /** Whether a run of this row alone has failed lately. */
  isRefused(row: FeatureRow): boolean;
  refuse(row: FeatureRow): void;
  /** A clock that only goes forward, ms. */
  now(): number;
}

/** Rows of one call that are looked for one by one. */
const MAX_FAILED_ROWS = 16;
const PARTS = 8;
/** After a run has failed, a call ends within this and what one run may take. */
const FAILING_CALL_MS = 10_000;

export async function scoreRows(runs: RowRuns, rows: readonly FeatureRow[]): Promise<(ModelOutput | null)[]> {
  const answers: (ModelOutput | null)[] = [];
  let failedRows = 0;
  let endsMs = Infinity;
  let isOver = false;

  const score = async (from: number, to: number): Promise<void> => {
    if (isOver || runs.now() > endsMs) {
      for (let i = from; i < to; i++) answers.push(null);
      return;
    }
    try {
      for (const answer of await runs.run(from, to)) answers.push(answer);
      return;
    } catch (error) {
      const blame = runs.blame(error);
      if (blame === 'neither') throw error;
      isOver = blame === 'model';
      endsMs = Math.min(endsMs, runs.now() + FAILING_CALL_MS);
    }
    if (to - from === 1) {
      answers.push(null);
      if (isOver) return;
      runs.refuse(rows[from] as FeatureRow);
      isOver = ++failedRows >= MAX_FAILED_ROWS;
      return;
    }
    const size = Math.ceil((to - from) / PARTS);
    for (let at = from; at < to; at += size) await score(at, Math.min(at + size, to));
  };

  for (let from = 0; from < rows.length;) {
    const to = endOfRun(runs, rows, from);
    if (to === from) {
      answers.push(null);
      from++;
    } else {
      await score(from, to);
      from = to;
    }
  }
  return answers;
}

/** The end of the run that begins at `from`; `from` itself where that row is refused. */
function endOfRun(runs: RowRuns, rows: readonly FeatureRow[], from: number): number {
  const most = Math.min(from + runs.maxRows, rows.length);
  let to = from;
  while (to < most && !runs.isRefused(rows[to] as FeatureRow)) to++;
  return to;
}
