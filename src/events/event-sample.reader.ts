import type { Queryable } from '../platform/postgres.js';
import { readableOf } from './damaged-rows.model.js';
import { EVENT_COLUMNS, type EventRow } from './event-row.model.js';
import type { EventSealer } from './event-seal.model.js';
import type { LoggedEvent } from './event.model.js';

export interface SampleOptions {
  /** Null: all sources. */
  readonly sourceId: number | null;
  /** Accepted then or later, ms. */
  readonly sinceMs: number;
  /** About how many events at most. */
  readonly maxEvents: number;
  /** Positions of the log that are looked at, at most. */
  readonly maxPositions: number;
}

/** A part of a sample, in the order of the log. */
export interface SamplePart {
  /** Without those whose bytes are damaged. */
  readonly events: readonly LoggedEvent[];
  /** Positions looked at so far, and positions there are since then. */
  readonly scanned: number;
  readonly positions: number;
  /** Parts read so far, and parts there are. */
  readonly done: number;
  readonly parts: number;
}

const PARTS = 100;

/**
 * Reads a sample of what a source, or all of them, sent, spread evenly over a time: from each of a hundred equal stretches of the log the
 * first events of the source. What is short enough is read as a whole.
 */
export class EventSampleReader {
  constructor(
    private readonly db: Queryable,
    private readonly sealer: EventSealer,
  ) {}

  async *parts({ sourceId, sinceMs, maxEvents, maxPositions }: SampleOptions): AsyncGenerator<SamplePart> {
    const toPos = await this.#head();
    const fromPos = await this.#firstSince(sinceMs, toPos);
    const positions = Math.max(0, toPos - fromPos);
    const parts = Math.min(PARTS, positions);
    let scanned = 0;
    for (let done = 0; done < parts; done++) {
      const afterPos = fromPos + Math.floor((positions * done) / parts);
      const endPos = fromPos + Math.floor((positions * (done + 1)) / parts);
      const untilPos = Math.min(endPos, afterPos + Math.ceil(maxPositions / parts));
      scanned += untilPos - afterPos;
      const rows = await this.db.query<EventRow>(
        `SELECT ${EVENT_COLUMNS} FROM event_log WHERE pos > $1::int8 AND pos <= $2::int8 AND ($3::int4 IS NULL OR source_id = $3)
         ORDER BY pos LIMIT $4::int4`,
        [afterPos, untilPos, sourceId, Math.ceil(maxEvents / parts)],
      );
      yield { events: readableOf(await this.sealer.open(rows)), scanned, positions, done: done + 1, parts };
    }
  }

  async #head(): Promise<number> {
    const [row] = await this.db.query<{ pos: number }>('SELECT pos FROM log_head');
    return row?.pos ?? 0;
  }

  /** The position before the first event accepted at `sinceMs` or later; times grow with positions. */
  async #firstSince(sinceMs: number, headPos: number): Promise<number> {
    let [low, high] = [0, headPos];
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      const [row] = await this.db.query<{ at: number; pos: number }>(
        'SELECT accepted_at AS at, pos FROM event_log WHERE pos > $1::int8 ORDER BY pos LIMIT 1',
        [middle],
      );
      if (row === undefined || row.at >= sinceMs) high = middle;
      else low = row.pos;
    }
    return low;
  }
}
