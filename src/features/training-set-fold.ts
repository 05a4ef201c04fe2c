import type { AnchorState } from './anchor-state.model.js';
import type { FeatureSet } from './feature-set.model.js';
import type { FeatureEvent, FeatureValue, RequestValues } from './feature.model.js';
import type { ConsentEvent, HeldWords } from './withheld-features.js';

/** A row to be answered: the features at `timeMs + 1`, so that events at `timeMs` count. */
export interface FoldRow {
  readonly index: number;
  readonly timeMs: number;
  /** What the row says of the request; null: no feature reads one. */
  readonly request: RequestValues | null;
}

/** The features of a row. */
export interface FoldAnswer {
  readonly values: readonly FeatureValue[];
  /** Whether some are not told, because the person did not allow it at that time, or does not now. */
  readonly isWithheld: boolean;
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
  readonly #answer: (index: number, answer: FoldAnswer) => void;
  /** Null: no feature needs anything to be allowed. */
  readonly #words: HeldWords | null;
  readonly #state: AnchorState;
  #next = 0;
  /** Of the last answer; null once an event was folded in. */
  #last: { readonly timeMs: number; readonly answer: FoldAnswer } | null = null;

  constructor(
    set: FeatureSet,
    rows: readonly FoldRow[],
    answer: (index: number, answer: FoldAnswer) => void,
    words: HeldWords | null = null,
  ) {
    this.#set = set;
    this.#rows = [...rows].sort((a, b) => a.timeMs - b.timeMs);
    this.#answer = answer;
    this.#state = set.empty();
    this.#words = words;
  }

  add(event: FeatureEvent & ConsentEvent, seenAtMs: number): void {
    this.#answerBefore(seenAtMs);
    if (this.#next === this.#rows.length) return;
    this.#set.apply(this.#state, event);
    this.#words?.add(event);
    this.#last = null;
  }

  /** Answers the rows that are left. */
  finish(): void {
    this.#answerBefore(Infinity);
  }

  #answerBefore(seenAtMs: number): void {
    for (let row = this.#rows[this.#next]; row !== undefined && row.timeMs < seenAtMs; row = this.#rows[++this.#next]) {
      this.#answer(row.index, this.#answerAt(row));
    }
  }

  #answerAt({ timeMs, request }: FoldRow): FoldAnswer {
    if (this.#last?.timeMs === timeMs && request === null) return this.#last.answer;
    const values = valuesOf(this.#set, this.#state, timeMs, request);
    this.#set.prune(this.#state, timeMs + 1);
    const answer = this.#words?.withhold(values, timeMs + 1) ?? { values, isWithheld: false };
    this.#last = { timeMs, answer };
    return answer;
  }
}

/** All features as of `timeMs`, inclusive. */
export function valuesOf(
  set: FeatureSet,
  state: AnchorState,
  timeMs: number,
  request: RequestValues | null = null,
): FeatureValue[] {
  return set.definitions.map((_, index) => set.value(state, index, timeMs + 1, request));
}
