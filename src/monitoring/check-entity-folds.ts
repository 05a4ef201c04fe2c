import { readEntityFoldLag } from '../features/entity-fold-lag.reader.js';
import type { Queryable } from '../platform/postgres.js';
import type { CheckResult } from './doctor.js';

/** Events that are folded in time are so within seconds; a new view of a long history takes longer. */
const LATE_MS = 10 * 60_000;
const MAX_COUNTED = 100_000;

/** Whether what events come to for items is up to date with what is applied. */
export async function checkEntityFolds(db: Queryable, nowMs: number): Promise<CheckResult> {
  const name = 'items';
  const lag = await readEntityFoldLag(db);
  if (lag === null) return { name, outcome: 'ok', detail: 'no feature of them is computed from events' };
  const [marked] = await db.query<{ count: number }>(
    'SELECT count(*) AS count FROM (SELECT FROM entity_refolds LIMIT $1) r',
    [MAX_COUNTED],
  );
  const count = marked?.count ?? 0;
  const again = count === 0 ? '' : `, ${String(count)}${count === MAX_COUNTED ? ' or more' : ''} to be folded anew`;
  const { events, oldestAcceptedAt } = lag;
  if (events === 0 || oldestAcceptedAt === null) return { name, outcome: 'ok', detail: `up to date${again}` };
  const ageMs = Math.max(0, nowMs - oldestAcceptedAt);
  const detail = `${String(events)} positions of the log behind, the oldest of ${String(Math.floor(ageMs / 1000))} s ago${again}`;
  if (ageMs < LATE_MS) return { name, outcome: 'ok', detail };
  const hint = "A new view takes as long as its history is read; else see whether a worker runs, and the worker's log.";
  return { name, outcome: 'warning', detail, hint };
}
