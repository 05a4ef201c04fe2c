import type { Queryable } from '../platform/postgres.js';
import type { SegmentStage } from './segment.model.js';

/** A segment with the version that was written last and the one that is live. */
export interface StoredSegment {
  readonly id: number;
  readonly key: string;
  readonly name: string;
  readonly description: string;
  readonly tags: readonly string[];
  readonly stage: SegmentStage;
  /** The version written last. */
  readonly version: number;
  readonly expression: string;
  /** The version that decides membership; null while there is none. */
  readonly activeVersion: number | null;
  readonly activeExpression: string | null;
  readonly createdAt: number;
  readonly updatedAt: number;
}

interface Row {
  id: number;
  key: string;
  name: string;
  description: string;
  tags: string[];
  stage: SegmentStage;
  version: number;
  expression: string;
  active_version: number | null;
  active_expression: string | null;
  created_at: number;
  updated_at: number;
}

const SELECT = `
  SELECT s.id, s.key, s.name, s.description, s.tags, s.stage, s.version, v.expression, s.active_version,
         a.expression AS active_expression, s.created_at, s.updated_at
  FROM segments s
  JOIN segment_versions v ON v.segment_id = s.id AND v.version = s.version
  LEFT JOIN segment_versions a ON a.segment_id = s.id AND a.version = s.active_version`;

/** Most segments that an installation may have. */
export const MAX_SEGMENTS = 1_000;

/** Reads segment definitions; bound to a pool or to a transaction. */
export class SegmentReader {
  readonly #db: Queryable;

  constructor(db: Queryable) {
    this.#db = db;
  }

  /** All segments by key. */
  async all(): Promise<StoredSegment[]> {
    return (await this.#db.query<Row>(`${SELECT} ORDER BY s.key LIMIT $1`, [MAX_SEGMENTS])).map(toSegment);
  }

  /** Segments that decide membership, by key. */
  async active(): Promise<StoredSegment[]> {
    const rows = await this.#db.query<Row>(`${SELECT} WHERE s.stage = 'active' ORDER BY s.key LIMIT $1`, [
      MAX_SEGMENTS,
    ]);
    return rows.map(toSegment);
  }

  async byKey(key: string): Promise<StoredSegment | null> {
    const [row] = await this.#db.query<Row>(`${SELECT} WHERE s.key = $1`, [key]);
    return row === undefined ? null : toSegment(row);
  }

  /** Members now, by segment id; segments without members are left out. */
  async sizes(segmentIds: readonly number[]): Promise<Map<number, number>> {
    const rows = await this.#db.query<{ segment_id: number; size: number }>(
      'SELECT segment_id, count(*)::int4 AS size FROM memberships WHERE segment_id = ANY ($1) GROUP BY segment_id',
      [segmentIds],
    );
    return new Map(rows.map((row) => [row.segment_id, row.size]));
  }
}

function toSegment(row: Row): StoredSegment {
  return {
    id: row.id,
    key: row.key,
    name: row.name,
    description: row.description,
    tags: row.tags,
    stage: row.stage,
    version: row.version,
    expression: row.expression,
    activeVersion: row.active_version,
    activeExpression: row.active_expression,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}
