import type { Transaction } from '../platform/postgres.js';

export interface SegmentDraft {
  readonly key: string;
  readonly name: string;
  readonly description: string;
  readonly tags: readonly string[];
  readonly expression: string;
  /** Whether edge keys may be told who is in it; left out: as it is, false for a new one. */
  readonly edge?: boolean;
}

/** Writes segments. A version, once written, never changes. */
export class SegmentStore {
  async insert(tx: Transaction, draft: SegmentDraft, nowMs: number): Promise<number> {
    const [row] = await tx.query<{ id: number }>(
      `INSERT INTO segments (key, name, description, tags, edge, stage, version, created_at, updated_at)
       VALUES ($1, $2, $3, $4, $5, 'draft', 1, $6, $6) RETURNING id`,
      [draft.key, draft.name, draft.description, draft.tags, draft.edge ?? false, nowMs],
    );
    if (row === undefined) throw new Error('an insert returned nothing');
    await this.#insertVersion(tx, row.id, 1, draft.expression, nowMs);
    return row.id;
  }

  async update(tx: Transaction, id: number, version: number, draft: SegmentDraft, nowMs: number): Promise<void> {
    await tx.query(
      `UPDATE segments SET name = $2, description = $3, tags = $4, edge = coalesce($5, edge), version = $6,
                           updated_at = $7 WHERE id = $1`,
      [id, draft.name, draft.description, draft.tags, draft.edge ?? null, version, nowMs],
    );
  }

  async insertNextVersion(
    tx: Transaction,
    id: number,
    version: number,
    expression: string,
    nowMs: number,
  ): Promise<void> {
    await this.#insertVersion(tx, id, version, expression, nowMs);
  }

  async activate(tx: Transaction, id: number, version: number, nowMs: number): Promise<void> {
    await tx.query(`UPDATE segments SET stage = 'active', active_version = $2, updated_at = $3 WHERE id = $1`, [
      id,
      version,
      nowMs,
    ]);
  }

  async archive(tx: Transaction, id: number, nowMs: number): Promise<void> {
    await tx.query(`UPDATE segments SET stage = 'archived', active_version = NULL, updated_at = $2 WHERE id = $1`, [
      id,
      nowMs,
    ]);
  }

  async #insertVersion(tx: Transaction, id: number, version: number, expression: string, nowMs: number): Promise<void> {
    await tx.query(
      'INSERT INTO segment_versions (segment_id, version, expression, created_at) VALUES ($1, $2, $3, $4)',
      [id, version, expression, nowMs],
    );
  }
}
