import { LIVE_WORKERS } from '../events/live-worker.reader.js';
import type { Uuid } from '../platform/ids.js';
import type { Queryable } from '../platform/postgres.js';

interface Standing {
  readonly status: string;
  readonly failure: string | null;
  readonly retryAt: number | null;
  readonly behind: number;
  readonly holders: number;
  readonly retraction: string | null;
  readonly removed: number;
  readonly events: number;
  readonly reason: string | null;
  readonly groups: boolean;
  readonly models: boolean;
}

/** What an erasure that is under way waits for, for people to read and without data of anybody; null: it is not under way. */
export async function readErasureWait(db: Queryable, id: Uuid): Promise<string | null> {
  const [standing] = await db.query<Standing>(
    `SELECT e.status, e.failure, e.retry_at AS "retryAt", r.status AS retraction, coalesce(r.removed, 0) AS removed,
            coalesce(r.events, 0) AS events, r.reason, p.holders, e.barrier_pos - p.applied AS behind,
            EXISTS (SELECT FROM group_sweeps WHERE forgets OR next_forgets) AS groups,
            EXISTS (SELECT FROM linkage_models WHERE has_plain_terms) AS models
     FROM erasures e LEFT JOIN retractions r ON r.erasure_id = e.id
     CROSS JOIN (SELECT min(applied_pos) AS applied, count(*) FILTER (WHERE holder IN (${LIVE_WORKERS})) AS holders
                 FROM partitions) p
     WHERE e.id = $1 AND e.status IN ('waiting', 'running')`,
    [id],
  );
  return standing === undefined ? null : textOf(standing);
}

function textOf({ status, failure, retryAt, behind, holders, retraction, removed, events, ...rest }: Standing): string {
  if (failure !== null) {
    const again = retryAt === null ? '' : `, tried again at ${new Date(retryAt).toISOString()}`;
    return `a step that failed (${failure})${again}; the worker's log says more`;
  }
  if (holders === 0) return 'a worker: none runs; start `weft serve` or `weft worker`';
  if (status === 'waiting') {
    if (behind <= 0) return 'its turn among the work beside the batches';
    return `what was accepted before it to be applied: ${String(behind)} positions of the log are left`;
  }
  if (retraction === 'running') {
    const why = rest.reason === null ? '' : `, after a failure (${rest.reason})`;
    return `events to be taken back: ${String(removed)} of ${String(events)}${why}`;
  }
  if (rest.groups) return "members of the person's groups to be told; dead letters are looked through meanwhile";
  if (rest.models) return 'values in stored models of record linkage to be hashed';
  return 'dead letters, deliveries, label files and training sets to be looked through';
}
