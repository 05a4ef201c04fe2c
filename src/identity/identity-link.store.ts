import { uuidArray } from '../platform/binary-arrays.js';
import type { Uuid } from '../platform/ids.js';
import type { Queryable, Transaction } from '../platform/postgres.js';
import type { IdentifierPair, IdentityLinks } from './identity-links.model.js';
import type { LinkDecision, NewLink } from './identity-decision.model.js';

/** Links by hand, as they stand. Whoever changes one holds every partition's lock (`Pipeline.revise`). */
export class IdentityLinkStore {
  /** Those that have an end among these identifiers, each once. */
  async around(tx: Queryable, ids: readonly Uuid[]): Promise<IdentityLinks> {
    const { rows } = await tx.run<{ kind: NewLink['kind']; a_id: Uuid; b_id: Uuid }>({
      name: 'identity-links-around',
      text: `SELECT kind, a_id, b_id FROM identity_links WHERE a_id = ANY ($1::uuid[]) AND removed_at IS NULL
             UNION
             SELECT kind, a_id, b_id FROM identity_links WHERE b_id = ANY ($1::uuid[]) AND removed_at IS NULL`,
      values: [uuidArray(ids, (id) => id)],
    });
    const of = (kind: NewLink['kind']): IdentifierPair[] =>
      rows.filter((row) => row.kind === kind).map((row) => [row.a_id, row.b_id]);
    return { mustLinks: of('must'), cannotLinks: of('cannot') };
  }

  async insert(tx: Transaction, links: readonly NewLink[], decision: LinkDecision): Promise<void> {
    if (links.length === 0) return;
    await tx.query(
      `INSERT INTO identity_links
         (id, kind, a_id, b_id, a_ns, a_value, b_ns, b_value, revision_id, created_by, created_at, reason)
       SELECT l.*, $9, $10, $11, $12
       FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::text[]) AS l
       ON CONFLICT (kind, a_id, b_id) WHERE removed_at IS NULL DO NOTHING`,
      [
        links.map(({ id }) => id),
        links.map(({ kind }) => kind),
        links.map(({ a }) => a.id),
        links.map(({ b }) => b.id),
        links.map(({ a }) => a.ns),
        links.map(({ a }) => a.value),
        links.map(({ b }) => b.ns),
        links.map(({ b }) => b.value),
        decision.revisionId,
        decision.actor,
        decision.at,
        decision.reason,
      ],
    );
  }

  async remove(tx: Transaction, ids: readonly Uuid[], decision: LinkDecision): Promise<void> {
    if (ids.length === 0) return;
    await tx.query(
      `UPDATE identity_links SET removed_by = $2, removed_at = $3, removed_revision_id = $4
       WHERE id = ANY ($1::uuid[]) AND removed_at IS NULL`,
      [ids, decision.actor, decision.at, decision.revisionId],
    );
  }
}
