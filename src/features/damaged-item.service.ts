import { textArray, uuidArray } from '../platform/binary-arrays.js';
import type { Clock } from '../platform/clock.js';
import type { Uuid } from '../platform/ids.js';
import type { Database } from '../platform/postgres.js';
import type { DamagedItem } from './entity-features.js';

export interface DamagedItemParts {
  readonly db: Pick<Database, 'query'>;
  readonly clock: Clock;
  /** Told how many items were marked that were not yet. */
  readonly onMarked: (items: number) => void;
  /** They could not be marked; who reads them next tries again. */
  readonly onError: (error: unknown) => void;
}

/** An item that is read again and again is marked no more often, in each process. */
const MARK_EVERY_MS = 10_000;
/** Items that are remembered; beyond it all are forgotten, and marked once more. */
const MAX_REMEMBERED = 10_000;

/** Has items folded anew from their events whose states cannot be read, once somebody has asked for them (ADR 65). */
export class DamagedItemService {
  readonly #parts: DamagedItemParts;
  /** When each was marked last, ms. */
  readonly #marked = new Map<string, number>();

  constructor(parts: DamagedItemParts) {
    this.#parts = parts;
  }

  /** Marks them for the worker, in one statement. Never rejects: the answer to who asked does not depend on it. */
  async refold(items: readonly DamagedItem[]): Promise<void> {
    const { db, clock, onMarked, onError } = this.#parts;
    const nowMs = clock.now();
    const due = items.filter(
      (item) => nowMs - (this.#marked.get(nameOf(item)) ?? Number.NEGATIVE_INFINITY) >= MARK_EVERY_MS,
    );
    if (due.length === 0) return;
    if (this.#marked.size + due.length > MAX_REMEMBERED) this.#marked.clear();
    for (const item of due) this.#marked.set(nameOf(item), nowMs);
    try {
      // The row of the view is held, or a mark could outlive it. Who reads does not wait for a step of the worker, which
      // has it locked: then the next one marks.
      const rows = await db.query<{ meaning: Uuid; marked: number }>(
        `WITH held AS (
           SELECT id, meaning FROM entity_folds WHERE meaning = ANY ($1::uuid[]) ORDER BY id FOR KEY SHARE SKIP LOCKED
         ), marked AS (
           INSERT INTO entity_refolds (fold_id, key, done_pos, state)
           SELECT h.id, i.key, 0, ''::bytea FROM unnest($1::uuid[], $2::text[]) AS i (meaning, key)
           JOIN held h USING (meaning) ORDER BY 1, i.key COLLATE "C"
           ON CONFLICT (fold_id, key) DO NOTHING RETURNING fold_id
         ) SELECT h.meaning, (SELECT count(*) FROM marked m WHERE m.fold_id = h.id) AS marked FROM held h`,
        [uuidArray(due, ({ meaning }) => meaning), textArray(due, ({ key }) => key)],
      );
      const held = new Set(rows.map(({ meaning }) => meaning));
      this.#forget(due.filter(({ meaning }) => !held.has(meaning)));
      onMarked(rows.reduce((sum, { marked }) => sum + marked, 0));
    } catch (error) {
      this.#forget(due);
      onError(error);
    }
  }

  #forget(items: readonly DamagedItem[]): void {
    for (const item of items) this.#marked.delete(nameOf(item));
  }
}

function nameOf({ meaning, key }: DamagedItem): string {
  return `${meaning} ${key}`;
}
