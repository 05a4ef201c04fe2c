import type { Uuid } from '../../platform/ids.js';
import type { Queryable, Transaction } from '../../platform/postgres.js';
import type { ColumnMapping, MatchingPhase, StoredLinkageModel } from './matching.model.js';

export type NewLinkageModel = Pick<
  StoredLinkageModel,
  'version' | 'name' | 'linkThreshold' | 'reviewThreshold' | 'addedAt' | 'addedBy'
> & {
  /** As `readLinkageModel` reads it. */
  readonly content: string;
  /** Whether its frequencies have values of people as they are. */
  readonly hasPlainTerms: boolean;
};

/** How a model is to be applied. */
export interface Activation {
  readonly mapping: ColumnMapping;
  /** Match probabilities, 0 to 1. */
  readonly linkThreshold: number;
  readonly reviewThreshold: number;
  readonly actor: string;
  /** ms */
  readonly at: number;
}

/** Rows of `linkage_models` and `matching_state`. */
export class LinkageModelStore {
  /** False if there is this version already. */
  async insert(tx: Transaction, model: NewLinkageModel): Promise<boolean> {
    const inserted = await tx.execute(
      `INSERT INTO linkage_models
         (version, name, content, status, link_threshold, review_threshold, added_at, added_by, has_plain_terms)
       VALUES ($1, $2, $3, 'added', $4, $5, $6, $7, $8) ON CONFLICT (version) DO NOTHING`,
      [
        model.version,
        model.name,
        model.content,
        model.linkThreshold,
        model.reviewThreshold,
        model.addedAt,
        model.addedBy,
        model.hasPlainTerms,
      ],
    );
    return inserted > 0;
  }

  /** A model that has values of people in its frequencies as they are; null: there is none. */
  async nextPlain(db: Queryable): Promise<{ readonly version: string; readonly content: string } | null> {
    const [row] = await db.query<{ version: string; content: string }>(
      'SELECT version, content FROM linkage_models WHERE has_plain_terms ORDER BY version LIMIT 1',
    );
    return row ?? null;
  }

  async hasPlainTerms(db: Queryable): Promise<boolean> {
    return (await db.query('SELECT FROM linkage_models WHERE has_plain_terms LIMIT 1')).length > 0;
  }

  /** @param content of the model, with hashes in the place of values */
  async saveKeyed(db: Queryable, version: string, content: string): Promise<void> {
    await db.query(
      'UPDATE linkage_models SET content = $2, has_plain_terms = false WHERE version = $1 AND has_plain_terms',
      [version, content],
    );
  }

  /** Puts the model in the place of the one that is active, and has everybody compared anew. */
  async activate(tx: Transaction, version: string, activation: Activation): Promise<void> {
    const { mapping, linkThreshold, reviewThreshold, actor, at } = activation;
    await tx.query(`UPDATE linkage_models SET status = 'retired' WHERE status = 'active'`);
    await tx.query(
      `UPDATE linkage_models SET status = 'active', mapping = $2, link_threshold = $3, review_threshold = $4,
         activated_by = $5, activated_at = $6 WHERE version = $1`,
      [version, JSON.stringify(mapping), linkThreshold, reviewThreshold, actor, at],
    );
    await this.#forgetRecords(tx);
    await tx.query(
      `UPDATE matching_state SET phase = 'keying', place = NULL, components_done = 0, components_total = NULL,
         started_at = $1, finished_at = NULL`,
      [at],
    );
  }

  /** No model is active any more. @param isUnlinking whether what models linked is taken back */
  async retire(tx: Transaction, isUnlinking: boolean): Promise<void> {
    await tx.query(`UPDATE linkage_models SET status = 'retired' WHERE status = 'active'`);
    await this.#forgetRecords(tx);
    await tx.query(
      `UPDATE matching_state SET phase = 'idle', place = NULL, components_done = 0, components_total = NULL,
         started_at = NULL, finished_at = NULL`,
    );
    if (isUnlinking) await this.lookAtLinks(tx, '');
  }

  /** Has links looked at that other models made than this one. */
  async lookAtLinks(tx: Transaction, version: string): Promise<void> {
    await tx.query(
      `INSERT INTO matching_link_work (a_id, b_id)
       SELECT a_id, b_id FROM identity_links WHERE origin = 'model' AND removed_at IS NULL AND model_version <> $1
       ON CONFLICT DO NOTHING`,
      [version],
    );
  }

  async advance(
    tx: Transaction,
    state: {
      readonly phase: MatchingPhase;
      readonly place: Uuid | null;
      readonly componentsDone: number;
      readonly componentsTotal: number | null;
    },
  ): Promise<void> {
    await tx.query('UPDATE matching_state SET phase = $1, place = $2, components_done = $3, components_total = $4', [
      state.phase,
      state.place,
      state.componentsDone,
      state.componentsTotal,
    ]);
  }

  async finish(tx: Transaction, nowMs: number): Promise<void> {
    await tx.query(`UPDATE matching_state SET phase = 'live', finished_at = $1`, [nowMs]);
  }

  /** All that was worked out by a model, but its links and what people decided. */
  async #forgetRecords(tx: Transaction): Promise<void> {
    await tx.query(
      `TRUNCATE matching_work, matching_records, matching_members, matching_keys, matching_large_blocks, matching_pairs,
         matching_link_work`,
    );
    await tx.query(`DELETE FROM identity_reviews WHERE status = 'open'`);
  }
}
