import type { Identifier } from '../events/event.model.js';
import type { Uuid } from '../platform/ids.js';
import type { Queryable } from '../platform/postgres.js';
import { isListed, listTrait, type StoredList } from './list.model.js';
import { decodeTraits } from './trait-codec.js';

/** Somebody's identifier that is on a list. */
export interface ListedIdentifier extends Identifier {
  /** Of the event that said so. */
  readonly messageId: string;
}

const COLUMNS = `key, name, description, origin, created_at AS "createdAt", changed_at AS "changedAt",
  last_change AS "lastChange"`;
/** Anchors that one statement looks at. */
const ANCHORS_PER_PAGE = 5_000;

/** Reads lists, whose number is bounded where they are written; bound to a pool or to a transaction. */
export class ListReader {
  readonly #db: Queryable;

  constructor(db: Queryable) {
    this.#db = db;
  }

  /** All, by key in the order of its characters. */
  async all(): Promise<StoredList[]> {
    return this.#db.query<StoredList>(`SELECT ${COLUMNS} FROM lists ORDER BY key COLLATE "C"`);
  }

  async byKey(key: string): Promise<StoredList | null> {
    const [list] = await this.#db.query<StoredList>(`SELECT ${COLUMNS} FROM lists WHERE key = $1`, [key]);
    return list ?? null;
  }

  async keys(): Promise<Set<string>> {
    const rows = await this.#db.query<{ key: string }>('SELECT key FROM lists');
    return new Set(rows.map(({ key }) => key));
  }

  /**
   * The identifiers that are on a list, as far as events are applied, page by page in the order of their ids. Looks at
   * every identifier that anything hangs on.
   */
  async *identifiersOn(key: string): AsyncGenerator<ListedIdentifier[], void, undefined> {
    const trait = listTrait(key);
    const marker = Buffer.from(JSON.stringify(trait));
    for (let after: Uuid | null = null; ;) {
      const rows: (Identifier & { traits: Buffer | null; isLast: boolean })[] = await this.#db.query(PAGE, [
        after ?? LEAST_ID,
        marker,
        ANCHORS_PER_PAGE,
      ]);
      const listed = rows.flatMap(({ id, ns, value, traits }): ListedIdentifier[] => {
        const word = traits === null ? undefined : decodeTraits(traits).get(trait);
        return word !== undefined && isListed(word.value) ? [{ id, ns, value, messageId: word.messageId }] : [];
      });
      if (listed.length > 0) yield listed;
      const last: { id: Uuid } | undefined = rows.find(({ isLast }) => isLast);
      if (last === undefined) return;
      after = last.id;
    }
  }
}

const LEAST_ID = '00000000-0000-0000-0000-000000000000';

/** Anchors of a window that may hold the trait, and the last of the window, from which the next one goes on. */
const PAGE = `
  WITH seen AS MATERIALIZED (
    SELECT anchor_id, position($2::bytea IN traits) > 0 AS holds, traits
    FROM anchor_states WHERE anchor_id > $1::uuid ORDER BY anchor_id LIMIT $3
  ), last AS (SELECT anchor_id FROM seen ORDER BY anchor_id DESC LIMIT 1)
  SELECT i.id, i.ns, i.value, CASE WHEN s.holds THEN s.traits END AS traits, s.anchor_id = l.anchor_id AS "isLast"
  FROM seen s CROSS JOIN last l JOIN identifiers i ON i.id = s.anchor_id
  WHERE s.holds OR s.anchor_id = l.anchor_id ORDER BY s.anchor_id`;
