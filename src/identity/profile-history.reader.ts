import type { Identifier } from '../events/event.model.js';
import { uuidArray } from '../platform/binary-arrays.js';
import { LEAST_ID, type Uuid } from '../platform/ids.js';
import type { Queryable } from '../platform/postgres.js';
import type { StoredMove } from './identity-decision.reader.js';

/** Profiles that identifiers ever went between, with all that is known of who stood for whom. */
export interface ProfileHistory {
  /** The least id of those that live: each history is found by one profile alone. */
  readonly owner: Uuid;
  /** Also those that have ended. */
  readonly profileIds: readonly Uuid[];
  readonly identifiers: readonly HistoricalIdentifier[];
  /** In the order in which they came about: by place in the log, then one after the other. */
  readonly moves: readonly HistoricalMove[];
}

export interface HistoricalIdentifier extends Identifier {
  /** The profile that it stood for before its first move. */
  readonly firstProfileId: Uuid;
  /** When the first event that names it was accepted, ms; null: not known. */
  readonly firstAt: number | null;
}

type SeenIdentifier = Omit<HistoricalIdentifier, 'firstProfileId'>;

export type HistoricalMove = Pick<StoredMove, 'kind' | 'from' | 'to' | 'identifierIds' | 'at' | 'pos' | 'seq'> & {
  readonly cause: StoredMove['cause'] | 'contested';
};

/** A part of all profiles, by hash of their ids: `from ≤ hash < to`, of 0 to {@link HASH_RANGE}. */
export interface HashSlice {
  readonly from: number;
  readonly to: number;
}

export const HASH_RANGE = 2 ** 30;

/** One person's profiles can be so many, and one page of histories; what is larger is told and not read. */
const MAX_LINKED_PROFILES = 5_000;

export interface HistoryPage {
  readonly histories: readonly ProfileHistory[];
  /** How many are left out: too many profiles hang together. */
  readonly tooBig: number;
  /** Where to go on; null: this was the last page. */
  readonly next: Uuid | null;
}

/** Reads who stood for whom from the start on, so that a past can be lived through again without resolving it anew. */
export class ProfileHistoryReader {
  /** How many profiles live. */
  async count(db: Queryable): Promise<number> {
    const [row] = await db.query<{ n: number }>('SELECT count(*)::int8 AS n FROM profiles WHERE merged_into IS NULL');
    return row?.n ?? 0;
  }

  /** @param after where the page before ended */
  async page(db: Queryable, slice: HashSlice, after: Uuid | null, limit: number): Promise<HistoryPage> {
    const rows = await db.query<{ id: Uuid }>(
      `SELECT id FROM profiles WHERE id > $1 AND merged_into IS NULL
         AND (uuid_hash_extended(id, 0) & ${String(HASH_RANGE - 1)}) >= $2::int8
         AND (uuid_hash_extended(id, 0) & ${String(HASH_RANGE - 1)}) < $3::int8
       ORDER BY id LIMIT $4`,
      [after ?? LEAST_ID, slice.from, slice.to, limit],
    );
    const ids = rows.map(({ id }) => id);
    const groups = await this.#linked(db, ids);
    const linked = groups.flatMap(({ profileIds }) => [...profileIds]);
    const living = new Set(await this.#living(db, linked));
    const asked = new Set(ids);
    const owned = groups.flatMap((group) => {
      const owner = [...group.profileIds].filter((id) => living.has(id)).sort()[0];
      return owner !== undefined && asked.has(owner) ? [{ ...group, owner }] : [];
    });
    const small = owned.filter(({ profileIds }) => profileIds.size <= MAX_LINKED_PROFILES);
    const identifiers = await this.#identifiers(
      db,
      small.flatMap(({ profileIds }) => [...profileIds].filter((id) => living.has(id))),
    );
    return {
      histories: small.map(({ owner, profileIds, moves }) => {
        const first = new Map<Uuid, Uuid>();
        for (const { from, identifierIds } of bySequence(moves)) {
          for (const id of identifierIds) if (!first.has(id)) first.set(id, from);
        }
        return {
          owner,
          profileIds: [...profileIds],
          moves: byPlace(moves),
          identifiers: [...profileIds].flatMap((profileId) =>
            (identifiers.get(profileId) ?? []).map((own) => ({
              ...own,
              firstProfileId: first.get(own.id) ?? profileId,
            })),
          ),
        };
      }),
      tooBig: owned.length - small.length,
      next: ids.length < limit ? null : (ids.at(-1) ?? null),
    };
  }

