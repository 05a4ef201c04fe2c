import type { Queryable } from '../platform/postgres.js';

/** How much there is of what, counted in one snapshot. */
export interface Statistics {
  /** Events in the log. */
  readonly events: number;
  /** Of these, not yet applied. */
  readonly waitingEvents: number;
  readonly identifiers: number;
  /** Living profiles. */
  readonly profiles: number;
  /** Profiles that became part of another. */
  readonly merges: number;
  readonly changes: number;
  readonly deadLetters: number;
}

/** Counts tables; a second or so for ten million rows, so nothing for a page view. */
export class StatisticsReader {
  readonly #db: Queryable;

  constructor(db: Queryable) {
    this.#db = db;
  }

  async read(): Promise<Statistics> {
    const [row] = await this.#db.query<Statistics>(
      `SELECT (SELECT count(*) FROM event_log) AS events,
              (SELECT pos FROM log_head) - (SELECT min(applied_pos) FROM partitions) AS "waitingEvents",
              (SELECT count(*) FROM identifiers) AS identifiers,
              (SELECT count(*) FROM profiles WHERE merged_into IS NULL) AS profiles,
              (SELECT count(*) FROM profiles WHERE merged_into IS NOT NULL) AS merges,
              (SELECT seq FROM feed_head) AS changes,
              (SELECT count(*) FROM dead_letters WHERE state = 'open') AS "deadLetters"`,
    );
    if (row === undefined) throw new Error('no answer to a count');
    return row;
  }
}
