import type { Transaction } from '../platform/postgres.js';

export interface SegmentDraft {
  readonly key: string;
  readonly name: string;
  readonly description: string;
  readonly tags: readonly string[];
  readonly expression: string;
  /** Whether edge keys may be told who is in it; left out: as it is, false for a new one. */
  readonly edge?: boolean;
  /** What its members have to allow; left out: as it is, nothing for a new one. */
  readonly purposes?: readonly string[];
}

/** What decides membership. */
export interface SegmentVersion {
  /** Of the segment. */
  readonly id: number;
  readonly version: number;
  readonly expression: string;
  readonly purposes: readonly string[];
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
    await this.insertVersion(tx, { id: row.id, version: 1, purposes: [], ...draft }, nowMs);
    return row.id;
  }

  async update(tx: Transaction, id: number, version: number, draft: SegmentDraft, nowMs: number): Promise<void> {
    await tx.query(
      `UPDATE segments SET name = $2, description = $3, tags = $4, edge = coalesce($5, edge), version = $6,
                           updated_at = $7 WHERE id = $1`,
      [id, draft.name, draft.description, draft.tags, draft.edge ?? null, version, nowMs],
    );
  }

  async insertVersion(
    tx: Transaction,
    { id, version, expression, purposes }: SegmentVersion,
    nowMs: number,
  ): Promise<void> {
    await tx.query(
      'INSERT INTO segment_versions (segment_id, version, expression, purposes, created_at) VALUES ($1, $2, $3, $4, $5)',
      [id, version, expression, purposes, nowMs],
    );
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
}
