import { uuidArray } from '../platform/binary-arrays.js';
import type { Uuid } from '../platform/ids.js';
import type { Queryable, Transaction } from '../platform/postgres.js';
import type { IdentifierPair, IdentityLinks } from './identity-links.model.js';
import type { LinkDecision, LinkOrigin, NewLink } from './identity-decision.model.js';

/**
 * Links by people and by models, as they stand. Whoever changes one of people's holds every partition's lock, of a model's
 * the locks of the components of its ends (`Pipeline.revise`).
 */
export class IdentityLinkStore {
  /**
   * Those that have an end among these identifiers, each once.
   * @param by whose; default: all
   */
  async around(tx: Queryable, ids: readonly Uuid[], by: LinkOrigin | null = null): Promise<IdentityLinks> {
    const { rows } = await tx.run<{ kind: NewLink['kind']; a_id: Uuid; b_id: Uuid }>({
      name: 'identity-links-around',
      text: `SELECT kind, a_id, b_id FROM identity_links
             WHERE a_id = ANY ($1::uuid[]) AND removed_at IS NULL AND ($2::text IS NULL OR origin = $2)
             UNION
             SELECT kind, a_id, b_id FROM identity_links
             WHERE b_id = ANY ($1::uuid[]) AND removed_at IS NULL AND ($2::text IS NULL OR origin = $2)`,
      values: [uuidArray(ids, (id) => id), by],
    });
    const of = (kind: NewLink['kind']): IdentifierPair[] =>
      rows.filter((row) => row.kind === kind).map((row) => [row.a_id, row.b_id]);
    return { mustLinks: of('must'), cannotLinks: of('cannot') };
  }

  /** Of links that are to be removed, those of whose pair nobody else says the same. */
  async withoutOthers(tx: Queryable, removed: readonly NewLink[]): Promise<NewLink[]> {
    if (removed.length === 0) return [];
    const others = await tx.query<{ id: Uuid }>(
      `SELECT r.id FROM identity_links r JOIN identity_links o ON o.kind = r.kind AND o.a_id = r.a_id AND o.b_id = r.b_id
       WHERE r.id = ANY ($1::uuid[]) AND o.removed_at IS NULL AND o.id <> ALL ($1::uuid[])`,
      [removed.map(({ id }) => id)],
    );
    const stays = new Set(others.map(({ id }) => id));
    return removed.filter(({ id }) => !stays.has(id));
  }

  async insert(tx: Transaction, links: readonly NewLink[], decision: LinkDecision): Promise<void> {
    if (links.length === 0) return;
    await tx.query(
      `INSERT INTO identity_links
         (id, kind, a_id, b_id, a_ns, a_value, b_ns, b_value, model_version, weight, origin, revision_id, created_by,
          created_at, reason)
       SELECT l.*, CASE WHEN l.version IS NULL THEN 'person' ELSE 'model' END, $11, $12, $13, $14
       FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::text[],
                   $9::text[], $10::float8[]) AS l (id, kind, a, b, a_ns, a_value, b_ns, b_value, version, weight)
       ON CONFLICT (kind, a_id, b_id, origin) WHERE removed_at IS NULL DO NOTHING`,
      [
        links.map(({ id }) => id),
        links.map(({ kind }) => kind),
        links.map(({ a }) => a.id),
        links.map(({ b }) => b.id),
        links.map(({ a }) => a.ns),
        links.map(({ a }) => a.value),
        links.map(({ b }) => b.ns),
        links.map(({ b }) => b.value),
        links.map(({ model }) => model?.version ?? null),
        links.map(({ model }) => model?.weight ?? null),
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
