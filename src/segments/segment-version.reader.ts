import type { Queryable } from '../platform/postgres.js';
import type { SegmentRule } from './segment-rule.model.js';

/** A version of a segment, which never changes. */
export interface SegmentVersion extends SegmentRule {
  /** From 1, without gaps. */
  readonly version: number;
  /** ms */
  readonly createdAt: number;
  /** Who wrote it, for people; null where that was not kept. */
  readonly createdBy: string | null;
  /** The version that it brings back; null: none. */
  readonly restoredFrom: number | null;
}

/** Where versions end: the largest number of the database. */
export const MAX_SEGMENT_VERSION = 2_147_483_647;

const SELECT = `
  SELECT version, expression, exit_expression AS "exitExpression", min_dwell_ms AS "minDwellMs",
         active_from AS "activeFrom", active_until AS "activeUntil", purposes, created_at AS "createdAt",
         created_by AS "createdBy", restored_from AS "restoredFrom"
  FROM segment_versions`;

/** Reads what a segment has said; bound to a pool or to a transaction. */
export class SegmentVersionReader {
  constructor(private readonly db: Queryable) {}

  /** The newest first, of those before `before`. */
  page(segmentId: number, before: number, limit: number): Promise<SegmentVersion[]> {
    const sql = `${SELECT} WHERE segment_id = $1 AND version < $2 ORDER BY version DESC LIMIT $3`;
    return this.db.query<SegmentVersion>(sql, [segmentId, before, limit]);
  }

  async find(segmentId: number, version: number): Promise<SegmentVersion | null> {
    const [found] = await this.db.query<SegmentVersion>(`${SELECT} WHERE segment_id = $1 AND version = $2`, [
      segmentId,
      version,
    ]);
    return found ?? null;
  }
}
