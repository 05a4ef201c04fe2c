import type { Queryable } from '../platform/postgres.js';
import type { CheckResult } from './doctor.js';

/** A pause is for a while: one that is longer may have been forgotten, ms. */
const LONG_MS = 3_600_000;

/** Whether what changed definitions need rests, and somebody may have forgotten that it does. */
export async function checkSegmentWork(db: Queryable, nowMs: number): Promise<CheckResult> {
  const name = 'segment work';
  const [row] = await db.query<{ since: number | null; waits: boolean }>(
    `SELECT (SELECT since FROM segment_work_pause) AS since,
            EXISTS (SELECT FROM partitions WHERE swept_version < (SELECT definitions_version FROM installation))
              OR EXISTS (SELECT FROM stream_backfills WHERE done_pos < since_pos) AS waits`,
  );
  if (row?.since == null) return { name, outcome: 'ok', detail: 'goes on' };
  const since = `paused since ${new Date(row.since).toISOString()}`;
  if (!row.waits && nowMs - row.since < LONG_MS) return { name, outcome: 'ok', detail: since };
  const detail = row.waits ? `${since}; changed definitions wait for it` : since;
  const outcome = nowMs - row.since < LONG_MS ? 'ok' : 'warning';
  return { name, outcome, detail, hint: '`weft segment recompute --resume` has it go on.' };
}
