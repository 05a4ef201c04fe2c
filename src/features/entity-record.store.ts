import type { Uuid } from '../platform/ids.js';
import type { Queryable } from '../platform/postgres.js';
import type { EntityRecord } from './entity.model.js';

/** A record as it is written: its properties as JSON text. */
export interface WrittenRecord extends Omit<EntityRecord, 'properties'> {
  readonly properties: string;
}

/** Writes records of entities. */
export class EntityRecordStore {
  /**
   * Adds records that are not there yet, told apart by source and message id.
   *
   * @param loadId the load that they are of; those of one that is being reverted are not written
   * @returns source and message ids of those that were written
   */
  async append(
    db: Queryable,
    entity: string,
    records: readonly WrittenRecord[],
    loadId: Uuid | null,
  ): Promise<Set<string>> {
    if (records.length === 0) return new Set();
    const column = <T>(of: (record: WrittenRecord) => T): T[] => records.map(of);
    // The lock on the load's row makes a revert wait for this, and this see a revert that began before.
    const rows = await db.query<{ message_id: string }>(
      `WITH open_load AS MATERIALIZED (
         SELECT id FROM loads WHERE id = $10::uuid AND status NOT IN ('reverting', 'reverted') FOR SHARE
       )
       INSERT INTO entity_records
         (entity, key, source_id, name, message_id, occurred_at, accepted_at, properties, load_id)
       SELECT $1, r.*, $10::uuid FROM unnest($2::text[], $3::int[], $4::text[], $5::text[], $6::bigint[], $7::bigint[],
         $8::text[]) AS r
       WHERE $9::boolean OR EXISTS (SELECT FROM open_load)
       ON CONFLICT DO NOTHING RETURNING message_id`,
      [
        entity,
        column(({ key }) => key),
        column(({ sourceId }) => sourceId),
        column(({ name }) => name),
        column(({ messageId }) => messageId),
        column(({ occurredAt }) => occurredAt),
        column(({ acceptedAt }) => acceptedAt),
        column(({ properties }) => properties),
        loadId === null,
        loadId,
      ],
    );
    return new Set(rows.map(({ message_id: id }) => id));
  }

  /** Whether the load takes no records any more. */
  async isReverted(db: Queryable, loadId: Uuid): Promise<boolean> {
    const rows = await db.query(`SELECT FROM loads WHERE id = $1 AND status IN ('reverting', 'reverted')`, [loadId]);
    return rows.length > 0;
  }

  /** Removes records of a load, at most `limit`. @returns how many */
  removeOfLoad(db: Queryable, loadId: Uuid, limit: number): Promise<number> {
    return db.execute(
      `DELETE FROM entity_records WHERE ctid IN (SELECT ctid FROM entity_records WHERE load_id = $1 LIMIT $2)`,
      [loadId, limit],
    );
  }

  /** Removes records of a key, or those of a message id, at most `limit`. @returns how many */
  removeOfKey(db: Queryable, entity: string, key: string, messageId: string | null, limit: number): Promise<number> {
    return db.execute(
      `DELETE FROM entity_records WHERE ctid IN (
         SELECT ctid FROM entity_records
         WHERE entity = $1 AND key = $2 AND ($3::text IS NULL OR message_id = $3) LIMIT $4)`,
      [entity, key, messageId, limit],
    );
  }

  /**
   * Removes records that are older than the retention of their entity and not the newest of their key, and those of
   * entities that are not defined any more; at most `limit` of each. @returns how many
   */
  async removeOld(db: Queryable, nowMs: number, limit: number): Promise<number> {
    const old = await db.execute(
      `DELETE FROM entity_records WHERE ctid IN (
         SELECT r.ctid FROM feature_entities e JOIN entity_records r
           ON r.entity = e.name AND r.occurred_at < $1 - (e.definition->>'retentionMs')::bigint
         WHERE EXISTS (
           SELECT FROM entity_records n
           WHERE n.entity = r.entity AND n.key = r.key AND n.source_id = r.source_id AND n.name = r.name
             AND n.occurred_at > r.occurred_at)
         LIMIT $2)`,
      [nowMs, limit],
    );
    const orphaned = await db.execute(
      `WITH RECURSIVE names AS (
         (SELECT entity FROM entity_records ORDER BY entity LIMIT 1)
         UNION ALL
         SELECT (SELECT r.entity FROM entity_records r WHERE r.entity > n.entity ORDER BY r.entity LIMIT 1)
         FROM names n WHERE n.entity IS NOT NULL)
       DELETE FROM entity_records WHERE ctid IN (
         SELECT r.ctid FROM names n JOIN entity_records r ON r.entity = n.entity
         WHERE NOT EXISTS (SELECT FROM feature_entities e WHERE e.name = n.entity)
         LIMIT $1)`,
      [limit],
    );
    return old + orphaned;
  }
}
