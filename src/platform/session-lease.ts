import type { Database } from './postgres.js';
import type { Session } from './session.js';

/**
 * The right to some work, which one process has at a time. It is an advisory lock of a session: PostgreSQL frees it when
 * the process dies, however it dies, so that a takeover waits for no time-out and trusts no clock.
 */
export class SessionLease {
  readonly #db: Database;
  readonly #lock: number;
  readonly #onLost: () => void;
  #session: Session | null = null;

  /**
   * @param lock the number of the advisory lock; the same in each release
   * @param onLost called where it was held and is no more
   */
  constructor(db: Database, lock: number, onLost: () => void) {
    this.#db = db;
    this.#lock = lock;
    this.#onLost = onLost;
  }

  /** `taken`: it is held since this call; `held`: since before. */
  async hold(): Promise<'taken' | 'held' | 'elsewhere'> {
    if (await this.#answers()) return 'held';
    if (await this.#isElsewhere()) return 'elsewhere';
    const session = await this.#db.session(() => {
      this.#lost();
    });
    try {
      const [row] = await session.query<{ isTaken: boolean }>('SELECT pg_try_advisory_lock($1) AS "isTaken"', [
        this.#lock,
      ]);
      if (row?.isTaken === true) {
        this.#session = session;
        return 'taken';
      }
    } catch (error) {
      await session.close();
      throw error;
    }
    await session.close();
    return 'elsewhere';
  }

  /** Gives it back. */
  async close(): Promise<void> {
    const session = this.#session;
    this.#session = null;
    await session?.close();
  }

  async #answers(): Promise<boolean> {
    const session = this.#session;
    if (session === null) return false;
    try {
      await session.query('SELECT 1');
      return this.#session === session;
    } catch {
      // What it held may be free already.
      session.abandon();
      this.#lost();
      return false;
    }
  }

  /** Without a session of its own, which each look of each process would have to open. */
  async #isElsewhere(): Promise<boolean> {
    const rows = await this.#db.query(
      `SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid = 0 AND objid = $1 AND objsubid = 1
         AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
      [this.#lock],
    );
    return rows.length > 0;
  }

  #lost(): void {
    if (this.#session === null) return;
    this.#session = null;
    this.#onLost();
  }
}
