import type { Uuid } from '../platform/ids.js';
import type { Database, PreparedStatement } from '../platform/postgres.js';
import type { ChangeCause, ChangeKind, SegmentChange } from '../segments/segment.model.js';

export interface ChangeFilter {
  /** Empty or absent: every segment. */
  readonly segmentIds?: readonly number[];
  readonly profileIds?: readonly Uuid[];
}

export function matchesFilter(change: SegmentChange, { segmentIds, profileIds }: ChangeFilter): boolean {
  if (segmentIds !== undefined && segmentIds.length > 0 && !segmentIds.includes(change.segmentId)) return false;
  return profileIds === undefined || profileIds.length === 0 || profileIds.includes(change.profileId);
}

interface ChangeRow {
  seq: number;
  profile_id: Uuid;
  segment_id: number;
  kind: ChangeKind;
  at: number;
  version: number;
  cause: ChangeCause;
}

/** Reads the feed of membership changes in its one order. */
export class ChangeFeedReader {
  readonly #db: Pick<Database, 'run'>;

  constructor(db: Pick<Database, 'run'>) {
    this.#db = db;
  }

  /** The position of the newest change; 0 for an empty feed. */
  async head(): Promise<number> {
    const {
      rows: [row],
    } = await this.#db.run<{ seq: number }>({ name: 'feed-head', text: 'SELECT seq FROM feed_head', values: [] });
    return row?.seq ?? 0;
  }

  /** At most `limit` changes with `seq > after`, by rising seq. */
  async after(after: number, limit: number, filter: ChangeFilter = {}): Promise<SegmentChange[]> {
    const { rows } = await this.#db.run<ChangeRow>(statementFor(after, limit, filter));
    return rows.map((row) => ({
      seq: row.seq,
      profileId: row.profile_id,
      segmentId: row.segment_id,
      kind: row.kind,
      at: row.at,
      version: row.version,
      cause: row.cause,
    }));
  }
}

/*
 * One statement for each shape of filter, because a prepared one keeps its plan: `$2 IS NULL OR segment_id = ANY ($2)`
 * reads the whole feed for a rare segment (0.57 s of a million changes; 0.03 ms this way).
 */
function statementFor(
  after: number,
  limit: number,
  { segmentIds = [], profileIds = [] }: ChangeFilter,
): PreparedStatement {
  if (profileIds.length > 0 && segmentIds.length > 0) {
    const values = [after, limit, profileIds, segmentIds];
    return { name: 'feed-after-of-profiles-in-segments', text: OF_PROFILES_IN_SEGMENTS, values };
  }
  if (profileIds.length > 0)
    return { name: 'feed-after-of-profiles', text: OF_PROFILES, values: [after, limit, profileIds] };
  if (segmentIds.length > 0)
    return { name: 'feed-after-of-segments', text: OF_SEGMENTS, values: [after, limit, segmentIds] };
  return { name: 'feed-after', text: OF_ALL, values: [after, limit] };
}

const COLUMNS = 'seq, profile_id, segment_id, kind, at, version, cause';

const OF_ALL = `SELECT ${COLUMNS} FROM changes WHERE seq > $1::int8 ORDER BY seq LIMIT $2::int4`;
const OF_SEGMENTS = mergedBy('segment_id', 'int4');
const OF_PROFILES = mergedBy('profile_id', 'uuid');
const OF_PROFILES_IN_SEGMENTS = mergedBy('profile_id', 'uuid', 'AND segment_id = ANY ($4::int4[])');

/**
 * The first changes of each key, by the index on (key, seq), merged. Equality would let the planner drop the key from
 * the order and walk the feed by its primary key instead.
 */
function mergedBy(column: 'segment_id' | 'profile_id', type: 'int4' | 'uuid', and = ''): string {
  return `
    SELECT c.* FROM (SELECT DISTINCT id FROM unnest($3::${type}[]) AS t (id)) k CROSS JOIN LATERAL (
      SELECT ${COLUMNS} FROM changes
      WHERE (${column}, seq) > (k.id, $1::int8) AND ${column} <= k.id ${and}
      ORDER BY ${column}, seq LIMIT $2::int4
    ) c
    ORDER BY c.seq LIMIT $2::int4`;
}
