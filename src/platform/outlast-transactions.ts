import { WeftError } from './errors.js';
import type { Queryable } from './postgres.js';

const POLL_MS = 100;
/** For transactions of others, which end after half a minute where they are Weft's. */
const MAX_WAIT_MS = 60_000;

/**
 * Resolves once nobody can see any more what is deleted by now: as long as anybody can, tables that are written anew keep
 * it. Waits for a minute at most.
 * @throws WeftError UNAVAILABLE where somebody's transaction does not end
 */
export async function outlastTransactions(db: Queryable, sleep: (ms: number) => Promise<void>): Promise<void> {
  const [now] = await db.query<{ xid: string }>('SELECT pg_current_xact_id()::text AS xid');
  const isAny = async (rows: string): Promise<boolean> => (await db.query(rows, [now?.xid ?? '0'])).length > 0;
  // A snapshot is as old as the eldest transaction under way that writes, in whatever database of the cluster, and so is
  // what a table that is written anew keeps. Asked first: once there is none, no new snapshot is that old.
  const isWritten = () => isAny('SELECT WHERE pg_snapshot_xmin(pg_current_snapshot()) <= $1::xid8');
  const isSeen = () =>
    isAny(
      `SELECT FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
         AND backend_xmin IS NOT NULL AND age(backend_xmin) >= age($1::xid8::xid)
       UNION ALL
       SELECT FROM pg_replication_slots WHERE age(xmin) >= age($1::xid8::xid)`,
    );
  for (let waitedMs = 0; (await isWritten()) || (await isSeen()); waitedMs += POLL_MS) {
    if (waitedMs >= MAX_WAIT_MS) {
      throw new WeftError('UNAVAILABLE', 'a transaction of somebody else keeps what is deleted in the tables', {
        where: 'pg_stat_activity, pg_replication_slots, pg_prepared_xacts',
        hint: 'end it, in whatever database of this server it is, then run weft privacy compact',
        retryAfterMs: MAX_WAIT_MS,
      });
    }
    await sleep(POLL_MS);
  }
}
