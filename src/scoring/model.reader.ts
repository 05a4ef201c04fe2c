import { WeftError } from '../platform/errors.js';
import type { Queryable } from '../platform/postgres.js';
import type { RegisteredModel } from './model-manifest.model.js';
import { MODEL_COLUMNS, modelOfRow, type ModelRow } from './model-row.model.js';

const MAX_LISTED_MODELS = 1_000;

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

  /** Every key with its newest version, and whether a version of it is active. */
  async keys(): Promise<{ key: string; newest: number; isActive: boolean }[]> {
    return this.#db.query(
      `SELECT key, max(version) AS newest, bool_or(stage = 'active') AS "isActive" FROM models GROUP BY key ORDER BY key`,
    );
  }

  /** The latest 1,000 versions, by key, newest version first. */
  async all(): Promise<RegisteredModel[]> {
    const rows = await this.#db.query<ModelRow>(
      `SELECT * FROM (SELECT ${MODEL_COLUMNS} FROM models ORDER BY created_at DESC, key, version DESC LIMIT $1) latest
       ORDER BY key, version DESC`,
      [MAX_LISTED_MODELS],
    );
    return rows.map(modelOfRow);
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