  /** Profiles by whom they ever exchanged identifiers with, directly or by others. */
  async #linked(db: Queryable, ids: readonly Uuid[]): Promise<{ profileIds: Set<Uuid>; moves: HistoricalMove[] }[]> {
    const groupOf = new Map(
      ids.map((id) => [id, { profileIds: new Set([id]), moves: new Map<number, HistoricalMove>() }]),
    );
    let ahead: readonly Uuid[] = ids;
    while (ahead.length > 0) {
      const moves = await db.query<HistoricalMove>(
        `SELECT kind, from_profile AS "from", to_profile AS "to", identifier_ids AS "identifierIds", at, pos, cause, seq
         FROM (SELECT * FROM identity_moves WHERE from_profile = ANY ($1::uuid[])
               UNION SELECT * FROM identity_moves WHERE to_profile = ANY ($1::uuid[])) m`,
        [uuidArray(ahead, (id) => id)],
      );
      const found = new Set<Uuid>();
      for (const move of moves) {
        for (const id of [move.from, move.to]) {
          if (groupOf.has(id)) continue;
          found.add(id);
          groupOf.set(id, { profileIds: new Set([id]), moves: new Map() });
        }
        const [a, b] = [groupOf.get(move.from), groupOf.get(move.to)];
        if (a === undefined || b === undefined) continue;
        const [into, from] = a.profileIds.size >= b.profileIds.size ? [a, b] : [b, a];
        into.moves.set(move.seq, move);
        if (into === from) continue;
        for (const [seq, other] of from.moves) into.moves.set(seq, other);
        for (const id of from.profileIds) {
          into.profileIds.add(id);
          groupOf.set(id, into);
        }
      }
      // One that is too large is left out as it is: nobody need know all of it.
      ahead = [...found].filter((id) => (groupOf.get(id)?.profileIds.size ?? 0) <= MAX_LINKED_PROFILES);
    }
    return [...new Set(groupOf.values())].map(({ profileIds, moves }) => ({ profileIds, moves: [...moves.values()] }));
  }

  async #living(db: Queryable, ids: readonly Uuid[]): Promise<Uuid[]> {
    const rows = await db.query<{ id: Uuid }>(
      'SELECT id FROM profiles WHERE id = ANY ($1::uuid[]) AND merged_into IS NULL',
      [uuidArray(ids, (id) => id)],
    );
    return rows.map(({ id }) => id);
  }

  async #identifiers(db: Queryable, profileIds: readonly Uuid[]): Promise<Map<Uuid, SeenIdentifier[]>> {
    const rows = await db.query<SeenIdentifier & { readonly profileId: Uuid }>(
      'SELECT id, ns, value, first_at AS "firstAt", profile_id AS "profileId" FROM identifiers WHERE profile_id = ANY ($1::uuid[]) ORDER BY id',
      [uuidArray(profileIds, (id) => id)],
    );
    const found = new Map<Uuid, SeenIdentifier[]>();
    for (const { profileId, ...identifier } of rows) {
      const own = found.get(profileId);
      if (own === undefined) found.set(profileId, [identifier]);
      else own.push(identifier);
    }
    return found;
  }
}

function bySequence(moves: readonly HistoricalMove[]): HistoricalMove[] {
  return [...moves].sort((a, b) => a.seq - b.seq);
}

/** What no event did came after the event at its place. */
function byPlace(moves: readonly HistoricalMove[]): HistoricalMove[] {
  const later = ({ cause }: HistoricalMove): number => (cause === 'event' ? 0 : 1);
  return [...moves].sort((a, b) => a.pos - b.pos || later(a) - later(b) || a.seq - b.seq);
}
