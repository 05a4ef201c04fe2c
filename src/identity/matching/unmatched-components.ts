import { uuidArray } from '../../platform/binary-arrays.js';
import type { Uuid } from '../../platform/ids.js';
import type { Queryable, Transaction } from '../../platform/postgres.js';
import type { MatchingStore } from './matching.store.js';

/** An identifier of a component that has too much evidence to be compared. */
export interface UnmatchedIdentifier {
  readonly id: Uuid;
  readonly componentId: Uuid;
  /** What of its news the component's last resolution knew. */
  readonly resolvedNews: number;
  /** Whether nothing is kept of any member, as of that resolution. */
  readonly isClear: boolean;
}

/** Records of one component that are taken away in one transaction. */
const MAX_REMOVED = 500;

/**
 * Contested components, as far as models of record linkage are concerned: nobody of them is compared, so none is read or
 * locked as a whole. Whoever ends that a component is contested marks its members (`matching-marks.ts`).
 */
export class UnmatchedComponents {
  readonly #store: Pick<MatchingStore, 'membersAround' | 'remove'>;

  constructor(store: Pick<MatchingStore, 'membersAround' | 'remove'>) {
    this.#store = store;
  }

  /**
   * Those of these identifiers that are of such a component. One that links of models made so large is none: by evidence
   * alone it may be several that are compared.
   */
  async among(db: Queryable, ids: readonly Uuid[]): Promise<UnmatchedIdentifier[]> {
    const found = await db.query<UnmatchedIdentifier>(
      `SELECT i.id, i.component_id AS "componentId", k.resolved_news AS "resolvedNews",
              k.unmatched_news IS NOT DISTINCT FROM k.resolved_news AS "isClear"
       FROM identifiers i JOIN contested_components k ON k.component_id = i.component_id WHERE i.id = ANY ($1::uuid[])`,
      [uuidArray(ids, (id) => id)],
    );
    const open = new Set(found.flatMap(({ isClear, componentId }) => (isClear ? [] : [componentId])));
    if (open.size === 0) return found;
    const linked = await this.#linkedByModels(db, [...open]);
    return found.filter(({ componentId }) => !linked.has(componentId));
  }

  /**
   * Takes away what is kept of these identifiers, and of their components where that was not done since their last
   * resolution.
   * @returns those of whose components nothing is left to be taken away
   */
  async remove(tx: Transaction, identifiers: readonly UnmatchedIdentifier[]): Promise<Uuid[]> {
    if (identifiers.length === 0) return [];
    const members = await this.#store.membersAround(
      tx,
      identifiers.map(({ id }) => id),
    );
    const recordIds = new Set(members.map(({ recordId }) => recordId));
    const open = new Map(
      identifiers.flatMap(({ isClear, componentId, resolvedNews }) => (isClear ? [] : [[componentId, resolvedNews]])),
    );
    const unfinished = new Set<Uuid>();
    for (const [componentId, resolvedNews] of open) {
      const found = await this.#recordsOf(tx, componentId, MAX_REMOVED + 1);
      for (const recordId of found.slice(0, MAX_REMOVED)) recordIds.add(recordId);
      if (found.length > MAX_REMOVED) unfinished.add(componentId);
      else await this.#clear(tx, componentId, resolvedNews);
    }
    await this.#store.remove(tx, [...recordIds]);
    return identifiers.flatMap(({ id, componentId }) => (unfinished.has(componentId) ? [] : [id]));
  }

  async #linkedByModels(db: Queryable, componentIds: readonly Uuid[]): Promise<Set<Uuid>> {
    const rows = await db.query<{ id: Uuid }>(
      `SELECT c.id FROM unnest($1::uuid[]) AS c (id) WHERE EXISTS (
         SELECT FROM identifiers i JOIN LATERAL (
           SELECT FROM identity_links WHERE a_id = i.id AND origin = 'model' AND removed_at IS NULL
           UNION ALL
           SELECT FROM identity_links WHERE b_id = i.id AND origin = 'model' AND removed_at IS NULL
         ) l ON true WHERE i.component_id = c.id)`,
      [uuidArray(componentIds, (id) => id)],
    );
    return new Set(rows.map(({ id }) => id));
  }

  async #recordsOf(db: Queryable, componentId: Uuid, limit: number): Promise<Uuid[]> {
    const rows = await db.query<{ id: Uuid }>(
      `SELECT DISTINCT m.record_id AS id FROM identifiers i JOIN matching_members m ON m.identifier_id = i.id
       WHERE i.component_id = $1 LIMIT $2`,
      [componentId, limit],
    );
    return rows.map(({ id }) => id);
  }

  async #clear(tx: Transaction, componentId: Uuid, resolvedNews: number): Promise<void> {
    await tx.query('UPDATE contested_components SET unmatched_news = $2 WHERE component_id = $1', [
      componentId,
      resolvedNews,
    ]);
  }
}
