import type { Identifier } from '../events/event.model.js';
import { LEAST_ID, type Uuid } from '../platform/ids.js';
import type { Transaction } from '../platform/postgres.js';
import { GenericValueStore } from './generic-value.store.js';
import type { MatchingStore } from './matching/matching.store.js';

/** Rows that one step looks through, named or not. */
const ROWS_PER_PAGE = 1_000;

/** What is looked through: revisions first, because what they decide takes over their reasons. */
const SWEPT_TABLES = ['identity_revisions', 'identity_reviews', 'identity_links', 'identity_moves'] as const;
type SweptTable = (typeof SWEPT_TABLES)[number];

/** Where the look through what was decided stands. */
export interface DecisionPlace {
  readonly table: SweptTable;
  readonly afterId: Uuid;
}

export const FIRST_DECISION: DecisionPlace = { table: SWEPT_TABLES[0], afterId: LEAST_ID };

/** Who is erased. */
export interface ErasedPerson {
  readonly subjects: readonly Identifier[];
  /** Whether a text for people names the person. */
  readonly isNamedIn: (text: string) => boolean;
}

/** What a decision about who is who was asked of, as far as it may name somebody. */
interface RevisionText {
  readonly id: Uuid;
  readonly input: {
    readonly identifiers?: readonly { readonly ns: string; readonly value: string }[];
    readonly others?: readonly { readonly ns: string; readonly value: string }[];
    readonly ids?: readonly Uuid[];
  };
  readonly reason: string;
}

/** Takes a person who is erased out of what was decided about who is who, of what is compared, and of what moved. */
export class IdentityErasureStore {
  readonly #matching: Pick<MatchingStore, 'forget'>;

  constructor(matching: Pick<MatchingStore, 'forget'>) {
    this.#matching = matching;
  }

  /**
   * Takes the person out of some of what no index leads to: reasons, of which that of another pair may name the person,
   * what was asked, and moves. These tables are as long as they are, so it is done a page a transaction.
   * @returns where to go on; null: there is no more
   */
  async sweep(tx: Transaction, place: DecisionPlace, person: ErasedPerson): Promise<DecisionPlace | null> {
    const { table } = place;
    const lastId =
      table === 'identity_revisions'
        ? await this.#sweepRevisions(tx, place.afterId, person)
        : table === 'identity_moves'
          ? await this.#sweepMoves(tx, place.afterId, person)
          : await this.#sweepReasons(tx, table, place.afterId, person);
    if (lastId !== null) return { table, afterId: lastId };
    const next = SWEPT_TABLES[SWEPT_TABLES.indexOf(table) + 1];
    return next === undefined ? null : { table: next, afterId: LEAST_ID };
  }

  /** Takes out the rest, which indexes lead to. */
  async forget(tx: Transaction, { subjects, isNamedIn }: ErasedPerson): Promise<void> {
    const ids = subjects.map(({ id }) => id);
    await new GenericValueStore().forgetUnnamed(tx);
    await tx.query('DELETE FROM identity_links WHERE a_id = ANY ($1::uuid[]) OR b_id = ANY ($1::uuid[])', [ids]);
    await tx.query('DELETE FROM generic_values WHERE value_id = ANY ($1::uuid[])', [ids]);
    await tx.query('DELETE FROM generic_mentions WHERE value_id = ANY ($1::uuid[]) OR anchor_id = ANY ($1::uuid[])', [
      ids,
    ]);
    await this.#matching.forget(tx, ids);
    await this.#forgetReasons(tx, isNamedIn);
  }

  /** Why values are kept: of people, so there are few. */
  async #forgetReasons(tx: Transaction, isNamedIn: (text: string) => boolean): Promise<void> {
    const rows = await tx.query<{ id: Uuid; reason: string }>(
      `SELECT value_id AS id, reason FROM generic_values WHERE reason <> ''`,
    );
    const named = rows.filter(({ reason }) => isNamedIn(reason)).map(({ id }) => id);
    await tx.query(`UPDATE generic_values SET reason = '' WHERE value_id = ANY ($1::uuid[])`, [named]);
  }

  /** The last of those looked through; null: there are none. */
  async #sweepReasons(
    tx: Transaction,
    table: 'identity_links' | 'identity_reviews',
    afterId: Uuid,
    { isNamedIn }: ErasedPerson,
  ): Promise<Uuid | null> {
    const page = await tx.query<{ id: Uuid; reason: string | null }>(
      `SELECT id, reason FROM ${table} WHERE id > $1 ORDER BY id LIMIT $2`,
      [afterId, ROWS_PER_PAGE],
    );
    const named = page.filter(({ reason }) => reason !== null && reason !== '' && isNamedIn(reason));
    if (named.length > 0) {
      await tx.query(`UPDATE ${table} SET reason = '' WHERE id = ANY ($1::uuid[])`, [named.map(({ id }) => id)]);
    }
    return page.at(-1)?.id ?? null;
  }

  async #sweepMoves(tx: Transaction, afterId: Uuid, { subjects }: ErasedPerson): Promise<Uuid | null> {
    const page = await tx.query<{ id: Uuid; isTheirs: boolean }>(
      `SELECT id, identifier_ids && $3::uuid[] AS "isTheirs" FROM identity_moves WHERE id > $1 ORDER BY id LIMIT $2`,
      [afterId, ROWS_PER_PAGE, subjects.map(({ id }) => id)],
    );
    const theirs = page.filter(({ isTheirs }) => isTheirs).map(({ id }) => id);
    if (theirs.length > 0) {
      await tx.query(
        `UPDATE identity_moves SET identifier_ids = ARRAY(
           SELECT id FROM unnest(identifier_ids) WITH ORDINALITY AS u (id, n) WHERE id <> ALL ($2::uuid[]) ORDER BY n
         ) WHERE id = ANY ($1::uuid[])`,
        [theirs, subjects.map(({ id }) => id)],
      );
      await tx.query(`DELETE FROM identity_moves WHERE id = ANY ($1::uuid[]) AND identifier_ids = '{}'`, [theirs]);
    }
    return page.at(-1)?.id ?? null;
  }

  async #sweepRevisions(tx: Transaction, afterId: Uuid, { subjects, isNamedIn }: ErasedPerson): Promise<Uuid | null> {
    const page = await tx.query<RevisionText>(
      'SELECT id, input, reason FROM identity_revisions WHERE id > $1 ORDER BY id LIMIT $2',
      [afterId, ROWS_PER_PAGE],
    );
    const ids = new Set(subjects.map(({ id }) => id));
    const names = new Set(subjects.map(({ ns, value }) => `${ns}\0${value}`));
    for (const { id, input, reason } of page) {
      const clean = {
        ...input,
        ...(input.identifiers === undefined
          ? undefined
          : { identifiers: input.identifiers.filter(({ ns, value }) => !names.has(`${ns}\0${value}`)) }),
        ...(input.others === undefined
          ? undefined
          : { others: input.others.filter(({ ns, value }) => !names.has(`${ns}\0${value}`)) }),
        ...(input.ids === undefined ? undefined : { ids: input.ids.filter((each) => !ids.has(each)) }),
      };
      const why = isNamedIn(reason) ? '' : reason;
      if (why === reason && JSON.stringify(clean) === JSON.stringify(input)) continue;
      await tx.query('UPDATE identity_revisions SET input = $2::jsonb, reason = $3 WHERE id = $1', [
        id,
        JSON.stringify(clean),
        why,
      ]);
    }
    return page.at(-1)?.id ?? null;
  }
}
