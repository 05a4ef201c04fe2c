import type { Queryable } from '../platform/postgres.js';
import type { CheckResult } from './doctor.js';

/** What failed is tried again within a minute; a failure that is older is over, or nobody works. */
const RECENT_MS = 10 * 60_000;
const MAX_TOLD = 10;
/** What people were promised by law, or by whoever runs it. */
const GRAVE: readonly string[] = ['erasures', 'retention'];

/** Whether what workers do beside the batches gets on. */
export async function checkChores(db: Queryable, nowMs: number): Promise<CheckResult> {
  const name = 'chores';
  const failing = await db.query<{ chore: string; failures: number; since: number; reason: string }>(
    `SELECT chore, failures, since, reason FROM chore_failures WHERE failed_at >= $1 
     ORDER BY chore <> ALL ($3::text[]), since, chore LIMIT $2`,
    [nowMs - RECENT_MS, MAX_TOLD, GRAVE],
  );
  if (failing.length === 0) return { name, outcome: 'ok', detail: 'none fails' };
  const told = failing.map(
    ({ chore, failures, since, reason }) =>
      `${chore}, ${String(failures)} times since ${new Date(since).toISOString()}: ${reason}`,
  );
  return {
    name,
    outcome: failing.some(({ chore }) => GRAVE.includes(chore)) ? 'failed' : 'warning',
    detail: told.join('; '),
    hint: "They are tried again every minute, and the others go on; the worker's log says more.",
  };
}
