import type { AnchorState } from './anchor-state.model.js';
import type { FeatureSet } from './feature-set.model.js';
import type { FeatureEvent, FeatureValue } from './feature.model.js';

/** A row to be answered: the features at `timeMs + 1`, so that events at `timeMs` count. */
export interface FoldRow {
  readonly index: number;
  readonly timeMs: number;
}

/**
 * Features of one person at several instants, in one pass over their events.
 *
 *   events   ──e──e─────e──e──────e──▶
 *   rows     ─────────T₁───────T₂────▶   each is answered when the first event that it may not see comes
 *
 * 1. Events come by rising `seenAtMs`, rows are taken by rising `timeMs`; a row sees the events with
 *    `seenAtMs ≤ timeMs`, and all of these occurred by then.
 * 2. What no later row can see is dropped from the state, so that it stays as small as an online one.
 */
export class HistoryFold {
  readonly #set: FeatureSet;
  readonly #rows: readonly FoldRow[];
  readonly #answer: (index: number, values: readonly FeatureValue[]) => void;
  readonly #state: AnchorState;
  #next = 0;
  /** Of the last answer; null once an event was folded in. */
  #last: { readonly timeMs: number; readonly values: readonly FeatureValue[] } | null = null;

  constructor(
    set: FeatureSet,
    rows: readonly FoldRow[],
    answer: (index: number, values: readonly FeatureValue[]) => void,
  ) {
    this.#set = set;
    this.#rows = [...rows].sort((a, b) => a.timeMs - b.timeMs);
    this.#answer = answer;
    this.#state = set.empty();
  }

  add(event: FeatureEvent, seenAtMs: number): void {
    this.#answerBefore(seenAtMs);
    if (this.#next === this.#rows.length) return;
    this.#set.apply(this.#state, event);
    this.#last = null;
  }

  /** Answers the rows that are left. */
  finish(): void {
    this.#answerBefore(Infinity);
  }

  #answerBefore(seenAtMs: number): void {
    for (let row = this.#rows[this.#next]; row !== undefined && row.timeMs < seenAtMs; row = this.#rows[++this.#next]) {
      this.#answer(row.index, this.#valuesAt(row.timeMs));
    }
  }

  #valuesAt(timeMs: number): readonly FeatureValue[] {
    if (this.#last?.timeMs === timeMs) return this.#last.values;
    const values = valuesOf(this.#set, this.#state, timeMs);
    this.#set.prune(this.#state, timeMs + 1);
    this.#last = { timeMs, values };
    return values;
  }
}

/** All features as of `timeMs`, inclusive. */
export function valuesOf(set: FeatureSet, state: AnchorState, timeMs: number): FeatureValue[] {
  return set.definitions.map((_, index) => set.value(state, index, timeMs + 1));
}
