import type { Database } from '../../src/platform/postgres.js';

/** Far longer than a session takes to end. */
const GONE_WITHIN_MS = 10_000;

/**
 * Ends the sessions of that name, as a restart of the server would, and waits until they are gone: the client hears of
 * its end before the server has freed the locks that the session held.
 */
export async function loseSessions(db: Database, applicationName: string): Promise<void> {
  await db.query(
    `SELECT pg_terminate_backend(pid, $2) FROM pg_stat_activity
     WHERE application_name = $1 AND datname = current_database()`,
    [applicationName, GONE_WITHIN_MS],
  );
}
