import type { Queryable } from '../platform/postgres.js';
import type { RetentionProgress } from './retention.model.js';

interface Row extends RetentionProgress {
  readonly sourceId: number;
}

/** Reads how far retentions are carried out. */
export class RetentionReader {
  constructor(private readonly db: Queryable) {}

  /** By source; those without an entry have not been looked at yet. */
  async progress(sourceIds: readonly number[]): Promise<Map<number, RetentionProgress>> {
    const rows = await this.db.query<Row>(
      `SELECT source_id AS "sourceId", removed_events AS "removedEvents", removed_letters AS "removedLetters",
              CASE WHEN finished_at IS NULL THEN done_pos::float8 / greatest(until_pos, 1) END AS progress,
              finished_at AS "finishedAt"
       FROM source_retention WHERE source_id = ANY ($1::int4[])`,
      [sourceIds],
    );
    return new Map(rows.map(({ sourceId, ...progress }) => [sourceId, progress]));
  }
}
