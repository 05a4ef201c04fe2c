import type { Identifier } from '../events/event.model.js';
import type { Uuid } from '../platform/ids.js';
import type { Transaction } from '../platform/postgres.js';
import type { MatchingStore } from './matching/matching.store.js';

const REVISIONS_PER_PAGE = 500;
const REASONS_PER_PAGE = 500;
const LEAST_ID: Uuid = '00000000-0000-0000-0000-000000000000';

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

  /** @param isNamedIn whether a text for people names the person */
  async forget(tx: Transaction, subjects: readonly Identifier[], isNamedIn: (text: string) => boolean): Promise<void> {
    const ids = subjects.map(({ id }) => id);
    await tx.query('DELETE FROM identity_links WHERE a_id = ANY ($1::uuid[]) OR b_id = ANY ($1::uuid[])', [ids]);
    await tx.query(
      `UPDATE identity_moves SET identifier_ids = ARRAY(
         SELECT id FROM unnest(identifier_ids) WITH ORDINALITY AS u (id, n) WHERE id <> ALL ($1::uuid[]) ORDER BY n
       ) WHERE identifier_ids && $1::uuid[]`,
      [ids],
    );
    await tx.query('DELETE FROM generic_values WHERE value_id = ANY ($1::uuid[])', [ids]);
    await tx.query('DELETE FROM generic_mentions WHERE value_id = ANY ($1::uuid[]) OR anchor_id = ANY ($1::uuid[])', [
      ids,
    ]);
    await tx.query(`DELETE FROM identity_moves WHERE identifier_ids = '{}'`);
    await this.#matching.forget(tx, ids);
    await this.#forgetReasons(tx, isNamedIn);
    await this.#forgetWords(tx, 'identity_links', isNamedIn);
    await this.#forgetWords(tx, 'identity_reviews', isNamedIn);
    await this.#forgetRevisions(tx, subjects, isNamedIn);
  }

  /** Why values are kept: of people, so there are few. */
  async #forgetReasons(tx: Transaction, isNamedIn: (text: string) => boolean): Promise<void> {
    const rows = await tx.query<{ id: Uuid; reason: string }>(
      `SELECT value_id AS id, reason FROM generic_values WHERE reason <> ''`,
    );
    const named = rows.filter(({ reason }) => isNamedIn(reason)).map(({ id }) => id);
    await tx.query(`UPDATE generic_values SET reason = '' WHERE value_id = ANY ($1::uuid[])`, [named]);
  }

  /** Why pairs are linked or were decided: of all pairs, since the reason of another one may name the person. */
  async #forgetWords(
    tx: Transaction,
    table: 'identity_links' | 'identity_reviews',
    isNamedIn: (text: string) => boolean,
  ): Promise<void> {
    for (let afterId = LEAST_ID; ;) {
      const page = await tx.query<{ id: Uuid; reason: string }>(
        `SELECT id, reason FROM ${table} WHERE id > $1 AND reason <> '' ORDER BY id LIMIT $2`,
        [afterId, REASONS_PER_PAGE],
      );
      const named = page.filter(({ reason }) => isNamedIn(reason)).map(({ id }) => id);
      if (named.length > 0) {
        await tx.query(`UPDATE ${table} SET reason = '' WHERE id = ANY ($1::uuid[])`, [named]);
      }
      const last = page.at(-1);
      if (last === undefined) return;
      afterId = last.id;
    }
  }

  async #forgetRevisions(
    tx: Transaction,
    subjects: readonly Identifier[],
    isNamedIn: (text: string) => boolean,
  ): Promise<void> {
    const ids = new Set(subjects.map(({ id }) => id));
    const names = new Set(subjects.map(({ ns, value }) => `${ns}\0${value}`));
    for (let afterId = LEAST_ID; ;) {
      const page = await tx.query<RevisionText>(
        'SELECT id, input, reason FROM identity_revisions WHERE id > $1 ORDER BY id LIMIT $2',
        [afterId, REVISIONS_PER_PAGE],
      );
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
        const hasNames = JSON.stringify(clean) !== JSON.stringify(input) || isNamedIn(reason);
        if (!hasNames) continue;
        const why = isNamedIn(reason) ? '' : reason;
        await tx.query('UPDATE identity_revisions SET input = $2::jsonb, reason = $3 WHERE id = $1', [
          id,
          JSON.stringify(clean),
          why,
        ]);
      }
      const last = page.at(-1);
      if (last === undefined) return;
      afterId = last.id;
    }
  }
}
