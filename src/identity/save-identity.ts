import type { Uuid } from '../platform/ids.js';
import { int2Array, int4Array, int8Array, textArray, uuidArray } from '../platform/binary-arrays.js';
import type { Transaction } from '../platform/postgres.js';
import { keepFirstAssignments, saveAssignments, type Assignment } from './assignment.store.js';
import type { KnownIdentifier, KnownProfile } from './component.model.js';
import type { Evidence } from './evidence.model.js';
import { saveMentions } from './generic-value.store.js';
import type { IdentifierMove } from './identity-move.model.js';

export interface IdentityWrites {
  readonly identifiers: readonly KnownIdentifier[];
  readonly profiles: readonly KnownProfile[];
  readonly evidence: readonly Evidence[];
  readonly assignments: readonly Assignment[];
  readonly moves: readonly IdentifierMove[];
  /**
   * Beside those, such as the transaction found not to be there: they are inserted without looking for them once more in
   * each unique index. Default: none is known to be.
   */
  readonly added?: { readonly identifiers: readonly KnownIdentifier[]; readonly profiles: readonly KnownProfile[] };
}

/** Writes what a batch or a revision changed, all in one round trip. */
export async function saveIdentity(tx: Transaction, writes: IdentityWrites): Promise<void> {
  const { added = NOBODY } = writes;
  await Promise.all([
    keepFirstAssignments(tx, movedIn(writes)),
    // The largest first: the database writes it while the arrays of the others are made.
    saveIdentifiers(tx, added.identifiers, true),
    saveIdentifiers(tx, writes.identifiers, false),
    saveAssignments(tx, writes.assignments),
    saveProfiles(tx, added.profiles, true),
    saveProfiles(tx, writes.profiles, false),
    saveEvidence(tx, writes.evidence),
    saveMoves(tx, writes.moves),
  ]);
}

const NOBODY: NonNullable<IdentityWrites['added']> = { identifiers: [], profiles: [] };

/** Those who were there before and move. */
function movedIn({ assignments, added = NOBODY }: IdentityWrites): Uuid[] {
  if (assignments.length === 0) return [];
  const moved = new Set(assignments.map((a) => a.identifierId));
  for (const { id } of added.identifiers) moved.delete(id);
  return [...moved];
}

const INSERT_IDENTIFIERS = `INSERT INTO identifiers (id, ns, value, component_id, profile_id, first_pos, first_at)
  SELECT id, ns, value, component, profile, pos, nullif(at, -1)
  FROM unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[], $5::uuid[], $6::bigint[], $7::bigint[])
    AS t (id, ns, value, component, profile, pos, at)`;

async function saveIdentifiers(
  tx: Transaction,
  identifiers: readonly KnownIdentifier[],
  areNew: boolean,
): Promise<void> {
  if (identifiers.length === 0) return;
  await tx.run({
    name: areNew ? 'identity-insert-identifiers' : 'identity-save-identifiers',
    text: areNew
      ? INSERT_IDENTIFIERS
      : `${INSERT_IDENTIFIERS}
         ON CONFLICT (id) DO UPDATE SET component_id = excluded.component_id, profile_id = excluded.profile_id`,
    values: [
      uuidArray(identifiers, (i) => i.id),
      textArray(identifiers, (i) => i.ns),
      textArray(identifiers, (i) => i.value),
      uuidArray(identifiers, (i) => i.componentId),
      uuidArray(identifiers, (i) => i.profileId),
      int8Array(identifiers, (i) => i.firstPos),
      int8Array(identifiers, (i) => i.firstAt ?? -1),
    ],
  });
}

const INSERT_PROFILES = `INSERT INTO profiles (id, founding_id, founded_pos, created_at, part, merged_into)
  SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::int8[], $4::int8[], $5::int2[], $6::uuid[])`;

async function saveProfiles(tx: Transaction, profiles: readonly KnownProfile[], areNew: boolean): Promise<void> {
  if (profiles.length === 0) return;
  await tx.run({
    name: areNew ? 'identity-insert-profiles' : 'identity-save-profiles',
    text: areNew
      ? INSERT_PROFILES
      : `${INSERT_PROFILES} ON CONFLICT (id) DO UPDATE SET merged_into = excluded.merged_into`,
    values: [
      uuidArray(profiles, (p) => p.id),
      uuidArray(profiles, (p) => p.foundingId),
      int8Array(profiles, (p) => p.foundedPos),
      int8Array(profiles, (p) => p.createdAt),
      int2Array(profiles, (p) => p.part),
      profiles.map((p) => p.mergedInto),
    ],
  });
}

function idsOf({ identifiers, uncounted = [] }: Evidence): Uuid[] {
  return [...identifiers, ...uncounted].map(({ id }) => id);
}

export async function saveEvidence(tx: Transaction, evidence: readonly Evidence[]): Promise<void> {
  if (evidence.length === 0) return;
  await saveMentions(tx, evidence);
  // Arrays of arrays must be rectangular in SQL: the sets travel as text and are cast to uuid[] there.
  await tx.run({
    name: 'identity-save-evidence',
    text: `INSERT INTO evidence AS e (anchor_id, set_id, day, occurred_at, source_id, message_id, known_at, identifier_ids)
           SELECT a, s, d, o, src, m, k, ids::uuid[]
           FROM unnest($1::uuid[], $2::uuid[], $3::int[], $4::bigint[], $5::int[], $6::text[], $7::bigint[], $8::text[])
             AS t (a, s, d, o, src, m, k, ids)
           ON CONFLICT (anchor_id, set_id, day) DO UPDATE
             SET occurred_at = excluded.occurred_at, source_id = excluded.source_id, message_id = excluded.message_id,
                 known_at = least(e.known_at, excluded.known_at)
             WHERE (excluded.occurred_at, excluded.source_id, excluded.message_id COLLATE "C")
                 < (e.occurred_at, e.source_id, e.message_id COLLATE "C")`,
    values: [
      uuidArray(evidence, (e) => e.anchorId),
      uuidArray(evidence, (e) => e.setId),
      int4Array(evidence, (e) => e.day),
      int8Array(evidence, (e) => e.key.occurredAt),
      int4Array(evidence, (e) => e.key.sourceId),
      textArray(evidence, (e) => e.key.messageId),
      int8Array(evidence, (e) => e.knownAt),
      textArray(evidence, (e) => `{${idsOf(e).join(',')}}`),
    ],
  });
}

async function saveMoves(tx: Transaction, moves: readonly IdentifierMove[]): Promise<void> {
  if (moves.length === 0) return;
  await tx.run({
    name: 'identity-save-moves',
    text: `INSERT INTO identity_moves (id, kind, from_profile, to_profile, identifier_ids, at, pos, cause, revision_id)
           SELECT id, kind, f, t, ids::uuid[], at, pos, cause, revision
           FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::uuid[], $5::text[], $6::int8[], $7::int8[], $8::text[],
                       $9::uuid[]) AS m (id, kind, f, t, ids, at, pos, cause, revision)`,
    values: [
      uuidArray(moves, (m) => m.id),
      textArray(moves, (m) => m.kind),
      uuidArray(moves, (m) => m.from),
      uuidArray(moves, (m) => m.to),
      textArray(moves, (m) => `{${m.identifierIds.join(',')}}`),
      int8Array(moves, (m) => m.at),
      int8Array(moves, (m) => m.pos),
      textArray(moves, (m) => m.cause),
      moves.map((m) => m.revisionId),
    ],
  });
}
