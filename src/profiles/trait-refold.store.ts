import { uuidArray } from '../platform/binary-arrays.js';
import { LEAST_ID, type Uuid } from '../platform/ids.js';
import type { Queryable, Transaction } from '../platform/postgres.js';

/** A stretch of anchors whose traits are those of older rules: those above `afterId` in these partitions. */
export interface StaleStretch {
  readonly parts: readonly number[];
  readonly afterId: Uuid;
  /** Traits whose rules changed since; null: look at every anchor. */
  readonly names: readonly string[] | null;
  /** Traits that began or ceased to be sealed since. */
  readonly resealed: readonly string[];
}

/** An anchor's traits as they are stored. */
export interface StoredTraits {
  readonly id: Uuid;
  readonly part: number;
  readonly traits: Buffer;
}

/** Changes that are carried out are remembered for people to look at; so many. */
const MAX_CHANGES_KEPT = 100;

/** How far the anchors are folded anew after rules of traits changed. */
export class TraitRefoldStore {
  /** Where to go on in these partitions; null if all is of this version of the rules. */
  async next(db: Queryable, parts: readonly number[], version: number): Promise<StaleStretch | null> {
    const rows = await db.query<{ part: number; done: number; afterId: Uuid }>(
      `SELECT part, trait_rules_version AS done,
              CASE WHEN trait_rules_target = $2 THEN coalesce(trait_rules_after, $3) ELSE $3 END AS "afterId"
       FROM partitions WHERE part = ANY ($1::int2[]) AND trait_rules_version < $2 ORDER BY part`,
      [parts, version, LEAST_ID],
    );
    const [first] = rows;
    if (first === undefined) return null;
    // Partitions that are equally far go on together: then a page of anchors is one stretch of the index.
    const together = rows.filter(({ afterId }) => afterId === first.afterId);
    const changes = await db.query<{ names: string[] | null; resealed: string[] }>(
      'SELECT names, resealed FROM trait_rule_changes WHERE version > $1 AND version <= $2',
      [Math.min(...together.map(({ done }) => done)), version],
    );
    const isAll = changes.some(({ names }) => names === null);
    return {
      parts: together.map(({ part }) => part),
      afterId: first.afterId,
      names: isAll ? null : [...new Set(changes.flatMap(({ names }) => names ?? []))],
      resealed: [...new Set(changes.flatMap(({ resealed }) => resealed))],
    };
  }

  /** The next anchors, by rising id. */
  async anchors(db: Queryable, { parts, afterId }: StaleStretch, limit: number): Promise<StoredTraits[]> {
    return db.query<StoredTraits>(
      `SELECT anchor_id AS id, part, traits FROM anchor_states WHERE anchor_id > $1 AND part = ANY ($2::int2[])
       ORDER BY anchor_id LIMIT $3`,
      [afterId, parts, limit],
    );
  }

  /** The profiles that these anchors belong to. */
  async owners(tx: Queryable, anchorIds: readonly Uuid[]): Promise<Uuid[]> {
    const rows = await tx.query<{ id: Uuid }>(
      'SELECT DISTINCT profile_id AS id FROM identifiers WHERE id = ANY ($1::uuid[])',
      [uuidArray(anchorIds, (id) => id)],
    );
    return rows.map(({ id }) => id);
  }

  /** Counts anchors that a change of rules changed. */
  async count(tx: Transaction, version: number, anchors: number): Promise<void> {
    await tx.query('UPDATE trait_rule_changes SET anchors = anchors + $2 WHERE version = $1', [version, anchors]);
  }

  /** Notes that the anchors up to this one are done. */
  async advance(tx: Transaction, parts: readonly number[], version: number, afterId: Uuid): Promise<void> {
    await tx.query(
      'UPDATE partitions SET trait_rules_target = $2, trait_rules_after = $3 WHERE part = ANY ($1::int2[])',
      [parts, version, afterId],
    );
  }

  /** Notes that all anchors of these partitions are done. */
  async finish(tx: Transaction, parts: readonly number[], version: number, nowMs: number): Promise<void> {
    await tx.query(
      `UPDATE partitions SET trait_rules_version = $2, trait_rules_target = $2, trait_rules_after = NULL
       WHERE part = ANY ($1::int2[])`,
      [parts, version],
    );
    await tx.query(
      `UPDATE trait_rule_changes SET finished_at = $1
       WHERE finished_at IS NULL AND version <= (SELECT min(trait_rules_version) FROM partitions)`,
      [nowMs],
    );
    await tx.query(
      `DELETE FROM trait_rule_changes
       WHERE finished_at IS NOT NULL AND (resealed = '{}' OR compacted_at IS NOT NULL) AND version <= $1`,
      [version - MAX_CHANGES_KEPT],
    );
  }
}
