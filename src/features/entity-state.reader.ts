import type { Uuid } from '../platform/ids.js';
import { uuidArray } from '../platform/binary-arrays.js';
import type { Queryable } from '../platform/postgres.js';

/** How far history is folded into one view of an entity. */
export interface FoldStanding {
  /** Events up to here are in. */
  readonly pos: number;
  /** Whether all of history is. */
  readonly isComplete: boolean;
}

/** States of items, by what their view means and by key. */
export interface ItemStates {
  /** By meaning; those that no worker has begun are not in it. */
  readonly standings: ReadonlyMap<Uuid, FoldStanding>;
  /** Packed; undefined: no event named the item. */
  of(meaning: Uuid, key: string): Buffer | undefined;
}

/** An item, as it is compared with the log. */
export interface SampledItem {
  readonly key: string;
  /** Packed; null: no event named the item. */
  readonly state: Buffer | null;
  /** Events up to here are in. */
  readonly pos: number;
  /** Whether it waits to be folded anew, so that its state is not what the log gives. */
  readonly isRefolded: boolean;
  /** How many events the index has of it; of more than were asked for no more. */
  readonly events: number;
  /** When the newest event of the log was accepted, ms. */
  readonly acceptedAt: number;
}

/** Reads what events of people came to for the items that they name; bound to a pool or to a transaction. */
export class EntityStateReader {
  constructor(private readonly db: Queryable) {}

  /** One read, whatever the number of views and keys. */
  async states(meanings: readonly Uuid[], keys: readonly string[]): Promise<ItemStates> {
    const { rows } = await this.db.run<{
      meaning: Uuid;
      isComplete: boolean;
      pos: number;
      key: string | null;
      state: Buffer;
    }>({
      name: 'entity-states-read',
      text: `SELECT f.meaning, f.pos, f.pos >= f.since_pos AS "isComplete", s.key, s.state
             FROM entity_folds f LEFT JOIN LATERAL (
               SELECT i.key, i.state FROM unnest($2::text[]) AS k (key)
               JOIN entity_states i ON i.fold_id = f.id AND i.key = k.key COLLATE "C" OFFSET 0) s ON true
             WHERE f.meaning = ANY ($1::uuid[])`,
      values: [uuidArray(meanings, (id) => id), [...new Set(keys)]],
    });
    const states = new Map(
      rows.flatMap(({ meaning, key, state }) => (key === null ? [] : [[`${meaning} ${key}`, state]])),
    );
    const standings = new Map(rows.map(({ meaning, pos, isComplete }) => [meaning, { pos, isComplete }]));
    return { standings, of: (meaning, key) => states.get(`${meaning} ${key}`) };
  }

  /** Items of one view with what is needed to compare them, in one read; none where the view is gone. */
  async sample(meaning: Uuid, keys: readonly string[], maxEvents: number): Promise<readonly SampledItem[]> {
    return this.db.query<SampledItem>(
      `SELECT k.key, s.state, f.pos, h.accepted_at AS "acceptedAt",
              EXISTS (SELECT FROM entity_refolds r WHERE r.fold_id = f.id AND r.key = k.key COLLATE "C") AS "isRefolded",
              (SELECT count(*) FROM (
                 SELECT FROM entity_events e WHERE e.fold_id = f.id AND e.key = k.key COLLATE "C" LIMIT $3::int4) c) AS events
       FROM entity_folds f CROSS JOIN log_head h CROSS JOIN unnest($2::text[]) AS k (key)
       LEFT JOIN entity_states s ON s.fold_id = f.id AND s.key = k.key COLLATE "C" WHERE f.meaning = $1::uuid`,
      [meaning, keys, maxEvents],
    );
  }

  /** How far these views are; those that no worker has begun are left out. */
  async standings(meanings: readonly Uuid[]): Promise<ReadonlyMap<Uuid, FoldStanding>> {
    return (await this.states(meanings, [])).standings;
  }
}
