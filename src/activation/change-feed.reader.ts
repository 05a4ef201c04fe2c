import type { Uuid } from '../platform/ids.js';
import type { Database, PreparedStatement } from '../platform/postgres.js';
import type { CauseKind, ChangeCause, ChangeKind, DecidingModel, SegmentChange } from '../segments/segment.model.js';

/** Which changes are meant: those that fit each of these. Empty or absent: all fit it. */
export interface ChangeFilter {
  readonly segmentIds?: readonly number[];
  readonly profileIds?: readonly Uuid[];
  readonly kinds?: readonly ChangeKind[];
  readonly causes?: readonly CauseKind[];
}

export function matchesFilter(change: SegmentChange, { segmentIds, profileIds, kinds, causes }: ChangeFilter): boolean {
  return (
    isAmong(change.segmentId, segmentIds) &&
    isAmong(change.profileId, profileIds) &&
    isAmong(change.kind, kinds) &&
    isAmong(change.cause.kind, causes)
  );
}

function isAmong<T>(value: T, wanted: readonly T[] | undefined): boolean {
  return wanted === undefined || wanted.length === 0 || wanted.includes(value);
}

interface ChangeRow {
  seq: number;
  profile_id: Uuid;
  segment_id: number;
  kind: ChangeKind;
  at: number;
  version: number;
  cause: ChangeCause;
  models: readonly DecidingModel[] | null;
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
    return rows.map(toChange);
  }

  /** The changes at these positions, by rising seq. */
  async at(seqs: readonly number[]): Promise<SegmentChange[]> {
    const { rows } = await this.#db.run<ChangeRow>({
      name: 'feed-at',
      text: `SELECT ${COLUMNS} FROM changes WHERE seq = ANY ($1::int8[]) ORDER BY seq`,
      values: [seqs],
    });
    return rows.map(toChange);
  }
}

function toChange(row: ChangeRow): SegmentChange {
  return {
    seq: row.seq,
    profileId: row.profile_id,
    segmentId: row.segment_id,
    kind: row.kind,
    at: row.at,
    version: row.version,
    cause: row.cause,
    ...(row.models === null ? {} : { models: row.models }),
  };
}

/*
 * One statement for each shape of filter, because a prepared one keeps its plan: `$2 IS NULL OR segment_id = ANY ($2)`
 * reads the whole feed for a rare segment (0.57 s of a million changes; 0.03 ms this way). What is left to be asked of
 * the rows that an index leads to, as their kind, is one condition with or without values.
 */
function statementFor(
  after: number,
  limit: number,
  { segmentIds = [], profileIds = [], kinds = [], causes = [] }: ChangeFilter,
): PreparedStatement {
  const always = [after, limit, orNull(kinds)];
  if (profileIds.length > 0 && segmentIds.length > 0) {
    const values = [...always, profileIds, orNull(causes), segmentIds];
    return { name: 'feed-after-of-profiles-in-segments', text: OF_PROFILES_IN_SEGMENTS, values };
  }
  if (profileIds.length > 0) {
    return { name: 'feed-after-of-profiles', text: OF_PROFILES, values: [...always, profileIds, orNull(causes)] };
  }
  if (segmentIds.length > 0) {
    return { name: 'feed-after-of-segments', text: OF_SEGMENTS, values: [...always, segmentIds, orNull(causes)] };
  }
  if (causes.length > 0) return { name: 'feed-after-of-causes', text: OF_CAUSES, values: [...always, causes] };
  return { name: 'feed-after', text: OF_ALL, values: always };
}

function orNull<T>(values: readonly T[]): readonly T[] | null {
  return values.length === 0 ? null : values;
}

const COLUMNS = 'seq, profile_id, segment_id, kind, at, version, cause, models';
const CAUSE = `(cause ->> 'kind')`;
const OF_KIND = '($3::text[] IS NULL OR kind = ANY ($3))';
const OF_CAUSE = `AND ($5::text[] IS NULL OR ${CAUSE} = ANY ($5))`;

const OF_ALL = `SELECT ${COLUMNS} FROM changes WHERE seq > $1::int8 AND ${OF_KIND} ORDER BY seq LIMIT $2::int4`;
const OF_SEGMENTS = mergedBy('segment_id', 'int4', OF_CAUSE);
const OF_PROFILES = mergedBy('profile_id', 'uuid', OF_CAUSE);
const OF_PROFILES_IN_SEGMENTS = mergedBy('profile_id', 'uuid', `${OF_CAUSE} AND segment_id = ANY ($6::int4[])`);
const OF_CAUSES = mergedBy(CAUSE, 'text');

/**
 * The first changes of each key, by the index on (key, seq), merged. Equality would let the planner drop the key from
 * the order and walk the feed by its primary key instead.
 */
function mergedBy(column: string, type: 'int4' | 'uuid' | 'text', and = ''): string {
  return `
    SELECT c.* FROM (SELECT DISTINCT id FROM unnest($4::${type}[]) AS t (id)) k CROSS JOIN LATERAL (
      SELECT ${COLUMNS} FROM changes
      WHERE (${column}, seq) > (k.id, $1::int8) AND ${column} <= k.id AND ${OF_KIND} ${and}
      ORDER BY ${column}, seq LIMIT $2::int4
    ) c
    ORDER BY c.seq LIMIT $2::int4`;
}
