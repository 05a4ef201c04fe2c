import { WeftError } from '../platform/errors.js';
import type { Uuid } from '../platform/ids.js';
import type { Database } from '../platform/postgres.js';

/**
 * Keeps every other run of the load out for as long as `use` runs. PostgreSQL frees the lock when the process dies,
 * however it dies; where its machine is gone, half a minute later. Should the connection be lost, `use` goes on: each event
 * is in the log once whoever sends it, and all that a second run would spoil is the counts.
 * @throws WeftError CONFLICT where another run of the load is under way
 */
export async function withLoadLock<T>(
  db: Pick<Database, 'session'>,
  { id, fileName }: { readonly id: Uuid; readonly fileName: string },
  use: () => Promise<T>,
): Promise<T> {
  const session = await db.session(() => undefined);
  try {
    const [row] = await session.query<{ taken: boolean }>(
      `SELECT pg_try_advisory_lock(hashtextextended('weft.loads/' || $1, 0)) AS taken,
              set_config('tcp_keepalives_idle', '10', false), set_config('tcp_keepalives_interval', '5', false),
              set_config('tcp_keepalives_count', '4', false)`,
      [id],
    );
    if (row?.taken !== true) {
      throw new WeftError('CONFLICT', `another process is loading this file: the load ${id}`, {
        where: fileName,
        hint: 'run this again once it has ended; weft load list shows it',
      });
    }
    return await use();
  } finally {
    await session.close();
  }
}
