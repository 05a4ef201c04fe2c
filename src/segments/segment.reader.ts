import type { Queryable } from '../platform/postgres.js';
import type { SegmentStage } from './segment.model.js';
import type { SegmentRule } from './segment-rule.model.js';
import { shadowIdOf } from './shadow.model.js';

/** A segment with the version that was written last, whose rule it has, and the one that is live. */
export interface StoredSegment extends SegmentRule {
  readonly id: number;
  readonly key: string;
  readonly name: string;
  readonly description: string;
  readonly tags: readonly string[];
  /** Whether edge keys, which sit in browsers, may be told who is in it. */
  readonly edge: boolean;
  readonly stage: SegmentStage;
  /** The version written last. */
  readonly version: number;
  /** The version that decides membership; null while there is none. */
  readonly activeVersion: number | null;
  readonly activeRule: SegmentRule | null;
  /** The version that is evaluated in the shadow, or was until it was activated; null: none. */
  readonly shadowVersion: number | null;
  readonly shadowRule: SegmentRule | null;
  readonly createdAt: number;
  readonly updatedAt: number;
}

/** Of a shadow beside what is live. */
export interface ShadowSizes {
  readonly size: number;
  /** Who is in the shadow alone, and would enter. */
  readonly entering: number;
  /** Who is in what is live alone, and would leave. */
  readonly leaving: number;
}

interface RuleRow {
  readonly expression: string;
  readonly exit_expression: string | null;
  readonly min_dwell_ms: number | null;
  readonly active_from: number | null;
  readonly active_until: number | null;
  readonly purposes: readonly string[];
}

interface Row {
  id: number;
  key: string;
  name: string;
  description: string;
  tags: string[];
  edge: boolean;
  stage: SegmentStage;
  version: number;
  rule: RuleRow;
  active_version: number | null;
  active_rule: RuleRow | null;
  shadow_version: number | null;
  shadow_rule: RuleRow | null;
  created_at: number;
  updated_at: number;
}

const SELECT = `
  SELECT s.id, s.key, s.name, s.description, s.tags, s.edge, s.stage, s.version, to_jsonb(v) AS rule,
         s.active_version, to_jsonb(a) AS active_rule, s.shadow_version, to_jsonb(h) AS shadow_rule, s.created_at,
         s.updated_at
  FROM segments s
  JOIN segment_versions v ON v.segment_id = s.id AND v.version = s.version
  LEFT JOIN segment_versions a ON a.segment_id = s.id AND a.version = s.active_version
  LEFT JOIN segment_versions h ON h.segment_id = s.id AND h.version = s.shadow_version`;

/** Most drafts and active segments that an installation may have; more are refused when they are written. */
export const MAX_SEGMENTS = 1_000;

const PAGE_SIZE = 500;

/** Reads segment definitions; bound to a pool or to a transaction. */
export class SegmentReader {
  readonly #db: Queryable;

  constructor(db: Queryable) {
    this.#db = db;
  }

  /** Drafts and active segments, by key: all of them, whose number is bounded where they are written. */
  async standing(): Promise<StoredSegment[]> {
    return (await this.#db.query<Row>(`${SELECT} WHERE s.stage <> 'archived' ORDER BY s.key`)).map(toSegment);
  }

  /** Segments that decide membership, by key. */
  async active(): Promise<StoredSegment[]> {
    return (await this.#db.query<Row>(`${SELECT} WHERE s.stage = 'active' ORDER BY s.key`)).map(toSegment);
  }

  /** Those of which a version is evaluated, live or in the shadow, by key. */
  async evaluated(): Promise<StoredSegment[]> {
    const isEvaluated = `s.stage <> 'archived' AND (s.active_version IS NOT NULL OR s.shadow_version IS NOT NULL)`;
    return (await this.#db.query<Row>(`${SELECT} WHERE ${isEvaluated} ORDER BY s.key`)).map(toSegment);
  }

  /** Of the shadow of a segment; zeros where it has none. */
  async shadowSizes(segmentId: number): Promise<ShadowSizes> {
    const [row] = await this.#db.query<ShadowSizes>(
      `SELECT count(*)::int4 AS size,
              count(*) FILTER (WHERE NOT EXISTS (
                SELECT FROM memberships m WHERE m.profile_id = s.profile_id AND m.segment_id = $2::int4))::int4 AS entering,
              (SELECT count(*) FROM memberships m WHERE m.segment_id = $2::int4 AND NOT EXISTS (
                SELECT FROM memberships o WHERE o.profile_id = m.profile_id AND o.segment_id = $1::int4))::int4 AS leaving
       FROM memberships s WHERE s.segment_id = $1::int4`,
      [shadowIdOf(segmentId), segmentId],
    );
    return row ?? { size: 0, entering: 0, leaving: 0 };
  }

  /** How many drafts and active segments there are. */
  async countStanding(): Promise<number> {
    const [row] = await this.#db.query<{ count: number }>(
      "SELECT count(*)::int4 AS count FROM segments WHERE stage <> 'archived'",
    );
    return row?.count ?? 0;
  }

  /** A page of all segments, archived ones too, by key in the order of its characters. */
  async page(afterKey: string | null, limit: number): Promise<StoredSegment[]> {
    const rows = await this.#db.query<Row>(
      `${SELECT} WHERE $1::text IS NULL OR s.key COLLATE "C" > $1 ORDER BY s.key COLLATE "C" LIMIT $2`,
      [afterKey, limit],
    );
    return rows.map(toSegment);
  }

  /** Every segment, archived ones too, by key; for somebody who looks at the whole list. */
  async all(): Promise<StoredSegment[]> {
    const all: StoredSegment[] = [];
    for (let after: string | null = null; ;) {
      const page: StoredSegment[] = await this.page(after, PAGE_SIZE);
      all.push(...page);
      if (page.length < PAGE_SIZE) return all;
      after = page.at(-1)?.key ?? null;
    }
  }

  /** Those with these keys that there are, archived ones too. */
  async byKeys(keys: readonly string[]): Promise<StoredSegment[]> {
    return (await this.#db.query<Row>(`${SELECT} WHERE s.key = ANY ($1) ORDER BY s.key`, [keys])).map(toSegment);
  }

  /** Those with these ids that there are, archived ones too. */
  async byIds(ids: readonly number[]): Promise<StoredSegment[]> {
    return (await this.#db.query<Row>(`${SELECT} WHERE s.id = ANY ($1) ORDER BY s.key`, [ids])).map(toSegment);
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
    edge: row.edge,
    stage: row.stage === 'draft' && row.shadow_version !== null ? 'shadow' : row.stage,
    version: row.version,
    ...toRule(row.rule),
    activeVersion: row.active_version,
    activeRule: row.active_rule === null ? null : toRule(row.active_rule),
    shadowVersion: row.shadow_version,
    shadowRule: row.shadow_rule === null ? null : toRule(row.shadow_rule),
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}

function toRule(row: RuleRow): SegmentRule {
  return {
    expression: row.expression,
    exitExpression: row.exit_expression,
    minDwellMs: row.min_dwell_ms,
    activeFrom: row.active_from,
    activeUntil: row.active_until,
    purposes: row.purposes,
  };
}
