import type { Queryable } from '../platform/postgres.js';
import type { CheckResult } from './doctor.js';

/** Whether work went on without rows of the log whose bytes cannot be read, and still cannot. */
export async function checkDamagedRows(db: Queryable): Promise<CheckResult> {
  const name = 'damaged rows';
  const [first] = await db.query<{ all: number; pos: number; part: number; work: string; notedAt: number }>(
    `SELECT count(*) OVER ()::int8 AS all, d.pos, e.part, d.work, d.noted_at AS "notedAt"
     FROM damaged_rows d JOIN event_log e ON e.pos = d.pos AND md5(e.payload) = d.payload_md5 ORDER BY d.pos LIMIT 1`,
  );
  if (first === undefined) return { name, outcome: 'ok', detail: 'none was met' };
  const { all, pos, part, work, notedAt } = first;
  return {
    name,
    outcome: 'warning',
    detail: `${String(all)} rows of the log cannot be read; the first is event_log.pos ${String(pos)}, partition ${String(part)}, met by ${work} at ${new Date(notedAt).toISOString()}`,
    hint: 'Put their payloads back from a backup: what came of these events stays until then, and cannot be folded anew.',
  };
}
