import type { Transaction } from '../platform/postgres.js';
import type { SegmentRule } from './segment-rule.model.js';

/** A segment as its author writes it. What is left out of its rule is as it is; of a new segment there is none. */
export interface SegmentDraft extends Partial<Omit<SegmentRule, 'expression'>> {
  readonly expression: string;
  readonly key: string;
  readonly name: string;
  readonly description: string;
  readonly tags: readonly string[];
  /** Whether edge keys may be told who is in it; left out: as it is, false for a new one. */
  readonly edge?: boolean;
}

/** What decides membership. */
export interface SegmentVersion {
  /** Of the segment. */
  readonly id: number;
  readonly version: number;
  readonly rule: SegmentRule;
}

/** Writes segments. A version, once written, never changes. */
export class SegmentStore {
  async insert(tx: Transaction, draft: SegmentDraft, rule: SegmentRule, nowMs: number): Promise<number> {
    const [row] = await tx.query<{ id: number }>(
      `INSERT INTO segments (key, name, description, tags, edge, stage, version, created_at, updated_at)
       VALUES ($1, $2, $3, $4, $5, 'draft', 1, $6, $6) RETURNING id`,
      [draft.key, draft.name, draft.description, draft.tags, draft.edge ?? false, nowMs],
    );
    if (row === undefined) throw new Error('an insert returned nothing');
    await this.insertVersion(tx, { id: row.id, version: 1, rule }, nowMs);
    return row.id;
  }

  async update(tx: Transaction, id: number, version: number, draft: SegmentDraft, nowMs: number): Promise<void> {
    await tx.query(
      `UPDATE segments SET name = $2, description = $3, tags = $4, edge = coalesce($5, edge), version = $6,
                           updated_at = $7 WHERE id = $1`,
      [id, draft.name, draft.description, draft.tags, draft.edge ?? null, version, nowMs],
    );
  }

  async insertVersion(tx: Transaction, { id, version, rule }: SegmentVersion, nowMs: number): Promise<void> {
    const { expression, exitExpression, minDwellMs, activeFrom, activeUntil, purposes } = rule;
    await tx.query(
      `INSERT INTO segment_versions (segment_id, version, expression, exit_expression, min_dwell_ms, active_from,
                                     active_until, purposes, created_at)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
      [id, version, expression, exitExpression, minDwellMs, activeFrom, activeUntil, purposes, nowMs],
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
