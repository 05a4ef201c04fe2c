import type { Queryable } from '../platform/postgres.js';
import type { CheckResult } from './doctor.js';

/** Whoever runs schedules looks every few seconds: what waits for longer than this is waited for in vain, ms. */
const LATE_MS = 300_000;
/** Ended runs that are looked at, of each. */
const MAX_RUNS = 20;
const MAX_TOLD = 5;

interface ScheduleState {
  readonly key: string;
  /** Ended runs since the last that was done; {@link MAX_RUNS} or more. */
  readonly failures: number;
  /** Of the newest; null where it did not come to what it is for, without an error. */
  readonly code: string | null;
  /** Since when something is due that nobody has begun, ms; null: nothing is. */
  readonly dueSince: number | null;
}

/**
 * Whether schedules come to what they are for: of those that are not paused, the runs since the last that was done, and
 * what is due and not begun.
 */
export async function checkSchedules(db: Queryable, nowMs: number): Promise<CheckResult> {
  const name = 'schedules';
  const [row] = await db.query<{ all: number }>('SELECT count(*)::int4 AS all FROM schedules');
  const all = row?.all ?? 0;
  if (all === 0) return { name, outcome: 'ok', detail: 'none' };
  const wrong = await db.query<ScheduleState>(STATES, [MAX_RUNS, nowMs - LATE_MS]);
  if (wrong.length === 0) return { name, outcome: 'ok', detail: `${String(all)}, none late or failing` };
  const told = wrong.slice(0, MAX_TOLD).map(textOf);
  const more = wrong.length > told.length ? `; and ${String(wrong.length - told.length)} more` : '';
  const isLate = wrong.some(({ dueSince }) => dueSince !== null);
  const hint = isLate
    ? 'Start `weft serve` or `weft worker`, which run what is due; `weft schedule show <key>` has the runs.'
    : '`weft schedule show <key>` says why; remove the cause, then `weft schedule run <key>`.';
  return { name, outcome: 'warning', detail: `${told.join('; ')}${more}`, hint };
}

function textOf({ key, failures, code, dueSince }: ScheduleState): string {
  const parts: string[] = [];
  if (failures > 0) {
    const runs = failures === 1 ? 'run' : `${failures < MAX_RUNS ? '' : 'at least '}${String(failures)} runs`;
    parts.push(`the last ${runs} failed${code === null ? '' : ` (${code})`}`);
  }
  if (dueSince !== null) parts.push(`due since ${new Date(dueSince).toISOString()} and not begun`);
  return `${key}: ${parts.join(', ')}`;
}

/** What is due comes from an open run that waits, or of none from the schedule itself. */
const STATES = `
  SELECT s.key, ended.failures, ended.code, CASE WHEN due.at < $2::int8 THEN due.at END AS "dueSince"
  FROM schedules s
  CROSS JOIN LATERAL (
    SELECT coalesce(min(n) FILTER (WHERE status = 'done') - 1, count(*))::int4 AS failures,
           max(error_code) FILTER (WHERE n = 1) AS code
    FROM (
      SELECT status, error_code, row_number() OVER (ORDER BY due_at DESC, id DESC) AS n
      FROM schedule_runs WHERE schedule_key = s.key AND status IN ('done', 'failed')
      ORDER BY due_at DESC, id DESC LIMIT $1
    ) latest
  ) ended
  LEFT JOIN schedule_runs open ON open.schedule_key = s.key AND open.status IN ('waiting', 'running')
  CROSS JOIN LATERAL (
    SELECT CASE WHEN open.status = 'waiting' THEN open.not_before WHEN open.id IS NULL THEN s.next_due_at END AS at
  ) due
  WHERE NOT s.paused AND (ended.failures > 0 OR due.at < $2::int8)
  ORDER BY s.key`;
