import { int4Array, int8Array, textArray } from '../platform/binary-arrays.js';
import type { Queryable } from '../platform/postgres.js';
import { MAX_VIOLATION_GROUPS, MAX_VIOLATION_SAMPLES, type ViolationDelta } from './violation.model.js';

const MAX_SWEPT_ROWS = 10_000;

/** Writes the counts of violations. */
export class ViolationStore {
  readonly #db: Queryable;

  constructor(db: Queryable) {
    this.#db = db;
  }

  /** Adds to the counts; all of it or, when this rejects, none, unless the connection was lost. */
  async add(deltas: readonly ViolationDelta[]): Promise<void> {
    await this.#db.run({
      name: 'plan_violations_add',
      text: ADD,
      values: [
        int4Array(deltas, (d) => d.sourceId),
        int8Array(deltas, (d) => d.hour),
        textArray(deltas, (d) => d.event),
        textArray(deltas, (d) => d.rule),
        textArray(deltas, (d) => d.path),
        int8Array(deltas, (d) => d.count),
        textArray(deltas, (d) => JSON.stringify(d.samples)),
        MAX_VIOLATION_GROUPS,
        MAX_VIOLATION_SAMPLES,
      ],
    });
  }

  /** Removes some of what is older than `beforeHour`, ms; true if there may be more of it. */
  async sweep(beforeHour: number): Promise<boolean> {
    const swept = await this.#db.execute(
      `DELETE FROM plan_violations
       WHERE ctid = ANY (ARRAY(SELECT ctid FROM plan_violations WHERE hour < $1::int8 LIMIT $2::int4))`,
      [beforeHour, MAX_SWEPT_ROWS],
    );
    return swept === MAX_SWEPT_ROWS;
  }
}

// Rows are written in one order, so that two processes wait for each other and do not lock each other out.
const ADD = `
  WITH incoming AS (
    SELECT source_id, hour, event, rule, path, count, ARRAY(SELECT json_array_elements_text(samples::json)) AS samples
    FROM unnest($1::int4[], $2::int8[], $3::text[], $4::text[], $5::text[], $6::int8[], $7::text[])
      AS t (source_id, hour, event, rule, path, count, samples)
  ), standing AS (
    SELECT source_id, hour, count(*) AS groups FROM plan_violations
    WHERE (source_id, hour) IN (SELECT source_id, hour FROM incoming) GROUP BY source_id, hour
  ), ranked AS (
    SELECT i.*, v.event IS NOT NULL AS is_known,
           row_number() OVER (PARTITION BY i.source_id, i.hour, v.event IS NULL ORDER BY i.event, i.rule, i.path) AS nth
    FROM incoming i LEFT JOIN plan_violations v USING (source_id, hour, event, rule, path)
  ), placed AS (
    SELECT r.*, is_known OR nth + coalesce(groups, 0) <= $8::int4 AS has_place
    FROM ranked r LEFT JOIN standing USING (source_id, hour)
  )
  INSERT INTO plan_violations AS v (source_id, hour, event, rule, path, count, samples)
  SELECT source_id, hour, CASE WHEN has_place THEN event ELSE '' END, rule, CASE WHEN has_place THEN path ELSE '' END,
         sum(count)::int8, (coalesce(min(samples) FILTER (WHERE has_place), '{}'))[1:$9::int4]
  FROM placed GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5
  ON CONFLICT (source_id, hour, event, rule, path) DO UPDATE
  SET count = v.count + excluded.count, samples = (v.samples || excluded.samples)[1:$9::int4]`;
