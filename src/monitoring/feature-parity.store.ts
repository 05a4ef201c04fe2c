import type { Queryable } from '../platform/postgres.js';
import { PARITY_DAY_MS, PARITY_KEPT_DAYS, type ParityFigures } from './feature-parity.model.js';

/** Rows of `feature_parity`. */
export class FeatureParityStore {
  constructor(private readonly db: Queryable) {}

  async add(figures: readonly ParityFigures[], nowMs: number): Promise<void> {
    if (figures.length === 0) return;
    await this.db.query(
      `INSERT INTO feature_parity AS p (feature, day, entity, compared, mismatched, missing, estimated, max_delta,
         too_big, last_compared_at, last_mismatch_at)
       SELECT feature, $2::int8, entity, compared, mismatched, missing, estimated, delta, "tooBig", $3::int8,
              CASE WHEN mismatched + missing > 0 THEN $3::int8 END
       FROM jsonb_to_recordset($1::jsonb) AS f (entity text, feature text, compared int8, mismatched int8, missing int8,
         estimated int8, delta float8, "tooBig" int8) ORDER BY feature
       ON CONFLICT (feature, day) DO UPDATE SET
         entity = excluded.entity, compared = p.compared + excluded.compared, mismatched = p.mismatched + excluded.mismatched,
         missing = p.missing + excluded.missing, estimated = p.estimated + excluded.estimated,
         max_delta = greatest(p.max_delta, excluded.max_delta), too_big = p.too_big + excluded.too_big,
         last_compared_at = excluded.last_compared_at,
         last_mismatch_at = coalesce(excluded.last_mismatch_at, p.last_mismatch_at)`,
      [
        JSON.stringify(figures.map(({ maxDelta, ...rest }) => ({ ...rest, delta: maxDelta }))),
        Math.floor(nowMs / PARITY_DAY_MS) * PARITY_DAY_MS,
        nowMs,
      ],
    );
  }

  /** Removes what is too old to be kept. */
  async sweep(nowMs: number): Promise<void> {
    await this.db.execute('DELETE FROM feature_parity WHERE day < $1::int8', [
      nowMs - (PARITY_KEPT_DAYS + 1) * PARITY_DAY_MS,
    ]);
  }
}
