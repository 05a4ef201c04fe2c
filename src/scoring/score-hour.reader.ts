import type { Queryable } from '../platform/postgres.js';
import { HOUR_MS, type ScoreHour } from './score-hour.model.js';

const COLUMNS = 'h.key, h.version, h.start, answered, unanswered, scored, total, sample, classes, missing';

/** Hours of a version with which those of now are compared, and those of now. */
export interface VersionHours {
  readonly version: number;
  /** Of the day with which it began to answer. */
  readonly first: readonly ScoreHour[];
  readonly last: readonly ScoreHour[];
}

/** Reads what versions of models said of live traffic. */
export class ScoreHourReader {
  constructor(private readonly db: Queryable) {}

  /**
   * Of each version of a model that has any, by version.
   * @param sinceMs where the last hours begin
   */
  async versions(key: string, sinceMs: number): Promise<VersionHours[]> {
    const rows = await this.db.query<ScoreHour & { readonly isFirst: boolean; readonly isLast: boolean }>(
      `SELECT ${COLUMNS}, h.start < f.first + $3::int8 AS "isFirst", h.start >= $2::int8 AS "isLast"
       FROM model_score_hours h JOIN
         (SELECT version, min(start) AS first FROM model_score_hours WHERE key = $1 GROUP BY version) f USING (version)
       WHERE h.key = $1 AND (h.start < f.first + $3::int8 OR h.start >= $2::int8) ORDER BY h.version, h.start, process`,
      [key, sinceMs, 24 * HOUR_MS],
    );
    return [...new Set(rows.map(({ version }) => version))].map((version) => {
      const own = rows.filter((row) => row.version === version);
      return { version, first: own.filter(({ isFirst }) => isFirst), last: own.filter(({ isLast }) => isLast) };
    });
  }
}
