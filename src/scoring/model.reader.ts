import { WeftError } from '../platform/errors.js';
import type { Queryable } from '../platform/postgres.js';
import type { ListedModel, RegisteredModel } from './model-manifest.model.js';
import { MODEL_COLUMNS, modelOfRow, type ModelRow } from './model-row.model.js';

const PAGE_SIZE = 500;

/** Where a page of versions ended. */
export type ModelPosition = Pick<RegisteredModel, 'key' | 'version'>;

/** Reads the model registry; bound to a pool or to a transaction. */
export class ModelReader {
  readonly #db: Queryable;

  constructor(db: Queryable) {
    this.#db = db;
  }

  /** The active version of every key that has one, by key. */
  async active(): Promise<RegisteredModel[]> {
    const text = `SELECT ${MODEL_COLUMNS} FROM models WHERE stage = 'active' ORDER BY key`;
    return (await this.#db.query<ModelRow>(text)).map(modelOfRow);
  }

  /** The versions that answer for somebody: the active ones, and the canaries beside them, by key. */
  async answering(): Promise<RegisteredModel[]> {
    const text = `SELECT ${MODEL_COLUMNS} FROM models WHERE stage IN ('active', 'canary') ORDER BY key, stage, version`;
    return (await this.#db.query<ModelRow>(text)).map(modelOfRow);
  }

  /** A version; null: there is none. */
  async find(key: string, version: number): Promise<RegisteredModel | null> {
    const text = `SELECT ${MODEL_COLUMNS} FROM models WHERE key = $1 AND version = $2`;
    const [row] = await this.#db.query<ModelRow>(text, [key, version]);
    return row === undefined ? null : modelOfRow(row);
  }

  /** Every key with its newest version, and whether a version of it is active. */
  async keys(): Promise<{ key: string; newest: number; isActive: boolean }[]> {
    return this.#db.query(
      `SELECT key, max(version) AS newest, bool_or(stage = 'active') AS "isActive" FROM models GROUP BY key ORDER BY key`,
    );
  }

  /** The newest versions of a key, at most ten, the newest first. */
  async versionsOf(key: string): Promise<number[]> {
    const rows = await this.#db.query<{ version: number }>(
      'SELECT version FROM models WHERE key = $1 ORDER BY version DESC LIMIT 10',
      [key],
    );
    return rows.map(({ version }) => version);
  }

  /** A page of all versions of all keys, by key in the order of its characters, and version. */
  async page(after: ModelPosition | null, limit: number): Promise<ListedModel[]> {
    const rows = await this.#db.query<ModelRow>(
      `SELECT key, version, digest, stage, manifest - 'goldenVectors' AS manifest, edge, created_at, probe, canary_percent FROM models
       WHERE $1::text IS NULL OR (key COLLATE "C", version) > ($1, $2::int4)
       ORDER BY key COLLATE "C", version LIMIT $3`,
      [after?.key ?? null, after?.version ?? 0, limit],
    );
    return rows.map(modelOfRow);
  }

  /** Every version by key, newest version first; for somebody who looks at the whole list. */
  async all(): Promise<ListedModel[]> {
    const all: ListedModel[] = [];
    for (let after: ModelPosition | null = null; ;) {
      const page: ListedModel[] = await this.page(after, PAGE_SIZE);
      all.push(...page);
      if (page.length < PAGE_SIZE) break;
      after = page.at(-1) ?? null;
    }
    return all.sort((a, b) => (a.key === b.key ? b.version - a.version : a.key < b.key ? -1 : 1));
  }

  /**
   * The ONNX bytes of a digest.
   * @throws WeftError NOT_FOUND
   */
  async bytes(digest: string): Promise<Uint8Array> {
    const [row] = await this.#db.query<{ bytes: Buffer }>('SELECT bytes FROM model_blobs WHERE digest = $1', [digest]);
    if (row !== undefined) return row.bytes;
    throw new WeftError('NOT_FOUND', `there is no model with digest ${digest}`, {
      where: 'digest',
      hint: 'register the model again',
    });
  }
}
