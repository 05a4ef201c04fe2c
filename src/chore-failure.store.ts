import type { Queryable } from './platform/postgres.js';

/** A chore that could not be done the last time it was tried. */
export interface ChoreFailure {
  readonly chore: string;
  /** In a row. */
  readonly failures: number;
  /** A code and where; no data of anybody. */
  readonly reason: string;
  readonly nowMs: number;
}

/** Tells of a chore that nobody has tried for so long: its process is gone, or its work is. */
const FORGET_AFTER_MS = 24 * 60 * 60_000;

/** Keeps which chores fail, for whoever looks from outside. */
export class ChoreFailureStore {
  async note(db: Queryable, { chore, failures, reason, nowMs }: ChoreFailure): Promise<void> {
    await db.query('DELETE FROM chore_failures WHERE failed_at < $1', [nowMs - FORGET_AFTER_MS]);
    await db.query(
      `INSERT INTO chore_failures AS f (chore, failures, since, failed_at, reason) VALUES ($1, $2, $3, $3, $4)
       ON CONFLICT (chore) DO UPDATE SET failures = excluded.failures, failed_at = excluded.failed_at,
         reason = excluded.reason, since = CASE WHEN excluded.failures = 1 THEN excluded.since ELSE f.since END`,
      [chore, failures, nowMs, reason],
    );
  }

  /** Names of chores that some process could not do. */
  async names(db: Queryable): Promise<string[]> {
    return (await db.query<{ chore: string }>('SELECT chore FROM chore_failures ORDER BY chore')).map(
      ({ chore }) => chore,
    );
  }

  /** @param untilMs unless it failed after that; null: in any case */
  async forget(db: Queryable, chore: string, untilMs: number | null): Promise<void> {
    await db.query('DELETE FROM chore_failures WHERE chore = $1 AND ($2::int8 IS NULL OR failed_at <= $2)', [
      chore,
      untilMs,
    ]);
  }
}
