import { DamagedPayload } from './event-codec.js';
import type { LoggedEvent } from './event.model.js';
import { eventOfRow, type EventRow } from './event-row.model.js';
import type { Opened } from './event-seal.model.js';

/** Where a row of the log is whose bytes cannot be read. */
export interface DamagedRow {
  readonly pos: number;
  readonly part: number;
}

/** Told of work that went on without rows of the log whose bytes cannot be read. */
export interface PassedOverObserver {
  /** @param work as metrics call it: a few lower-case words joined by `_` */
  rowsPassedOver(work: string, damaged: Pick<DamagedRows, 'count' | 'first' | 'all'>): void | Promise<void>;
}

const MAX_TOLD_APART = 10_000;

/** Counts rows that were left out, each once however often it is met; beyond 10,000 of them every time. */
export class DamagedRows {
  readonly #rows = new Map<number, DamagedRow>();
  #count = 0;
  #first: DamagedRow | null = null;

  readonly note = (row: DamagedRow): void => {
    if (this.#rows.has(row.pos)) return;
    if (this.#rows.size < MAX_TOLD_APART) this.#rows.set(row.pos, row);
    this.#count++;
    if (this.#first === null || row.pos < this.#first.pos) this.#first = row;
  };

  get count(): number {
    return this.#count;
  }

  /** Those that are told apart. */
  get all(): DamagedRow[] {
    return [...this.#rows.values()];
  }

  /** The one at the lowest position; null: there is none. */
  get first(): DamagedRow | null {
    return this.#first;
  }
}

/**
 * The event of a row; null, and `onDamaged` is told, where its bytes are damaged.
 * @throws WeftError INTERNAL for a format that is not known
 */
export function eventUnlessDamaged(row: Opened<EventRow>, onDamaged: (row: DamagedRow) => void): LoggedEvent | null {
  try {
    return eventOfRow(row);
  } catch (error) {
    if (!(error instanceof DamagedPayload)) throw error;
    onDamaged({ pos: row.pos, part: row.part });
    return null;
  }
}

/** The events whose bytes are not damaged. @throws WeftError INTERNAL for a format that is not known */
export function readableOf(
  rows: readonly Opened<EventRow>[],
  onDamaged: (row: DamagedRow) => void = () => undefined,
): LoggedEvent[] {
  return rows.flatMap((row) => eventUnlessDamaged(row, onDamaged) ?? []);
}
