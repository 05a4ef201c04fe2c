import type { Queryable } from '../platform/postgres.js';

/** How far items are behind the events that are applied. */
export interface EntityFoldLag {
  /** Positions of the log that are applied and not folded into the items of all views. */
  readonly events: number;
  /** When the first of them was accepted, ms; null: there is none, or the log has none of these events any more. */
  readonly oldestAcceptedAt: number | null;
}

/** As of the view that is furthest behind; null: no view computes features of items from events. */
export async function readEntityFoldLag(db: Queryable): Promise<EntityFoldLag | null> {
  const { rows } = await db.run<EntityFoldLag>({
    name: 'entity-fold-lag',
    text: `SELECT greatest(a.pos - f.pos, 0) AS events, (
             SELECT accepted_at FROM event_log WHERE pos > f.pos AND pos <= a.pos ORDER BY pos LIMIT 1
           ) AS "oldestAcceptedAt"
           FROM (SELECT min(pos) AS pos FROM entity_folds) f, (SELECT min(applied_pos) AS pos FROM partitions) a
           WHERE f.pos IS NOT NULL`,
    values: [],
  });
  return rows[0] ?? null;
}
