import type { Queryable } from '../platform/postgres.js';
import type { CheckResult } from './doctor.js';

/** Whether erasures that are under way get on, and which do not for longest. */
export async function checkErasures(db: Queryable): Promise<CheckResult> {
  const name = 'erasures';
  const [eldest] = await db.query<{ id: string; all: number; failures: number; since: number; failure: string }>(
    `SELECT id, count(*) OVER ()::int8 AS all, failures, failing_since AS since, failure FROM erasures
     WHERE failures > 0 ORDER BY failing_since, id LIMIT 1`,
  );
  const givenUp = await readGivenUp(db);
  if (givenUp !== null) {
    const { id, all, reason } = givenUp;
    return {
      name,
      outcome: 'failed',
      detail: `${String(all)} were given up; ${id}: ${reason ?? 'the events could not be taken back'}`,
      hint: 'Remove the cause, then ask for the erasure again: nothing goes on before.',
    };
  }
  if (eldest === undefined) return { name, outcome: 'ok', detail: 'none fails' };
  const { id, all, failures, since, failure } = eldest;
  return {
    name,
    outcome: 'failed',
    detail: `${String(all)} cannot be brought to an end; ${id}, ${String(failures)} times since ${new Date(since).toISOString()}: ${failure}`,
    hint: "They are tried again, at least every hour, and others go on; `weft privacy receipts` says what fails, the worker's log more.",
  };
}

/** Those whose events could not be taken back, unless somebody asked for them again; the eldest of them. */
async function readGivenUp(db: Queryable): Promise<{ id: string; all: number; reason: string | null } | null> {
  const [eldest] = await db.query<{ id: string; all: number; reason: string | null }>(
    `SELECT e.id, count(*) OVER ()::int8 AS all, r.reason
     FROM erasures e LEFT JOIN retractions r ON r.erasure_id = e.id
     WHERE e.status = 'failed' AND EXISTS (SELECT FROM erasure_subjects s WHERE s.erasure_id = e.id)
     ORDER BY e.requested_at, e.id LIMIT 1`,
  );
  return eldest ?? null;
}
