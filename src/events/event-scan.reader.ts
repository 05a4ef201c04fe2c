import type { Queryable } from '../platform/postgres.js';
import { eventUnlessDamaged, type DamagedRow } from './damaged-rows.model.js';
import type { LoggedEvent } from './event.model.js';
import { EVENT_COLUMNS, type EventRow } from './event-row.model.js';
import { NO_SEALER, type EventSealer } from './event-seal.model.js';

export interface ScanOptions {
  /** Events after this position are left out. */
  readonly toPos: number;
  /** Times of occurrence, ms, the first inclusive, the last exclusive. */
  readonly fromMs: number;
  readonly untilMs: number;
  /** Told of each row whose bytes cannot be read, and which is left out. */
  readonly onDamaged: (row: DamagedRow) => void;
}

interface ScanPage {
  readonly events: readonly LoggedEvent[];
  /** Up to where the log was looked at. */
  readonly scannedPos: number;
}

/** Positions that are looked at together; memory holds their events. */
const PAGE_POSITIONS = 2_000;

/** Reads the log from its beginning, by position. Events that could not be applied are left out. */
export class EventScanReader {
  constructor(
    private readonly db: Queryable,
    private readonly sealer: EventSealer = NO_SEALER,
  ) {}

  async *pages({ toPos, fromMs, untilMs, onDamaged }: ScanOptions): AsyncGenerator<ScanPage, void, undefined> {
    for (let after = 0; after < toPos; after += PAGE_POSITIONS) {
      const scannedPos = Math.min(toPos, after + PAGE_POSITIONS);
      const { rows } = await this.db.run<EventRow>({
        name: 'event-scan',
        text: `SELECT ${EVENT_COLUMNS} FROM event_log l
               WHERE pos > $1::int8 AND pos <= $2::int8 AND occurred_at >= $3::int8 AND occurred_at < $4::int8
                 AND NOT EXISTS (SELECT FROM dead_letters d WHERE d.pos = l.pos)
               ORDER BY pos`,
        values: [after, scannedPos, fromMs, untilMs],
      });
      const opened = await this.sealer.open(rows);
      yield { events: opened.flatMap((row) => eventUnlessDamaged(row, onDamaged) ?? []), scannedPos };
    }
  }
}
