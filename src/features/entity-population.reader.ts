import { uuidArray } from '../platform/binary-arrays.js';
import type { Uuid } from '../platform/ids.js';
import type { Queryable } from '../platform/postgres.js';

/** Keys of one statement. */
const PAGE_KEYS = 5_000;
/** Of each item so many events are looked through for whose its value is: the last ones that were accepted. */
const LAST_EVENTS = 8;

interface ChosenKey {
  readonly key: string;
  readonly hash: number;
}

/** Whose the newest event in a value is. */
export interface ItemTeller {
  readonly person: Uuid;
  /** Whether no event of somebody else is as new. */
  readonly isAlone: boolean;
}

export interface ItemTellers {
  /**
   * @param eventTs when the newest event in the value occurred, ms
   * @returns null: nobody can say, as the event is not among the last ones of the item
   */
  of(meaning: Uuid, key: string, eventTs: number | null): ItemTeller | null;
}

// Of those with records and those that events name, whichever comes next: found by the indexes, whatever the number of
// records and events between two keys.
const NEXT = (place: string): string => `(
  SELECT c.key FROM (
    (SELECT key FROM entity_records WHERE entity = $1 AND key > ${place} ORDER BY key LIMIT 1)
    UNION ALL
    SELECT s.key FROM folds f CROSS JOIN LATERAL (
      SELECT key FROM entity_states WHERE fold_id = f.id AND key > ${place} ORDER BY key LIMIT 1) s
  ) c ORDER BY c.key COLLATE "C" LIMIT 1)`;

const PAGE = `WITH RECURSIVE folds AS (SELECT id FROM entity_folds WHERE meaning = ANY ($2::uuid[])),
  walk AS (
    SELECT 1 AS n, ${NEXT('$3::text COLLATE "C"')} AS key
    UNION ALL
    SELECT w.n + 1, ${NEXT('w.key')} FROM walk w WHERE w.n < $4::int4 AND w.key IS NOT NULL
  ) SELECT key, hashtextextended(key, 0) & 281474976710655 AS hash FROM walk WHERE key IS NOT NULL ORDER BY n`;

/** Reads which items an entity has: those of records, and those that events name. */
export class EntityPopulationReader {
  constructor(private readonly db: Queryable) {}

  /**
   * All of them, or those with the least hash of their key: the same ones each time, but for those that come and go.
   * Holds twice as many at most.
   * @param meanings of the views that are computed from events
   */
  async choose(entity: string, meanings: readonly Uuid[], most: number, signal?: AbortSignal): Promise<string[]> {
    let chosen: ChosenKey[] = [];
    for (let after: string | undefined = ''; after !== undefined;) {
      signal?.throwIfAborted();
      const page: readonly ChosenKey[] = await this.db.query<ChosenKey>(PAGE, [
        entity,
        uuidArray(meanings, (id) => id),
        after,
        PAGE_KEYS,
      ]);
      chosen.push(...page);
      if (chosen.length >= 2 * most) chosen = least(chosen, most);
      after = page.length < PAGE_KEYS ? undefined : page.at(-1)?.key;
    }
    return least(chosen, most).map(({ key }) => key);
  }

  /** Whose the newest events of these items are; one read. */
  async tellers(meanings: readonly Uuid[], keys: readonly string[]): Promise<ItemTellers> {
    const rows = await this.db.query<{ meaning: Uuid; key: string; occurredAt: number; person: Uuid }>(
      `SELECT f.meaning, k.key, l.occurred_at AS "occurredAt", i.profile_id AS person
       FROM entity_folds f CROSS JOIN unnest($2::text[]) AS k (key)
       CROSS JOIN LATERAL (
         SELECT pos FROM entity_events WHERE fold_id = f.id AND key = k.key COLLATE "C" ORDER BY pos DESC LIMIT $3::int4
       ) e
       CROSS JOIN LATERAL (SELECT occurred_at, anchor_id FROM event_log WHERE pos = e.pos OFFSET 0) l
       JOIN identifiers i ON i.id = l.anchor_id WHERE f.meaning = ANY ($1::uuid[])`,
      [uuidArray(meanings, (id) => id), keys, LAST_EVENTS],
    );
    const found = new Map<string, ItemTeller>();
    for (const { meaning, key, occurredAt, person } of rows) {
      const at = placeOf(meaning, key, occurredAt);
      const known = found.get(at);
      if (known !== undefined && known.person !== person) found.set(at, { ...known, isAlone: false });
      else if (known === undefined) found.set(at, { person, isAlone: true });
    }
    return {
      of: (meaning, key, eventTs) => (eventTs === null ? null : (found.get(placeOf(meaning, key, eventTs)) ?? null)),
    };
  }
}

function placeOf(meaning: Uuid, key: string, ms: number): string {
  return `${meaning} ${String(ms)} ${key}`;
}

function least(keys: readonly ChosenKey[], most: number): ChosenKey[] {
  return [...keys].sort((a, b) => a.hash - b.hash || (a.key < b.key ? -1 : 1)).slice(0, most);
}
