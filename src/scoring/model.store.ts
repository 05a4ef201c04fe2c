import type { Queryable, Transaction } from '../platform/postgres.js';
import type { ModelManifest, ModelProbe, ModelStage, RegisteredModel } from './model-manifest.model.js';
import { MODEL_COLUMNS, modelOfRow, type ModelRow } from './model-row.model.js';

/** Writes of the model registry. Bytes are kept once per content, however many versions point to them. */
export class ModelStore {
  /** Makes transactions on one key wait for each other, so that versions are numbered without gaps or clashes. */
  async lockKey(tx: Transaction, key: string): Promise<void> {
    await tx.query(`SELECT pg_advisory_xact_lock(hashtextextended('weft.models/' || $1, 0))`, [key]);
  }

  async find(tx: Transaction, key: string, version: number): Promise<RegisteredModel | null> {
    const text = `SELECT ${MODEL_COLUMNS} FROM models WHERE key = $1 AND version = $2`;
    const [row] = await tx.query<ModelRow>(text, [key, version]);
    return row === undefined ? null : modelOfRow(row);
  }

  /** The version with these very bytes and this very manifest, whatever its stage. */
  async findSame(db: Queryable, digest: string, manifest: ModelManifest): Promise<RegisteredModel | null> {
    const text = `SELECT ${MODEL_COLUMNS} FROM models WHERE key = $1 AND digest = $2 AND manifest = $3::jsonb`;
    const [row] = await db.query<ModelRow>(text, [manifest.key, digest, JSON.stringify(manifest)]);
    return row === undefined ? null : modelOfRow(row);
  }

  /** Adds the next version of the manifest's key, as `shadow`. The caller holds {@link lockKey}. */
  async insert(
    tx: Transaction,
    model: Pick<RegisteredModel, 'digest' | 'manifest' | 'createdAt'> & {
      readonly bytes: Uint8Array;
      readonly probe: ModelProbe;
    },
  ): Promise<RegisteredModel> {
    await tx.query('INSERT INTO model_blobs (digest, bytes) VALUES ($1, $2) ON CONFLICT (digest) DO NOTHING', [
      model.digest,
      Buffer.from(model.bytes.buffer, model.bytes.byteOffset, model.bytes.byteLength),
    ]);
    const [row] = await tx.query<ModelRow>(
      `INSERT INTO models (key, version, digest, stage, manifest, created_at, edge, probe)
       SELECT $1, coalesce(max(version), 0) + 1, $2, 'shadow', $3::jsonb, $4,
              coalesce($5, (SELECT edge FROM models WHERE key = $1 ORDER BY version DESC LIMIT 1), false), $6::jsonb
       FROM models WHERE key = $1
       RETURNING ${MODEL_COLUMNS}`,
      [
        model.manifest.key,
        model.digest,
        JSON.stringify(model.manifest),
        model.createdAt,
        model.manifest.edge ?? null,
        JSON.stringify(model.probe),
      ],
    );
    if (row === undefined) throw new Error('the insert returned no row');
    return modelOfRow(row);
  }

  /** Keeps what was found out about a version that was registered before there was any. */
  async setProbe(db: Queryable, { key, version }: RegisteredModel, probe: ModelProbe): Promise<void> {
    await db.query('UPDATE models SET probe = $3::jsonb WHERE key = $1 AND version = $2', [
      key,
      version,
      JSON.stringify(probe),
    ]);
  }

  /** Marks all versions of a key. @returns how many there are */
  async setEdge(tx: Transaction, key: string, edge: boolean): Promise<number> {
    const [row] = await tx.query<{ count: number }>(
      `WITH marked AS (UPDATE models SET edge = $2 WHERE key = $1 RETURNING 1)
       SELECT count(*)::int4 AS count FROM marked`,
      [key, edge],
    );
    return row?.count ?? 0;
  }

  /** Retires the version of this key that is active, if any. */
  async retireActive(tx: Transaction, key: string): Promise<void> {
    await tx.query(`UPDATE models SET stage = 'retired' WHERE key = $1 AND stage = 'active'`, [key]);
  }

  /** Makes this version the active one; there is no other by now. */
  async activate(tx: Transaction, key: string, version: number, atMs: number): Promise<void> {
    // Two promotions within a millisecond still come one after the other.
    await tx.query(
      `UPDATE models SET stage = 'active', canary_percent = NULL,
         promoted_at = greatest($3, (SELECT max(promoted_at) + 1 FROM models WHERE key = $1))
       WHERE key = $1 AND version = $2`,
      [key, version, atMs],
    );
  }

  /** The version that was promoted last of those that are not active; null: there is none. */
  async formerVersion(tx: Transaction, key: string): Promise<number | null> {
    const [row] = await tx.query<{ version: number }>(
      `SELECT version FROM models WHERE key = $1 AND stage <> 'active' AND promoted_at IS NOT NULL
       ORDER BY promoted_at DESC LIMIT 1`,
      [key],
    );
    return row?.version ?? null;
  }

  /** Lets it answer for so many of the profiles, percent; there is no other canary. */
  async setCanary(tx: Transaction, key: string, version: number, percent: number): Promise<void> {
    await tx.query(`UPDATE models SET stage = 'canary', canary_percent = $3 WHERE key = $1 AND version = $2`, [
      key,
      version,
      percent,
    ]);
  }

  /** Puts the canary of a key, if any, back into the shadow; returns its version, null: there was none. */
  async endCanary(tx: Transaction, key: string): Promise<number | null> {
    const [row] = await tx.query<{ version: number }>(
      `WITH ended AS (UPDATE models SET stage = 'shadow', canary_percent = NULL WHERE key = $1 AND stage = 'canary'
         RETURNING version) SELECT version FROM ended`,
      [key],
    );
    return row?.version ?? null;
  }

  async setStage(tx: Transaction, key: string, version: number, stage: ModelStage): Promise<void> {
    await tx.query('UPDATE models SET stage = $3, canary_percent = NULL WHERE key = $1 AND version = $2', [
      key,
      version,
      stage,
    ]);
  }
}
