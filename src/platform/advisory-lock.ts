import type { QueryRunner } from 'typeorm';
import type { Database } from './postgres.js';

/** A lock that its session holds; freed when the session ends, however it ends. */
export class AdvisoryLock {
  readonly #session: QueryRunner;
  readonly #key: number;

  private constructor(session: QueryRunner, key: number) {
    this.#session = session;
    this.#key = key;
  }

  /** Null if another session holds it. @param key any integer within ±2^53 that means the same in each process */
  static async tryTake(db: Database, key: number): Promise<AdvisoryLock | null> {
    const session = db.dataSource.createQueryRunner();
    await session.connect();
    const [row] = (await session.query('SELECT pg_try_advisory_lock($1::int8) AS taken', [key])) as {
      taken: boolean;
    }[];
    if (row?.taken === true) return new AdvisoryLock(session, key);
    await session.release();
    return null;
  }

  async release(): Promise<void> {
    await this.#session.query('SELECT pg_advisory_unlock($1::int8)', [this.#key]).catch(() => undefined);
    await this.#session.release();
  }
}
