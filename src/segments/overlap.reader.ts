import type { Queryable } from '../platform/postgres.js';
import type { OverlapRun, SegmentPair } from './overlap.model.js';

/** Where a page of pairs ended. */
export type OverlapPosition = Pick<SegmentPair, 'jaccard' | 'segmentId' | 'otherId'>;

export interface OverlapAsk {
  readonly minJaccard: number;
  /** Pairs of this segment alone; null: all. */
  readonly segmentId: number | null;
  readonly after: OverlapPosition | null;
  readonly limit: number;
}

/** Reads what segments have in common, as it was measured last; of versions that are live still. */
export class OverlapReader {
  constructor(private readonly db: Queryable) {}

  /** Null: nothing was measured yet. */
  async run(): Promise<OverlapRun | null> {
    const [run] = await this.db.query<OverlapRun>(
      `SELECT measured_at AS "measuredAt", share, left_out AS "leftOut" FROM segment_overlap_run
       WHERE measured_at IS NOT NULL`,
    );
    return run ?? null;
  }

  /** Of live segments, those most alike first. */
  async page({ minJaccard, segmentId, after, limit }: OverlapAsk): Promise<readonly SegmentPair[]> {
    return this.db.query<SegmentPair>(
      `SELECT ${COLUMNS} FROM ${STANDING}
       WHERE o.segment_id > 0 AND o.jaccard >= $1::float8
         AND ($2::int4 IS NULL OR o.segment_id = $2::int4 OR o.other_id = $2::int4)
         AND ($3::float8 IS NULL OR o.jaccard < $3::float8
              OR (o.jaccard = $3::float8 AND (o.segment_id, o.other_id) > ($4::int4, $5::int4)))
       ORDER BY o.jaccard DESC, o.segment_id, o.other_id LIMIT $6::int4`,
      [minJaccard, segmentId, after?.jaccard ?? null, after?.segmentId ?? 0, after?.otherId ?? 0, limit],
    );
  }

  /**
   * Of these segments or shadows (by their negative ids), those most alike first, at most `limit` of each; each pair as it is
   * kept.
   */
  async of(ids: readonly number[], minJaccard: number, limit: number): Promise<ReadonlyMap<number, SegmentPair[]>> {
    const rows = await this.db.query<SegmentPair & { readonly of: number }>(
      `SELECT asked.id AS "of", found.* FROM unnest($1::int4[]) AS asked (id) CROSS JOIN LATERAL (
         SELECT ${COLUMNS} FROM ${STANDING}
         WHERE (o.segment_id = asked.id OR o.other_id = asked.id AND o.segment_id > 0) AND o.jaccard >= $2::float8
         ORDER BY o.jaccard DESC, o.segment_id, o.other_id LIMIT $3::int4
       ) found`,
      [ids, minJaccard, limit],
    );
    const found = new Map<number, SegmentPair[]>();
    for (const { of, ...pair } of rows) found.set(of, [...(found.get(of) ?? []), pair]);
    return found;
  }
}

const COLUMNS = `o.segment_id AS "segmentId", o.other_id AS "otherId", o.size, o.other_size AS "otherSize", o.common, o.jaccard`;

/** What was measured of a version that is evaluated no more is of another segment. */
const STANDING = `segment_overlaps o
  JOIN segments s ON s.id = abs(o.segment_id) AND s.stage <> 'archived'
    AND CASE WHEN o.segment_id > 0 THEN s.active_version ELSE s.shadow_version END = o.version
  JOIN segments t ON t.id = o.other_id AND t.stage = 'active' AND t.active_version = o.other_version`;
