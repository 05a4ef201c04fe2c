import type { Transaction } from '../platform/postgres.js';
import type { SegmentDraft, SegmentRule } from './segment-rule.model.js';

/** What decides membership, as it is written. */
export interface NewVersion {
  /** Of the segment. */
  readonly id: number;
  readonly version: number;
  readonly rule: SegmentRule;
  readonly author: VersionAuthor;
}

/** Who writes a version, and what it brings back. */
export interface VersionAuthor {
  /** For people; null: not known. */
  readonly by: string | null;
  /** Null: none. */
  readonly restoredFrom: number | null;
}

/** Writes segments. A version, once written, never changes. */
export class SegmentStore {
  async insert(
    tx: Transaction,
    draft: SegmentDraft,
    { rule, author }: Pick<NewVersion, 'rule' | 'author'>,
    nowMs: number,
  ): Promise<number> {
    const [row] = await tx.query<{ id: number }>(
      `INSERT INTO segments (key, name, description, tags, edge, stage, version, created_at, updated_at)
       VALUES ($1, $2, $3, $4, $5, 'draft', 1, $6, $6) RETURNING id`,
      [draft.key, draft.name, draft.description, draft.tags, draft.edge ?? false, nowMs],
    );
    if (row === undefined) throw new Error('an insert returned nothing');
    await this.insertVersion(tx, { id: row.id, version: 1, rule, author }, nowMs);
    return row.id;
  }

  async update(tx: Transaction, id: number, version: number, draft: SegmentDraft, nowMs: number): Promise<void> {
    await tx.query(
      `UPDATE segments SET name = $2, description = $3, tags = $4, edge = coalesce($5, edge), version = $6,
                           updated_at = $7 WHERE id = $1`,
      [id, draft.name, draft.description, draft.tags, draft.edge ?? null, version, nowMs],
    );
  }

  /** The version that was written last from now on. */
  async setVersion(tx: Transaction, id: number, version: number, nowMs: number): Promise<void> {
    await tx.query('UPDATE segments SET version = $2, updated_at = $3 WHERE id = $1', [id, version, nowMs]);
  }

  async insertVersion(tx: Transaction, { id, version, rule, author }: NewVersion, nowMs: number): Promise<void> {
    const { expression, exitExpression, minDwellMs, activeFrom, activeUntil, purposes } = rule;
    await tx.query(
      `INSERT INTO segment_versions (segment_id, version, expression, exit_expression, min_dwell_ms, active_from,
                                     active_until, purposes, created_at, created_by, restored_from)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
      [
        id,
        version,
        expression,
        exitExpression,
        minDwellMs,
        activeFrom,
        activeUntil,
        purposes,
        nowMs,
        author.by,
        author.restoredFrom,
      ],
    );
  }

  async activate(tx: Transaction, id: number, version: number, nowMs: number): Promise<void> {
    await tx.query(
      // Where it was evaluated in the shadow, that is known as long as it is live.
      `UPDATE segments SET stage = 'active', active_version = $2, updated_at = $3,
                           shadow_version = CASE WHEN shadow_version = $2 THEN shadow_version END WHERE id = $1`,
      [id, version, nowMs],
    );
  }

  /** @param version null: none any more */
  async setShadow(tx: Transaction, id: number, version: number | null, nowMs: number): Promise<void> {
    await tx.query('UPDATE segments SET shadow_version = $2, updated_at = $3 WHERE id = $1', [id, version, nowMs]);
  }

  async archive(tx: Transaction, id: number, nowMs: number): Promise<void> {
    await tx.query(
      `UPDATE segments SET stage = 'archived', active_version = NULL, shadow_version = NULL, updated_at = $2 WHERE id = $1`,
      [id, nowMs],
    );
  }
}
