import type { Queryable } from '../../platform/postgres.js';
import { WeftError } from '../../platform/errors.js';
import { weightOfProbability, type LinkageModel } from '../linkage/linkage-model.model.js';
import { readLinkageModel } from '../linkage/read-linkage-model.js';
import {
  inputsOf,
  type AppliedModel,
  type ColumnMapping,
  type MatchedInputs,
  type MatchingState,
  type StoredLinkageModel,
} from './matching.model.js';
import type { TermHash } from './term-hash.js';

const FIELDS = `version, name, status, mapping, link_threshold AS "linkThreshold", review_threshold AS "reviewThreshold",
  added_at AS "addedAt", added_by AS "addedBy", activated_at AS "activatedAt", activated_by AS "activatedBy"`;

/** Counts of what models made of profiles, as they stand. */
export interface MatchingCounts {
  readonly records: number;
  /** Records of whom something changed that was not looked at yet. */
  readonly waiting: number;
  readonly links: number;
  /** Pairs that a person is to look at. */
  readonly reviews: number;
  /** Blocks with too many records, by the number of their rule. */
  readonly largeBlocks: ReadonlyMap<number, number>;
}

/** Reads models of record linkage, and how far they are applied; bound to a pool or to a transaction. */
export class LinkageModelReader {
  readonly #db: Queryable;
  readonly #terms: TermHash | null;

  /** @param terms what models that are to score pairs need, where values in their frequencies are hashed */
  constructor(db: Queryable, terms: TermHash | null = null) {
    this.#db = db;
    this.#terms = terms;
  }

  /** What the active model reads; null: none is active. */
  async activeInputs(): Promise<MatchedInputs | null> {
    const [row] = await this.#db.query<{ version: string; activatedAt: number; mapping: ColumnMapping }>(
      `SELECT version, activated_at AS "activatedAt", mapping FROM linkage_models WHERE status = 'active'`,
    );
    return row === undefined ? null : inputsOf(row.version, row.activatedAt, row.mapping);
  }

  /** The newest first; those before a place. */
  async page(
    before: Pick<StoredLinkageModel, 'addedAt' | 'version'> | null,
    limit: number,
  ): Promise<StoredLinkageModel[]> {
    return this.#db.query<StoredLinkageModel>(
      `SELECT ${FIELDS} FROM linkage_models WHERE (added_at, version) < ($1::int8, $2::text)
       ORDER BY added_at DESC, version DESC LIMIT $3`,
      [before?.addedAt ?? Number.MAX_SAFE_INTEGER, before?.version ?? '', limit],
    );
  }

  /** Those whose version begins so, at most two. */
  async byPrefix(prefix: string): Promise<StoredLinkageModel[]> {
    return this.#db.query<StoredLinkageModel>(
      `SELECT ${FIELDS} FROM linkage_models WHERE starts_with(version, $1) ORDER BY version LIMIT 2`,
      [prefix],
    );
  }

  async active(): Promise<StoredLinkageModel | null> {
    const [row] = await this.#db.query<StoredLinkageModel>(
      `SELECT ${FIELDS} FROM linkage_models WHERE status = 'active'`,
    );
    return row ?? null;
  }

  /** A model as its last activation has it applied; null: there is none, or it was never active. */
  async applied(version: string): Promise<AppliedModel | null> {
    const [row] = await this.#db.query<{
      content: string;
      mapping: ColumnMapping | null;
      link: number;
      review: number;
    }>(
      `SELECT content, mapping, link_threshold AS link, review_threshold AS review FROM linkage_models WHERE version = $1`,
      [version],
    );
    if (row === undefined || row.mapping === null) return null;
    return {
      model: this.#read(version, row.content),
      mapping: row.mapping,
      link: weightOfProbability(row.link),
      review: row.review <= 0 ? -Infinity : weightOfProbability(row.review),
    };
  }

  async model(version: string): Promise<LinkageModel | null> {
    const [row] = await this.#db.query<{ content: string }>('SELECT content FROM linkage_models WHERE version = $1', [
      version,
    ]);
    return row === undefined ? null : this.#read(version, row.content);
  }

  /** The version is that of the model as it was added. */
  #read(version: string, content: string): LinkageModel {
    const keysOf = this.#terms?.keysOf(version) ?? (() => refuse);
    return { ...readLinkageModel(content, version.slice(0, 12), keysOf), version };
  }

  async state(): Promise<MatchingState> {
    const { rows } = await this.#db.run<MatchingState>({
      name: 'matching-state',
      text: `SELECT phase, place, components_done AS "componentsDone", components_total AS "componentsTotal",
                    started_at AS "startedAt", finished_at AS "finishedAt" FROM matching_state`,
      values: [],
    });
    const [state] = rows;
    if (state === undefined) throw new Error('the state of matching has no row');
    return state;
  }

  async counts(): Promise<MatchingCounts> {
    const [row] = await this.#db.query<Omit<MatchingCounts, 'largeBlocks'>>(
      `SELECT (SELECT count(*) FROM matching_records) AS records,
              (SELECT count(*) FROM matching_work) + (SELECT count(*) FROM matching_records WHERE NOT is_scored)
                + (SELECT count(*) FROM matching_link_work) AS waiting,
              (SELECT count(*) FROM identity_links WHERE origin = 'model' AND removed_at IS NULL) AS links,
              (SELECT count(*) FROM identity_reviews WHERE status = 'open') AS reviews`,
    );
    const blocks = await this.#db.query<{ rule: number; n: number }>(
      'SELECT rule, count(*) AS n FROM matching_large_blocks GROUP BY rule ORDER BY rule',
    );
    return {
      ...(row ?? { records: 0, waiting: 0, links: 0, reviews: 0 }),
      largeBlocks: new Map(blocks.map(({ rule, n }) => [rule, n])),
    };
  }
}

function refuse(): never {
  throw new WeftError(
    'NOT_CONFIGURED',
    'frequencies of this model can be told only with the secret it was added with',
    {
      where: 'WEFT_SECRET',
      hint: 'give the process the secret of the installation',
    },
  );
}
