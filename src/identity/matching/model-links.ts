import type { Identifier } from '../../events/event.model.js';
import type { Uuid } from '../../platform/ids.js';
import type { Queryable, Transaction } from '../../platform/postgres.js';
import { newLink, type LinkChange, type NewLink } from '../identity-decision.model.js';
import { pairKey, type AppliedModel, type RecordPairIds } from './matching.model.js';
import type { MatchingStore } from './matching.store.js';

/** Whether links of a model are to be made and taken back. */
export interface ModelLinkChange extends LinkChange {
  /** Links that stand and that the active model would make too, though another made them. */
  readonly kept: readonly NewLink[];
}

/**
 * Decides on the links of models. A pair is linked if it weighs enough by the active model, unless people said that the
 * two are not one person, or took this very link back. Links of people are left alone.
 */
export class ModelLinks {
  readonly #store: MatchingStore;
  readonly #newId: (nowMs: number) => Uuid;

  constructor(store: MatchingStore, newId: (nowMs: number) => Uuid) {
    this.#store = store;
    this.#newId = newId;
  }

  /** @param applied null: no model is active */
  async change(
    db: Queryable,
    pairs: readonly RecordPairIds[],
    applied: AppliedModel | null,
    nowMs: number,
  ): Promise<ModelLinkChange> {
    const standing = new Map((await standingOf(db, pairs)).map((link) => [pairKeyOf(link), link]));
    const wanted = applied === null ? new Map<string, number>() : await this.#wanted(db, pairs, applied.link);
    const version = applied?.model.version ?? '';
    const missing = pairs.filter((pair) => wanted.has(pairKey(pair)) && !standing.has(pairKey(pair)));
    const known = await identifiersOf(db, [...new Set(missing.flatMap(({ a, b }) => [a, b]))]);
    const linkOf = (pair: RecordPairIds): NewLink[] => {
      const [a, b] = [known.get(pair.a), known.get(pair.b)];
      if (a === undefined || b === undefined) return [];
      const model = { version, weight: wanted.get(pairKey(pair)) ?? 0 };
      return [{ ...newLink('must', a, b, this.#newId(nowMs)), model }];
    };
    const kept = [...standing].flatMap(([key, link]): NewLink[] => {
      const weight = wanted.get(key);
      return weight === undefined || link.model?.version === version ? [] : [{ ...link, model: { version, weight } }];
    });
    return {
      added: missing.flatMap(linkOf),
      removed: [...standing].flatMap(([key, link]) => (wanted.has(key) ? [] : [link])),
      kept,
    };
  }

  /** Says of links that another model made that this one would. */
  async keep(tx: Transaction, links: readonly NewLink[]): Promise<void> {
    if (links.length === 0) return;
    await tx.query(
      `UPDATE identity_links l SET model_version = k.version, weight = k.weight
       FROM unnest($1::uuid[], $2::text[], $3::float8[]) AS k (id, version, weight) WHERE l.id = k.id`,
      [
        links.map(({ id }) => id),
        links.map(({ model }) => model?.version ?? ''),
        links.map(({ model }) => model?.weight ?? 0),
      ],
    );
  }

  /** Weights of the pairs that are to be linked. */
  async #wanted(db: Queryable, pairs: readonly RecordPairIds[], least: number): Promise<Map<string, number>> {
    const heavy = (await this.#store.pairs(db, pairs)).filter(({ weight }) => weight >= least);
    const not = new Set([...(await this.#store.barred(db, heavy)), ...(await takenBack(db, heavy))].map(pairKey));
    return new Map(heavy.flatMap((pair) => (not.has(pairKey(pair)) ? [] : [[pairKey(pair), pair.weight]])));
  }
}

function pairKeyOf({ a, b }: NewLink): string {
  return pairKey({ a: a.id, b: b.id });
}

async function standingOf(db: Queryable, pairs: readonly RecordPairIds[]): Promise<NewLink[]> {
  return db.query<NewLink>(
    `SELECT l.id, l.kind, json_build_object('id', l.a_id, 'ns', l.a_ns, 'value', l.a_value) AS a,
            json_build_object('id', l.b_id, 'ns', l.b_ns, 'value', l.b_value) AS b,
            json_build_object('version', l.model_version, 'weight', l.weight) AS model
     FROM identity_links l JOIN unnest($1::uuid[], $2::uuid[]) AS p (a, b) ON l.a_id = p.a AND l.b_id = p.b
     WHERE l.kind = 'must' AND l.origin = 'model' AND l.removed_at IS NULL`,
    [pairs.map(({ a }) => a), pairs.map(({ b }) => b)],
  );
}

/**
 * Of these pairs, those of which somebody removed the link of a model by itself. It was between any of their members: a
 * record's id changes where somebody signs in.
 */
async function takenBack(db: Queryable, pairs: readonly RecordPairIds[]): Promise<RecordPairIds[]> {
  if (pairs.length === 0) return [];
  return db.query<RecordPairIds>(
    `SELECT DISTINCT p.a, p.b FROM unnest($1::uuid[], $2::uuid[]) AS p (a, b)
     JOIN matching_members m ON m.record_id = p.a
     JOIN LATERAL (
       SELECT b_id AS other, removed_revision_id FROM identity_links WHERE a_id = m.identifier_id AND origin = 'model'
       UNION ALL
       SELECT a_id, removed_revision_id FROM identity_links WHERE b_id = m.identifier_id AND origin = 'model'
     ) l ON true
     JOIN identity_revisions r ON r.id = l.removed_revision_id AND r.kind = 'unlink'
     JOIN matching_members n ON n.identifier_id = l.other AND n.record_id = p.b`,
    [pairs.map(({ a }) => a), pairs.map(({ b }) => b)],
  );
}

async function identifiersOf(db: Queryable, ids: readonly Uuid[]): Promise<Map<Uuid, Identifier>> {
  const rows = await db.query<Identifier>('SELECT id, ns, value FROM identifiers WHERE id = ANY ($1::uuid[])', [ids]);
  return new Map(rows.map((row) => [row.id, row]));
}
