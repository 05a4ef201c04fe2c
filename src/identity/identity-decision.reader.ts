import type { Identifier } from '../events/event.model.js';
import { uuidArray } from '../platform/binary-arrays.js';
import { GREATEST_ID, type Uuid } from '../platform/ids.js';
import type { Queryable } from '../platform/postgres.js';
import { assignmentsOf } from './assignment.store.js';
import type { IdentityLink } from './identity-decision.model.js';
import type { DatedLink } from './link-epochs.js';

/** An identifier, and whom it stands for. */
export interface StandingIdentifier extends Identifier {
  readonly profileId: Uuid;
}

/** Identifiers that went over, as they are stored. */
export interface StoredMove {
  readonly id: Uuid;
  readonly kind: 'merge' | 'split';
  readonly from: Uuid;
  readonly to: Uuid;
  readonly identifierIds: readonly Uuid[];
  readonly at: number;
  readonly pos: number;
  readonly cause: 'event' | 'retraction' | 'revision';
  readonly revisionId: Uuid | null;
  /** Grows with each move, also of those at one place. */
  readonly seq: number;
}

const LINK = `id, kind, json_build_object('id', a_id, 'ns', a_ns, 'value', a_value) AS a,
  json_build_object('id', b_id, 'ns', b_ns, 'value', b_value) AS b, revision_id AS "revisionId", created_by AS "createdBy",
  CASE WHEN origin = 'model' THEN json_build_object('version', model_version, 'weight', weight) END AS model,
  created_at AS "createdAt", reason, removed_by AS "removedBy", removed_at AS "removedAt"`;

const MOVE = `id, kind, from_profile AS "from", to_profile AS "to", identifier_ids AS "identifierIds", at, pos, cause,
  revision_id AS "revisionId", seq`;

/** Reads what decisions about who is who rest on, and what came of them. */
export class IdentityDecisionReader {
  /** The living profile that each id stands for; ids that never were are left out. */
  async living(db: Queryable, ids: readonly Uuid[]): Promise<Map<Uuid, Uuid>> {
    const rows = await db.query<{ asked: Uuid; id: Uuid }>(
      `WITH RECURSIVE chain (asked, id, merged_into) AS (
         SELECT id, id, merged_into FROM profiles WHERE id = ANY ($1::uuid[])
         UNION
         SELECT c.asked, p.id, p.merged_into FROM chain c JOIN profiles p ON p.id = c.merged_into
       )
       SELECT asked, id FROM chain WHERE merged_into IS NULL`,
      [ids],
    );
    return new Map(rows.map(({ asked, id }) => [asked, id]));
  }

  async identifiersOf(db: Queryable, profileIds: readonly Uuid[]): Promise<StandingIdentifier[]> {
    return db.query<StandingIdentifier>(
      'SELECT id, ns, value, profile_id AS "profileId" FROM identifiers WHERE profile_id = ANY ($1::uuid[]) ORDER BY id',
      [profileIds],
    );
  }

  async identifiers(db: Queryable, ids: readonly Uuid[]): Promise<StandingIdentifier[]> {
    return db.query<StandingIdentifier>(
      'SELECT id, ns, value, profile_id AS "profileId" FROM identifiers WHERE id = ANY ($1::uuid[]) ORDER BY id',
      [ids],
    );
  }

  /**
   * Of these identifiers, those that stood for the profile before the move, and before whatever else moved with it.
   * Decisions between two events are at one place, so what moved there since is undone in thought.
   */
  async stoodBefore(db: Queryable, move: StoredMove, ids: readonly Uuid[]): Promise<Uuid[]> {
    const { to, pos, cause } = move;
    const isByEvent = cause === 'event';
    const rows = await db.query<{ id: Uuid; profile_id: Uuid }>(
      `SELECT DISTINCT ON (identifier_id) identifier_id AS id, profile_id FROM ${assignmentsOf('$1::uuid[]')}
       WHERE from_pos <= $2::int8 ORDER BY identifier_id, from_pos DESC`,
      [ids, isByEvent ? pos - 1 : pos],
    );
    const since = isByEvent ? [] : await this.#movedSince(db, move);
    const undone = new Map(since.flatMap(({ from, identifierIds }) => identifierIds.map((id) => [id, from])));
    return rows.flatMap(({ id, profile_id: profileId }) => ((undone.get(id) ?? profileId) === to ? [id] : []));
  }

