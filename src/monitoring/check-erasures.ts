import type { Queryable } from '../platform/postgres.js';
import type { CheckResult } from './doctor.js';

/** Whether erasures that are under way get on, and which do not for longest. */
export async function checkErasures(db: Queryable): Promise<CheckResult> {
  const name = 'erasures';
  const [eldest] = await db.query<{ id: string; all: number; failures: number; since: number; failure: string }>(
    `SELECT id, count(*) OVER ()::int8 AS all, failures, failing_since AS since, failure FROM erasures
     WHERE failures > 0 ORDER BY failing_since, id LIMIT 1`,
  );
  if (eldest === undefined) return { name, outcome: 'ok', detail: 'none fails' };
  const { id, all, failures, since, failure } = eldest;
  return {
    name,
    outcome: 'failed',
    detail: `${String(all)} cannot be brought to an end; ${id}, ${String(failures)} times since ${new Date(since).toISOString()}: ${failure}`,
    hint: "They are tried again, at least every hour, and others go on; `weft privacy receipts` says what fails, the worker's log more.",
  };
}
