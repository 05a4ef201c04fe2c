import type { JsonObject } from '../events/event.model.js';
import type { Queryable } from '../platform/postgres.js';
import { ENTITY_LIMITS, type EntityRecord } from './entity.model.js';

/** The records of one name from one source, as a batch view has them. */
export interface RecordKind {
  readonly sourceId: number;
  readonly name: string;
}

/** What is asked of one key. */
export interface RecordAsk {
  readonly key: string;
  /** Records that occurred later do not count, ms. */
  readonly untilMs: number;
  /** Records that were accepted later are not known, ms. */
  readonly knownUntilMs: number;
}

export interface StoredRecord extends EntityRecord {
  readonly entity: string;
  /** Key of its source. */
  readonly source: string;
}

/** Where a page of a key's history goes on: before this record, the newest first. */
export interface RecordPlace {
  readonly occurredAt: number;
  readonly sourceId: number;
  readonly messageId: string;
}

/** A key that records are kept of. */
export interface EntityKey {
  readonly key: string;
  /** All that are kept of it. */
  readonly records: number;
  /** When the newest occurred, ms. */
  readonly newestAt: number;
}

export interface KeysAsk {
  /** What keys begin with; empty: all. */
  readonly prefix: string;
  /** Only keys after this one, by code point; null: from the start. */
  readonly after: string | null;
  readonly limit: number;
}

interface RecordRow extends Omit<EntityRecord, 'properties'> {
  readonly at: number;
  readonly properties: string;
}

/** Reads records of entities; bound to a pool or to a transaction. */
export class EntityRecordReader {
  readonly #db: Queryable;

  constructor(db: Queryable) {
    this.#db = db;
  }

  /**
   * For each ask the records of each kind with the greatest time: what the winner is among. Of more than
   * {@link ENTITY_LIMITS} with the very same time, those that were accepted last.
   */
  async newest(entity: string, kinds: readonly RecordKind[], asks: readonly RecordAsk[]): Promise<EntityRecord[][]> {
    const found: EntityRecord[][] = asks.map(() => []);
    if (kinds.length === 0 || asks.length === 0) return found;
    const { rows } = await this.#db.run<RecordRow>({
      name: 'entity_records_newest',
      text: `SELECT (a.at - 1)::int4 AS at, r.key, r.source_id AS "sourceId", r.name, r.message_id AS "messageId",
               r.occurred_at AS "occurredAt", r.accepted_at AS "acceptedAt", r.properties
             FROM unnest($2::text[], $3::bigint[], $4::bigint[]) WITH ORDINALITY AS a (key, until, known, at)
             CROSS JOIN unnest($5::int[], $6::text[]) AS k (source_id, name)
             CROSS JOIN LATERAL (
               SELECT occurred_at FROM entity_records
               WHERE entity = $1 AND key = a.key AND source_id = k.source_id AND name = k.name
                 AND occurred_at <= a.until AND accepted_at <= a.known
               ORDER BY occurred_at DESC LIMIT 1) AS m
             CROSS JOIN LATERAL (
               SELECT * FROM entity_records
               WHERE entity = $1 AND key = a.key AND source_id = k.source_id AND name = k.name
                 AND occurred_at = m.occurred_at AND accepted_at <= a.known
               ORDER BY accepted_at DESC, message_id DESC LIMIT $7) AS r`,
      values: [
        entity,
        asks.map(({ key }) => key),
        asks.map(({ untilMs }) => untilMs),
        asks.map(({ knownUntilMs }) => knownUntilMs),
        kinds.map(({ sourceId }) => sourceId),
        kinds.map(({ name }) => name),
        ENTITY_LIMITS.maxTies,
      ],
    });
    for (const { at, ...row } of rows) found[at]?.push({ ...row, properties: propertiesOf(row.properties) });
    return found;
  }

  /** Keys with records, by code point; one look into the index for each. */
  keys(entity: string, { prefix, after, limit }: KeysAsk): Promise<EntityKey[]> {
    return this.#db.query<EntityKey>(
      `WITH RECURSIVE found AS (
         (SELECT key, 1 AS n FROM entity_records
          WHERE entity = $1 AND key >= $2 AND ($3::text IS NULL OR key > $3 COLLATE "C") ORDER BY key LIMIT 1)
         UNION ALL
         SELECT (SELECT r.key FROM entity_records r WHERE r.entity = $1 AND r.key > f.key ORDER BY r.key LIMIT 1), n + 1
         FROM found f WHERE n < $4 AND starts_with(f.key, $2))
       SELECT f.key, c.records, c.newest AS "newestAt" FROM found f CROSS JOIN LATERAL (
         SELECT count(*)::int8 AS records, max(occurred_at) AS newest FROM entity_records r
         WHERE r.entity = $1 AND r.key = f.key) c
       WHERE starts_with(f.key, $2) ORDER BY f.key`,
      [entity, prefix, after, limit],
    );
  }

  /** All that is kept of a key, the newest first. @param before only what comes after this one; null: from the start */
  async history(entity: string, key: string, before: RecordPlace | null, limit: number): Promise<StoredRecord[]> {
    const rows = await this.#db.query<Omit<StoredRecord, 'properties'> & { readonly properties: string }>(
      `SELECT r.entity, r.key, r.source_id AS "sourceId", s.key AS source, r.name, r.message_id AS "messageId",
         r.occurred_at AS "occurredAt", r.accepted_at AS "acceptedAt", r.properties
       FROM entity_records r JOIN sources s ON s.id = r.source_id
       WHERE r.entity = $1 AND r.key = $2
         AND ($3::bigint IS NULL OR (r.occurred_at, r.source_id, r.message_id) < ($3, $4::int, $5::text COLLATE "C"))
       ORDER BY r.occurred_at DESC, r.source_id DESC, r.message_id DESC LIMIT $6`,
      [entity, key, before?.occurredAt ?? null, before?.sourceId ?? null, before?.messageId ?? null, limit],
    );
    return rows.map((row) => ({ ...row, properties: propertiesOf(row.properties) }));
  }
}

function propertiesOf(text: string): JsonObject {
  return JSON.parse(text) as JsonObject;
}
