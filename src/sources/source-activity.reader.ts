import type { Queryable } from '../platform/postgres.js';
import { NO_ACTIVITY, type ActivityCounts, type ActivityHour } from './source-activity.model.js';

/** What came in under one name. */
export interface EventActivity extends ActivityCounts {
  /** '' for what has no counts of its own. */
  readonly event: string;
}

const COUNTS = 'accepted, duplicates, refused, flagged, loaded';
const SUMS = COUNTS.split(', ')
  .map((name) => `sum(${name})::int8 AS ${name}`)
  .join(', ');

/** Reads what sources sent, as of the last write of each process: some seconds ago. */
export class SourceActivityReader {
  constructor(private readonly db: Queryable) {}

  /** When anything came in last, by id of the source, ms; sources that never sent anything are left out. */
  async lastSeen(sourceIds: readonly number[]): Promise<ReadonlyMap<number, number>> {
    const rows = await this.db.query<{ id: number; at: number }>(
      'SELECT source_id AS id, last_seen_at AS at FROM source_seen WHERE source_id = ANY ($1::int4[])',
      [sourceIds],
    );
    return new Map(rows.map(({ id, at }) => [id, at]));
  }

  /**
   * Sums by id of the source.
   * @param fromHour ms, inclusive
   */
  async sums(sourceIds: readonly number[], fromHour: number): Promise<ReadonlyMap<number, ActivityCounts>> {
    const rows = await this.db.query<ActivityCounts & { id: number }>(
      `SELECT source_id AS id, ${SUMS} FROM source_hours
       WHERE source_id = ANY ($1::int4[]) AND hour >= $2::int8 GROUP BY source_id`,
      [sourceIds, fromHour],
    );
    const found = new Map(rows.map(({ id, ...counts }) => [id, counts]));
    return new Map(sourceIds.map((id) => [id, found.get(id) ?? NO_ACTIVITY]));
  }

  /**
   * Hours with anything in them, ascending.
   * @param fromHour ms, inclusive
   */
  async hours(sourceId: number, fromHour: number): Promise<readonly ActivityHour[]> {
    return this.db.query<ActivityHour>(
      `SELECT hour, ${COUNTS} FROM source_hours WHERE source_id = $1::int4 AND hour >= $2::int8 ORDER BY hour`,
      [sourceId, fromHour],
    );
  }

  /** By name, those that came most often first. */
  async events(sourceId: number, fromHour: number, limit: number): Promise<readonly EventActivity[]> {
    return this.db.query<EventActivity>(
      `SELECT event, ${SUMS} FROM source_event_hours WHERE source_id = $1::int4 AND hour >= $2::int8
       GROUP BY event ORDER BY sum(accepted + duplicates + refused) DESC, event LIMIT $3::int4`,
      [sourceId, fromHour, limit],
    );
  }
}
