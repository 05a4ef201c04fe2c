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

  /** How far these views are; those that no worker has begun are left out. */
  async standings(meanings: readonly Uuid[]): Promise<ReadonlyMap<Uuid, FoldStanding>> {
    return (await this.states(meanings, [])).standings;
  }
}
