import type { FeatureDefinition } from './features/feature.model.js';
import { readingsOf } from './features/stream.model.js';
import type { Queryable } from './platform/postgres.js';

/** A window is kept in tiles, and a retention removes events by the day. */
const DAY_MS = 86_400_000;

/**
 * Which features the log can tell: those none of whose events a retention may have removed while what came of them was
 * kept.
 */
export async function readWhatLogTells(db: Queryable): Promise<(definition: FeatureDefinition) => boolean> {
  const limits = await db.query<{ key: string; kept: number }>(
    `SELECT s.key, r.retention_ms AS kept FROM source_retention r JOIN sources s ON s.id = r.source_id
     WHERE r.removed_events > 0 AND NOT s.retention_strict`,
  );
  const isThere = ({ source, windowMs }: FeatureDefinition): boolean =>
    limits.every(
      ({ key, kept }) => (source !== null && source !== key) || (windowMs !== null && windowMs + DAY_MS <= kept),
    );
  return (definition) => readingsOf(definition).every(isThere);
}
