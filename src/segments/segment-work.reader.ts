import type { Uuid } from '../platform/ids.js';
import type { Queryable } from '../platform/postgres.js';
import { profilesLeftSql } from './count-profiles-left.js';
import type { Recompute, RecomputeStatus, SegmentWork } from './recompute.model.js';

interface Row {
  readonly id: Uuid;
  readonly status: RecomputeStatus;
  readonly segments: readonly string[];
  readonly requestedAt: number;
  readonly startedAt: number | null;
  readonly finishedAt: number | null;
  readonly total: number | null;
  readonly swept: number;
  readonly changes: number;
  readonly pausedMs: number;
}

interface State {
  readonly pausedSince: number | null;
  readonly eventsLeft: number;
  readonly profilesLeft: number;
  readonly recomputing: number;
}

/** `swept` of one that is under way is what its parts have. */
const FIELDS = `r.id, r.status, r.requested_at AS "requestedAt", r.started_at AS "startedAt",
  r.finished_at AS "finishedAt", r.total, r.changes, r.paused_ms AS "pausedMs",
  CASE WHEN r.status = 'running' THEN
    (SELECT coalesce(sum(p.swept), 0) FROM segment_recompute_parts p WHERE p.recompute_id = r.id)::int8
  ELSE r.swept END AS swept,
  ARRAY(SELECT s.key FROM segments s WHERE s.id = ANY (r.segment_ids) ORDER BY s.key) AS segments`;

/** Reads what is done about segments behind live traffic. */
export class SegmentWorkReader {
  constructor(private readonly db: Queryable) {}

  async read(nowMs: number): Promise<SegmentWork> {
    const [[state], rows] = await Promise.all([
      this.db.query<State>(STATE),
      this.db.query<Row>(
        `(SELECT ${FIELDS} FROM segment_recomputes r WHERE r.status IN ('waiting', 'running') ORDER BY r.status)
         UNION ALL
         (SELECT ${FIELDS} FROM segment_recomputes r WHERE r.status IN ('done', 'cancelled')
          ORDER BY r.requested_at DESC, r.id DESC LIMIT 1)`,
      ),
    ]);
    const { recomputing = 0, pausedSince = null, eventsLeft = 0, profilesLeft = 0 } = state ?? {};
    const of = (row: Row): Recompute => toRecompute(row, { recomputing, pausedSince, nowMs });
    const open = rows.filter(({ status }) => status === 'running' || status === 'waiting').map(of);
    const over = rows.filter(({ status }) => status === 'done' || status === 'cancelled').map(of);
    const [recompute = null, nextRecompute = null] = open.length > 0 ? open : over;
    return { pausedSince, eventsLeft, profilesLeft, recompute, nextRecompute };
  }

  /** Null: there is none of this id, or it is too old to be kept. */
  async recompute(id: Uuid, nowMs: number): Promise<Recompute | null> {
    const [row] = await this.db.query<Row & Pick<State, 'recomputing' | 'pausedSince'>>(
      `SELECT ${FIELDS}, (SELECT count(*) FROM timers WHERE sweep = 0)::int8 AS recomputing,
              (SELECT since FROM segment_work_pause) AS "pausedSince"
       FROM segment_recomputes r WHERE r.id = $1`,
      [id],
    );
    return row === undefined ? null : toRecompute(row, { ...row, nowMs });
  }
}

function toRecompute(
  { pausedMs, swept, ...row }: Row,
  { recomputing, pausedSince, nowMs }: Pick<State, 'recomputing' | 'pausedSince'> & { readonly nowMs: number },
): Recompute {
  const { id, status, segments, requestedAt, startedAt, finishedAt, total, changes } = row;
  const isRunning = status === 'running';
  const done = isRunning ? Math.max(0, swept - recomputing) : swept;
  const left = isRunning ? Math.max(0, (total ?? 0) - done) : 0;
  const restingMs = isRunning && pausedSince !== null ? nowMs - Math.max(pausedSince, startedAt ?? nowMs) : 0;
  const tookMs = startedAt === null ? 0 : (finishedAt ?? nowMs) - startedAt - pausedMs - Math.max(0, restingMs);
  const perSecond = tookMs > 0 ? (done * 1_000) / tookMs : null;
  return { id, status, segments, requestedAt, startedAt, finishedAt, total, done, left, perSecond, changes };
}

const STATE = `
  SELECT (SELECT since FROM segment_work_pause) AS "pausedSince",
         (SELECT coalesce(sum(greatest(0, b.since_pos - b.done_pos)), 0) FROM stream_backfills b)::int8 AS "eventsLeft",
         ${profilesLeftSql()} AS "profilesLeft",
         (SELECT count(*) FROM timers WHERE sweep = 0)::int8 AS recomputing`;