  /** What went to the move's profile, or left it, at its place together with the move or later; the newest first. */
  async #movedSince(db: Queryable, { to, pos, at, revisionId, seq }: StoredMove): Promise<StoredMove[]> {
    return db.query<StoredMove>(
      `SELECT ${MOVE} FROM identity_moves
       WHERE (to_profile = $1 OR from_profile = $1) AND pos = $2::int8 AND cause <> 'event'
         AND (seq >= $3::int8 OR (revision_id IS NOT DISTINCT FROM $4::uuid AND at = $5::int8)) ORDER BY seq DESC`,
      [to, pos, seq, revisionId, at],
    );
  }

  async link(db: Queryable, id: Uuid): Promise<IdentityLink | null> {
    const [row] = await db.query<IdentityLink>(`SELECT ${LINK} FROM identity_links WHERE id = $1`, [id]);
    return row ?? null;
  }

  /** Standing links that have an end among these; those made first at the front, of those made at once in a fixed order. */
  async linksAround(db: Queryable, ids: readonly Uuid[]): Promise<IdentityLink[]> {
    return db.query<IdentityLink>(
      `SELECT ${LINK} FROM identity_links WHERE removed_at IS NULL AND (a_id = ANY ($1::uuid[]) OR b_id = ANY ($1::uuid[]))
       ORDER BY created_at, a_id, b_id, id`,
      [ids],
    );
  }

  /**
   * Standing links that keep the same two profiles apart as this one, which may be removed; those made first at the front.
   * None where there is no such link, or it keeps nobody apart.
   */
  async othersBarring(db: Queryable, linkId: Uuid): Promise<IdentityLink[]> {
    const link = await this.link(db, linkId);
    if (link?.kind !== 'cannot') return [];
    const ends = await this.identifiers(db, [link.a.id, link.b.id]);
    const [a, b] = [link.a, link.b].map(({ id }) => ends.find((end) => end.id === id)?.profileId);
    if (a !== undefined && a === b) return [];
    const members = await this.identifiersOf(db, [...new Set(ends.map(({ profileId }) => profileId))]);
    // Whoever has not been seen yet is nobody but the end itself.
    const side = (profileId: Uuid | undefined, end: Uuid): ReadonlySet<Uuid> =>
      new Set([end, ...members.filter((member) => member.profileId === profileId).map(({ id }) => id)]);
    const [ofA, ofB] = [side(a, link.a.id), side(b, link.b.id)];
    const around = await this.linksAround(db, [...ofA]);
    return around.filter(
      ({ id, kind, a: x, b: y }) =>
        id !== link.id && kind === 'cannot' && ((ofA.has(x.id) && ofB.has(y.id)) || (ofB.has(x.id) && ofA.has(y.id))),
    );
  }

  /** All links that ever had an end among these, without who they are. */
  async linksEverAround(db: Queryable, ids: readonly Uuid[]): Promise<DatedLink[]> {
    const { rows } = await db.run<DatedLink>({
      name: 'identity-links-ever',
      text: `SELECT kind, a_id AS a, b_id AS b, created_at AS "createdAt", removed_at AS "removedAt" FROM identity_links
             WHERE a_id = ANY ($1::uuid[]) OR b_id = ANY ($1::uuid[])`,
      values: [uuidArray(ids, (id) => id)],
    });
    return rows;
  }

  /** The newest first, removed ones too if asked for; those before a place. */
  async links(
    db: Queryable,
    {
      before,
      limit,
      withRemoved,
    }: {
      readonly before: Pick<IdentityLink, 'createdAt' | 'id'> | null;
      readonly limit: number;
      readonly withRemoved: boolean;
    },
  ): Promise<IdentityLink[]> {
    return db.query<IdentityLink>(
      `SELECT ${LINK} FROM identity_links WHERE (created_at, id) < ($1::int8, $2::uuid) AND ($4 OR removed_at IS NULL)
       ORDER BY created_at DESC, id DESC LIMIT $3`,
      [before?.createdAt ?? Number.MAX_SAFE_INTEGER, before?.id ?? GREATEST_ID, limit, withRemoved],
    );
  }

  async move(db: Queryable, id: Uuid): Promise<StoredMove | null> {
    const [row] = await db.query<StoredMove>(`SELECT ${MOVE} FROM identity_moves WHERE id = $1`, [id]);
    return row ?? null;
  }
}
