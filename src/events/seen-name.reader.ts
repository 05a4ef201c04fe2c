import type { Queryable } from '../platform/postgres.js';
import { MAX_SEEN_NAMES, type SeenNames } from './seen-names.model.js';

/** Reads the names that events have carried; bound to a pool or to a transaction. */
export class SeenNameReader {
  readonly #db: Queryable;

  constructor(db: Queryable) {
    this.#db = db;
  }

  async all(): Promise<SeenNames> {
    const rows = await this.#db.query<{ event: string; fields: string[] }>(
      'SELECT event, array_agg(field) AS fields FROM (SELECT event, field FROM seen_names LIMIT $1) s GROUP BY event',
      [MAX_SEEN_NAMES + 1],
    );
    const size = rows.reduce((sum, { fields }) => sum + fields.length, 0);
    return {
      events: new Map(rows.map(({ event, fields }) => [event, new Set(fields.filter((field) => field !== ''))])),
      isComplete: size <= MAX_SEEN_NAMES,
    };
  }
}
