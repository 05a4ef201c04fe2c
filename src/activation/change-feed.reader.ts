import type { Uuid } from '../platform/ids.js';
import type { Database } from '../platform/postgres.js';
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
  readonly #db: Database;

  constructor(db: Database) {
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
    const { rows } = await this.#db.run<ChangeRow>({
      name: 'feed-after',
      text: `SELECT seq, profile_id, segment_id, kind, at, version, cause FROM changes
             WHERE seq > $1
               AND ($2::int[] IS NULL OR segment_id = ANY ($2))
               AND ($3::uuid[] IS NULL OR profile_id = ANY ($3))
             ORDER BY seq LIMIT $4`,
      values: [after, nullIfEmpty(filter.segmentIds), nullIfEmpty(filter.profileIds), limit],
    });
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

function nullIfEmpty<T>(list: readonly T[] | undefined): readonly T[] | null {
  return list === undefined || list.length === 0 ? null : list;
}
