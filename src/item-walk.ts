import type { ItemOfView } from './item-parity-sampler.js';
import type { ParityWalk } from './parity-watch.js';
import { uuidArray } from './platform/binary-arrays.js';
import type { Uuid } from './platform/ids.js';
import type { Queryable } from './platform/postgres.js';

/** Items that one look chooses from. */
const PAGE_ITEMS = 1_000;

interface PageRow extends ItemOfView {
  readonly id: number;
  readonly isChosen: boolean;
}

// Whichever comes next, of those with a state and those with events: neither may be lost without being noticed. Each is
// found by the index, whatever the number of events between two.
const NEXT = (place: string): string => `(
  SELECT n.fold_id, n.key FROM (
    (SELECT fold_id, key FROM entity_states WHERE (fold_id, key) > (${place}) ORDER BY fold_id, key LIMIT 1)
    UNION ALL
    (SELECT fold_id, key FROM entity_events WHERE (fold_id, key) > (${place}) ORDER BY fold_id, key LIMIT 1)
  ) n ORDER BY n.fold_id, n.key COLLATE "C" LIMIT 1)`;

/** Goes through the items of all views by key, and takes those whose hash falls into the share; the next pass others. */
export class ItemWalk implements ParityWalk<ItemOfView> {
  #after = { id: 0, key: '' };

  /** @param pass which of the shares is taken first */
  constructor(
    private readonly db: Queryable,
    private pass: number,
  ) {}

  async next(share: number, most: number): Promise<readonly ItemOfView[]> {
    const page = await this.db.query<PageRow>(
      `WITH RECURSIVE walk AS (
         SELECT 1 AS n, f.fold_id, f.key FROM ${NEXT('$1::int4, $2::text COLLATE "C"')} f
         UNION ALL
         SELECT w.n + 1, f.fold_id, f.key FROM walk w CROSS JOIN LATERAL ${NEXT('w.fold_id, w.key')} f WHERE w.n < $3::int4
       ) SELECT w.fold_id AS id, w.key, e.meaning,
                (hashtextextended(w.key, $4::int8) & 1048575) < $5::float8 * 1048576 AS "isChosen"
         FROM walk w LEFT JOIN entity_folds e ON e.id = w.fold_id ORDER BY w.n`,
      [this.#after.id, this.#after.key, PAGE_ITEMS, this.pass, share],
    );
    // A view that is being removed has no row any more, and nothing to compare with.
    const chosen = page.filter(({ isChosen, meaning }) => isChosen && (meaning as Uuid | null) !== null);
    const taken = chosen.slice(0, most);
    const next = chosen.length > most ? taken.at(-1) : page.length < PAGE_ITEMS ? undefined : page.at(-1);
    if (next === undefined) this.pass += 1;
    this.#after = next ?? { id: 0, key: '' };
    return taken;
  }
}

/** Items of these views for one look at any of them, chosen by hash of their key, all views of a key together. */
export async function chooseItems(
  db: Queryable,
  meanings: readonly Uuid[],
  count: number,
  seed: number,
): Promise<readonly ItemOfView[]> {
  return db.query<ItemOfView>(
    `WITH found AS (
       SELECT f.meaning, i.key FROM entity_folds f JOIN (
         SELECT fold_id, key FROM entity_states UNION SELECT fold_id, key FROM entity_events
       ) i ON i.fold_id = f.id WHERE f.meaning = ANY ($1::uuid[])
     ), keys AS (
       SELECT key FROM found GROUP BY key ORDER BY hashtextextended(key, $3::int8), key LIMIT $2::int4
     ) SELECT f.meaning, f.key FROM found f JOIN keys USING (key) ORDER BY f.meaning, f.key`,
    [uuidArray(meanings, (id) => id), count, seed],
  );
}
