import { int4Array, uuidArray } from '../platform/binary-arrays.js';
import { hashId, type Uuid } from '../platform/ids.js';
import type { Queryable, Transaction } from '../platform/postgres.js';
import type { KnownProfile } from './component.model.js';
import type { Evidence } from './evidence.model.js';
import { GenericValueStore, saveMentions } from './generic-value.store.js';
import { saveEvidence } from './save-identity.js';
import type { StandingEvidence } from './standing-evidence.js';

/** What founds a profile whose founding identifier is gone: nothing that anybody can be known by. */
export function founderOfNobody(profileId: Uuid): Uuid {
  return hashId('founder that is gone', profileId);
}

/** Writes of taking events back that no event makes: evidence, identifiers and profiles that go. */
export class IdentityRetractionStore {
  /** The identifiers that the anchors' evidence names. */
  async namedBy(tx: Queryable, anchorIds: readonly Uuid[]): Promise<Uuid[]> {
    const rows = await tx.query<{ id: Uuid }>(
      'SELECT DISTINCT unnest(identifier_ids) AS id FROM evidence WHERE anchor_id = ANY ($1::uuid[])',
      [anchorIds],
    );
    return rows.map(({ id }) => id);
  }

  /** The identifiers that any evidence of the component names, or of a generic value from which events are yet to be moved. */
  async namedIn(tx: Queryable, componentId: Uuid): Promise<ReadonlySet<Uuid>> {
    const rows = await tx.query<{ id: Uuid }>(
      `SELECT DISTINCT unnest(e.identifier_ids) AS id FROM identifiers i JOIN evidence e ON e.anchor_id = i.id
       WHERE i.component_id = $1
       UNION SELECT i.id FROM generic_values g JOIN evidence e ON e.anchor_id = g.value_id
       CROSS JOIN LATERAL unnest(e.identifier_ids) u (id) JOIN identifiers i ON i.id = u.id
       WHERE g.is_generic AND cardinality(e.identifier_ids) > 1 AND i.component_id = $1`,
      [componentId],
    );
    return new Set(rows.map(({ id }) => id));
  }

  /**
   * Makes these rows all of the anchors' evidence.
   * @param movedIds values that count again, whose events are moved with it
   */
  async replaceEvidence(
    tx: Transaction,
    anchorIds: readonly Uuid[],
    evidence: readonly Evidence[],
    movedIds: readonly Uuid[] = [],
  ): Promise<void> {
    await tx.query('DELETE FROM evidence WHERE anchor_id = ANY ($1::uuid[])', [anchorIds]);
    await new GenericValueStore().replaceMentions(tx, anchorIds, evidence, movedIds);
    await saveEvidence(tx, evidence);
  }

  /**
   * The same where it is known what stands: only rows are written that change.
   * @param standing all of the anchors' evidence
   */
  async changeEvidence(
    tx: Transaction,
    anchorIds: readonly Uuid[],
    evidence: readonly Evidence[],
    {
      standing,
      movedIds = [],
    }: { readonly standing: StandingEvidence; readonly movedIds?: readonly Uuid[] | undefined },
  ): Promise<void> {
    const { removed, added } = standing.changeTo(evidence);
    if (removed.length > 0) {
      await tx.query(
        `DELETE FROM evidence e USING unnest($1::uuid[], $2::uuid[], $3::int4[]) AS r (anchor_id, set_id, day)
         WHERE e.anchor_id = r.anchor_id AND e.set_id = r.set_id AND e.day = r.day`,
        [
          uuidArray(removed, (row) => row.anchorId),
          uuidArray(removed, (row) => row.setId),
          int4Array(removed, (row) => row.day),
        ],
      );
    }
    await new GenericValueStore().replaceMentions(tx, anchorIds, evidence, movedIds);
    await saveMentions(tx, evidence);
    await saveEvidence(tx, added);
  }

  /** Of these, the profiles and identifiers that are no more. */
  async goneOf(
    tx: Queryable,
    profileIds: readonly Uuid[],
    identifierIds: readonly Uuid[],
  ): Promise<{ profileIds: Set<Uuid>; identifierIds: Uuid[] }> {
    const absent = (table: 'profiles' | 'identifiers', ids: readonly Uuid[]): Promise<{ id: Uuid }[]> =>
      tx.query(
        `SELECT g.id FROM unnest($1::uuid[]) AS g (id) WHERE NOT EXISTS (SELECT FROM ${table} t WHERE t.id = g.id)`,
        [ids],
      );
    const profiles = await absent('profiles', profileIds);
    const identifiers = identifierIds.length === 0 ? [] : await absent('identifiers', identifierIds);
    return { profileIds: new Set(profiles.map(({ id }) => id)), identifierIds: identifiers.map(({ id }) => id) };
  }

  async removeIdentifiers(tx: Transaction, ids: readonly Uuid[]): Promise<void> {
    if (ids.length === 0) return;
    const values = [uuidArray(ids, (id) => id)];
    await Promise.all([
      tx.query('DELETE FROM assignments WHERE identifier_id = ANY ($1::uuid[])', values),
      tx.query('DELETE FROM identifiers WHERE id = ANY ($1::uuid[])', values),
    ]);
  }

  /** Before profiles are saved in the usual way, which leaves founders as they are. */
  async saveFounders(tx: Transaction, profiles: readonly KnownProfile[]): Promise<void> {
    if (profiles.length === 0) return;
    await tx.query(
      `UPDATE profiles p SET founding_id = f.founding_id FROM unnest($1::uuid[], $2::uuid[]) AS f (id, founding_id)
       WHERE p.id = f.id AND p.founding_id <> f.founding_id`,
      [uuidArray(profiles, (p) => p.id), uuidArray(profiles, (p) => p.foundingId)],
    );
  }

  /** Removes profiles with all their aliases. */
  async removeProfiles(tx: Transaction, ids: readonly Uuid[]): Promise<void> {
    if (ids.length === 0) return;
    await tx.query(
      `WITH RECURSIVE gone (id) AS (
         SELECT unnest($1::uuid[]) UNION SELECT p.id FROM profiles p JOIN gone g ON p.merged_into = g.id
       )
       DELETE FROM profiles p USING gone g WHERE p.id = g.id`,
      [uuidArray(ids, (id) => id)],
    );
  }
}
