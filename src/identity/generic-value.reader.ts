import { GREATEST_ID, LEAST_ID, type Uuid } from '../platform/ids.js';
import type { Queryable } from '../platform/postgres.js';
import { MAX_KNOWN_VALUES, type GenericValue } from './generic-value.model.js';
import type { GenericValues } from './identity-rules.model.js';

const FIELDS = `value_id AS id, ns, value, is_generic AS "isGeneric", is_blocked AS "isBlocked",
  is_moving AS "isMoving", neighbours, changed_at AS "changedAt",
  is_kept AS "isKept", decided_by AS "decidedBy", decided_at AS "decidedAt", reason`;

/** Reads which values stand for many people. */
export class GenericValueReader {
  constructor(private readonly db: Queryable) {}

  async inForce(): Promise<GenericValues> {
    const rows = await this.db.query<
      | { version: number; id: null }
      | ({ version: number } & Pick<GenericValue, 'id' | 'ns' | 'isBlocked' | 'isGeneric'>)
    >(
      `SELECT n.generic_version AS version, g.value_id AS id, g.ns, g.is_blocked AS "isBlocked", g.is_generic AS "isGeneric"
       FROM installation n LEFT JOIN generic_values g ON true
       ORDER BY g.is_generic DESC, g.is_moving DESC, g.changed_at DESC LIMIT $1`,
      [MAX_KNOWN_VALUES],
    );
    const ids = new Set<Uuid>();
    const former = new Set<Uuid>();
    const shared = new Map<string, number>();
    for (const row of rows) {
      if (row.id === null) continue;
      (row.isGeneric ? ids : former).add(row.id);
      if (row.isGeneric && !row.isBlocked) shared.set(row.ns, (shared.get(row.ns) ?? 0) + 1);
    }
    return { version: rows[0]?.version ?? 0, ids, shared, former };
  }

  async find(id: Uuid): Promise<GenericValue | null> {
    const [row] = await this.db.query<GenericValue>(`SELECT ${FIELDS} FROM generic_values WHERE value_id = $1`, [id]);
    return row ?? null;
  }

  /** Those that are generic, by rising id; those after a place. */
  async standing(after: Uuid | null, limit: number): Promise<GenericValue[]> {
    return this.db.query<GenericValue>(
      `SELECT ${FIELDS} FROM generic_values WHERE is_generic AND value_id > $1 ORDER BY value_id LIMIT $2`,
      [after ?? LEAST_ID, limit],
    );
  }

  /** Those that are generic, or that somebody decided about; the newest first; those before a place. */
  async page(before: { readonly at: number; readonly id: Uuid } | null, limit: number): Promise<GenericValue[]> {
    return this.db.query<GenericValue>(
      `SELECT ${FIELDS} FROM generic_values
       WHERE (is_generic OR is_kept) AND (changed_at, value_id) < ($1::int8, $2::uuid)
       ORDER BY changed_at DESC, value_id DESC LIMIT $3`,
      [before?.at ?? Number.MAX_SAFE_INTEGER, before?.id ?? GREATEST_ID, limit],
    );
  }
}
