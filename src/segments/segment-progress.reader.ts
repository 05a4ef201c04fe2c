import type { Queryable } from '../platform/postgres.js';
import { profilesLeftSql } from './count-profiles-left.js';

/** How far a change of definitions is: history is folded into new streams first, then everybody is evaluated. */
export interface SegmentProgress {
  /** Events that were folded in, and those that are to be; equal where no history is missing. */
  readonly eventsDone: number;
  readonly eventsTotal: number;
  /** Profiles that are not evaluated by the newest definitions yet; beyond 100,000 an estimate. */
  readonly profilesLeft: number;
}

/** Reads how far what a segment needs is. */
export class SegmentProgressReader {
  constructor(private readonly db: Queryable) {}

  /** @param streamKeys of the streams that the segment reads */
  async of(streamKeys: readonly string[]): Promise<SegmentProgress> {
    const [row] = await this.db.query<SegmentProgress>(
      `SELECT coalesce(sum(least(b.done_pos, b.since_pos)), 0)::int8 AS "eventsDone",
              coalesce(sum(b.since_pos), 0)::int8 AS "eventsTotal",
              ${profilesLeftSql()} AS "profilesLeft"
       FROM feature_streams f JOIN stream_backfills b ON b.stream_id = f.id WHERE f.key = ANY ($1::text[])`,
      [streamKeys],
    );
    return row ?? { eventsDone: 0, eventsTotal: 0, profilesLeft: 0 };
  }
}
