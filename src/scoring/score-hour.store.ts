import type { Uuid } from '../platform/ids.js';
import type { Database } from '../platform/postgres.js';
import { HOUR_MS, type ScoreHour } from './score-hour.model.js';

const DAY_MS = 24 * HOUR_MS;
/** Hours are kept so long, and for ever those of a version's first day with scores. */
export const KEPT_MS = 30 * DAY_MS;

/** Rows of `model_score_hours`. */
export class ScoreHourStore {
  constructor(private readonly db: Database) {}

  /** Puts what a process has of these hours in place of what it had. */
  async save(process: Uuid, hours: readonly ScoreHour[]): Promise<void> {
    if (hours.length === 0) return;
    await this.db.query(
      `INSERT INTO model_score_hours
         (key, version, start, process, answered, unanswered, scored, total, sample, classes, missing)
       SELECT h.key, h.version, h.start, $1::uuid, h.answered, h.unanswered, h.scored, h.total,
         ARRAY(SELECT jsonb_array_elements_text(h.sample)::float8), h.classes, h.missing
       FROM jsonb_to_recordset($2::jsonb) AS h (key text, version int4, start int8, answered int8, unanswered int8,
         scored int8, total float8, sample jsonb, classes jsonb, missing jsonb)
       ON CONFLICT (key, version, start, process) DO UPDATE SET answered = excluded.answered,
         unanswered = excluded.unanswered, scored = excluded.scored, total = excluded.total,
         sample = excluded.sample, classes = excluded.classes, missing = excluded.missing`,
      [process, JSON.stringify(hours)],
    );
  }

  /** Removes what is too old, but for the day with which a version began: later ones are compared with it. */
  async sweep(nowMs: number): Promise<void> {
    await this.db.execute(
      `DELETE FROM model_score_hours h USING
         (SELECT key, version, min(start) AS first FROM model_score_hours GROUP BY key, version) f
       WHERE h.key = f.key AND h.version = f.version AND h.start < $1::int8 AND h.start >= f.first + $2::int8`,
      [nowMs - KEPT_MS, DAY_MS],
    );
  }
}
