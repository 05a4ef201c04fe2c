import { int4Array, int8Array, textArray } from '../platform/binary-arrays.js';
import type { Queryable } from '../platform/postgres.js';
import {
  ACTIVITY_KEPT_HOURS,
  HOUR_MS,
  hourOf,
  MAX_ACTIVITY_NAMES,
  type ActivityCounts,
} from './source-activity.model.js';

/** What came in from a source under one name within one hour, to be added to what is there. */
export interface ActivityDelta extends ActivityCounts {
  readonly sourceId: number;
  /** ms */
  readonly hour: number;
  /** '' for what has no name of its own. */
  readonly event: string;
  /** ms */
  readonly lastSeenAt: number;
}

const MAX_SWEPT_ROWS = 10_000;

/** Writes the counts of what came in. */
export class SourceActivityStore {
  readonly #db: Queryable;

  constructor(db: Queryable) {
    this.#db = db;
  }

  /** Adds to the counts; all of it or, when this rejects, none, unless the connection was lost. */
  async add(deltas: readonly ActivityDelta[]): Promise<void> {
    await this.#db.run({
      name: 'source_activity_add',
      text: ADD,
      values: [
        int4Array(deltas, (d) => d.sourceId),
        int8Array(deltas, (d) => d.hour),
        textArray(deltas, (d) => d.event),
        int8Array(deltas, (d) => d.lastSeenAt),
        int8Array(deltas, (d) => d.accepted),
        int8Array(deltas, (d) => d.duplicates),
        int8Array(deltas, (d) => d.refused),
        int8Array(deltas, (d) => d.flagged),
        int8Array(deltas, (d) => d.loaded),
        MAX_ACTIVITY_NAMES,
      ],
    });
  }

  /** Removes some of what is too old to be kept; true if there may be more of it. */
  async sweep(nowMs: number): Promise<boolean> {
    const before = hourOf(nowMs) - ACTIVITY_KEPT_HOURS * HOUR_MS;
    let isMore = false;
    for (const table of ['source_hours', 'source_event_hours']) {
      const swept = await this.#db.execute(
        `DELETE FROM ${table} WHERE ctid = ANY (ARRAY(SELECT ctid FROM ${table} WHERE hour < $1::int8 LIMIT $2::int4))`,
        [before, MAX_SWEPT_ROWS],
      );
      isMore ||= swept === MAX_SWEPT_ROWS;
    }
    return isMore;
  }
}

const COLUMNS = ['accepted', 'duplicates', 'refused', 'flagged', 'loaded'] as const;
const NAMES = COLUMNS.join(', ');
const SUMS = COLUMNS.map((name) => `sum(${name})::int8 AS ${name}`).join(', ');
const adding = (table: string): string =>
  COLUMNS.map((name) => `${name} = ${table}.${name} + excluded.${name}`).join(', ');

// Rows are written in one order, so that two processes wait for each other and do not lock each other out.
const ADD = `
  WITH incoming AS (
    SELECT * FROM unnest($1::int4[], $2::int8[], $3::text[], $4::int8[], $5::int8[], $6::int8[], $7::int8[], $8::int8[],
                         $9::int8[]) AS t (source_id, hour, event, last_seen_at, ${NAMES})
  ), standing AS (
    SELECT source_id, hour, count(*) AS names FROM source_event_hours
    WHERE (source_id, hour) IN (SELECT source_id, hour FROM incoming) GROUP BY source_id, hour
  ), ranked AS (
    SELECT i.*, s.event IS NOT NULL AS is_known,
           row_number() OVER (PARTITION BY i.source_id, i.hour, s.event IS NULL ORDER BY i.event) AS nth
    FROM incoming i LEFT JOIN source_event_hours s USING (source_id, hour, event)
  ), placed AS (
    SELECT source_id, hour,
           CASE WHEN is_known OR nth + coalesce(names, 0) <= $10::int4 THEN event ELSE '' END AS event, ${SUMS}
    FROM ranked LEFT JOIN standing USING (source_id, hour) GROUP BY 1, 2, 3
  ), by_event AS (
    INSERT INTO source_event_hours (source_id, hour, event, ${NAMES})
    SELECT source_id, hour, event, ${NAMES} FROM placed ORDER BY source_id, hour, event
    ON CONFLICT (source_id, hour, event) DO UPDATE SET ${adding('source_event_hours')}
  ), by_hour AS (
    INSERT INTO source_hours (source_id, hour, ${NAMES})
    SELECT source_id, hour, ${SUMS} FROM incoming GROUP BY source_id, hour ORDER BY source_id, hour
    ON CONFLICT (source_id, hour) DO UPDATE SET ${adding('source_hours')}
  )
  INSERT INTO source_seen (source_id, last_seen_at)
  SELECT source_id, max(last_seen_at) FROM incoming GROUP BY source_id ORDER BY source_id
  ON CONFLICT (source_id) DO UPDATE SET last_seen_at = greatest(source_seen.last_seen_at, excluded.last_seen_at)`;
