import { WeftError } from '../../platform/errors.js';
import type { Database } from '../../platform/postgres.js';
import type { Webhook } from './webhook.model.js';

/** Class of the advisory locks of replays; any number that no other class has, the same in each release. */
const REPLAY_LOCK_CLASS = 7_729_117;

/**
 * Keeps other replays of the webhook out for as long as `use` runs. PostgreSQL frees the lock when the process dies,
 * however it dies.
 * @param use is told by the signal when the lock is lost
 * @throws WeftError CONFLICT where another replay is under way
 */
export async function withReplayLock<T>(
  db: Pick<Database, 'session'>,
  { sourceId, key }: Pick<Webhook, 'sourceId' | 'key'>,
  use: (lost: AbortSignal) => Promise<T>,
): Promise<T> {
  const lost = new AbortController();
  const session = await db.session(() => {
    lost.abort(
      new WeftError('UNAVAILABLE', 'the connection that kept other replays out was lost', {
        where: key,
        hint: 'run the replay again, which goes on',
      }),
    );
  });
  try {
    const [row] = await session.query<{ taken: boolean }>('SELECT pg_try_advisory_lock($1, $2) AS taken', [
      REPLAY_LOCK_CLASS,
      sourceId,
    ]);
    if (row?.taken !== true) {
      throw new WeftError('CONFLICT', `another replay of the webhook ${key} is under way`, {
        where: 'key',
        hint: 'run this again once it has ended',
      });
    }
    return await use(lost.signal);
  } finally {
    await session.close();
  }
}
