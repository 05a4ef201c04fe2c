import { int8Array } from '../platform/binary-arrays.js';
import type { Clock } from '../platform/clock.js';
import type { Database, Transaction } from '../platform/postgres.js';
import type { DamagedRows, PassedOverObserver } from './damaged-rows.model.js';

/** Rows that are kept; of more, metrics alone tell. */
const MAX_NOTED_ROWS = 1_000;

/** Notes which rows of the log work went on without, for whoever looks from outside, and tells the observer. */
class DamagedRowNotes implements PassedOverObserver {
  constructor(
    private readonly db: Database,
    private readonly clock: Clock,
    private readonly observer: PassedOverObserver,
  ) {}

  async rowsPassedOver(work: string, damaged: Pick<DamagedRows, 'count' | 'first' | 'all'>): Promise<void> {
    await this.observer.rowsPassedOver(work, damaged);
    await this.db.transaction(async (tx) => {
      // Those that were put back, or are gone, make room.
      await tx.query(
        `DELETE FROM damaged_rows d
         WHERE NOT EXISTS (SELECT FROM event_log e WHERE e.pos = d.pos AND md5(e.payload) = d.payload_md5)`,
      );
      await tx.query(
        `INSERT INTO damaged_rows (pos, part, work, payload_md5, noted_at)
         SELECT pos, part, $2, md5(payload), $3 FROM event_log WHERE pos = ANY ($1::int8[])
         ORDER BY pos LIMIT greatest(0, $4 - (SELECT count(*) FROM damaged_rows))
         ON CONFLICT (pos) DO UPDATE SET part = excluded.part, work = excluded.work, payload_md5 = excluded.payload_md5,
           noted_at = excluded.noted_at`,
        [int8Array(damaged.all, ({ pos }) => pos), work, this.clock.now(), MAX_NOTED_ROWS],
      );
    });
  }
}

/** The same observers; rows that are passed over are noted, too. */
export function notingDamage<T extends PassedOverObserver>(db: Database, clock: Clock, observers: T): T {
  const notes = new DamagedRowNotes(db, clock, observers);
  return { ...observers, rowsPassedOver: (work, damaged) => notes.rowsPassedOver(work, damaged) };
}

/** Events were taken out of the log: nothing that was made of their bytes is kept. */
export async function forgetDamagedRows(tx: Transaction, positions: readonly number[]): Promise<void> {
  await tx.query('DELETE FROM damaged_rows WHERE pos = ANY ($1::int8[])', [int8Array(positions, (pos) => pos)]);
}
