import type { EventLog } from './events/event-log.model.js';
import type { Place } from './pipeline-work.js';
import type { Clock } from './platform/clock.js';
import type { Database } from './platform/postgres.js';

/**
 * Where a step that no event brings stands in acceptance order: after what is applied and before what is not, at the
 * instant of the next event that waits, or now. No evaluation so far is later, and none to come is earlier.
 */
export async function nextPlace({
  db,
  clock,
  log,
}: {
  readonly db: Database;
  readonly clock: Clock;
  readonly log: EventLog;
}): Promise<Place> {
  const head = await log.bumpTime(clock.now());
  const [row] = await db.query<{ pos: number; at: number | null }>(
    `SELECT a.pos, (SELECT accepted_at FROM event_log WHERE pos > a.pos ORDER BY pos LIMIT 1) AS at
     FROM (SELECT max(applied_pos) AS pos FROM partitions) a`,
  );
  return { pos: row?.pos ?? head.pos, acceptedAt: row?.at ?? head.acceptedAt };
}
