import { int2Array, int8Array, textArray, uuidArray } from '../platform/binary-arrays.js';
import type { Uuid } from '../platform/ids.js';
import type { Queryable, Transaction } from '../platform/postgres.js';
import type { Timer } from './profile-work.model.js';
import { RECOMPUTE_SWEEP } from './recompute.model.js';

const NONE: readonly number[] = [];

export interface ProfileTimer {
  readonly profileId: Uuid;
  readonly dueAt: number;
  /** Partition of the profile's founding identifier: whose worker fires it. */
  readonly part: number;
  /** Ids of segments that could not be judged. */
  readonly stale: readonly number[];
}

export interface DueTimer {
  readonly profileId: Uuid;
  readonly dueAt: number;
  /** Whether it evaluates the profile anew, because definitions changed or somebody asked for it. */
  readonly isBulk: boolean;
}

/** Profiles of a partition with ids above `afterId`, at most `limit`. */
export interface SweepRange {
  readonly part: number;
  readonly afterId: Uuid;
  readonly limit: number;
}

interface TimerRow {
  profile_id: Uuid;
  due_at: number;
  sweep: number | null;
  stale: number[] | null;
}

/** At most one timer a profile: the earliest instant at which time alone may flip one of its segments. */
export class TimerStore {
  async loadByProfiles(db: Queryable, profileIds: readonly Uuid[]): Promise<Map<Uuid, Timer>> {
    if (profileIds.length === 0) return new Map();
    const { rows } = await db.run<TimerRow>({
      name: 'timers-load',
      text: 'SELECT profile_id, due_at, sweep, stale FROM timers WHERE profile_id = ANY ($1::uuid[])',
      values: [uuidArray(profileIds, (id) => id)],
    });
    return new Map(
      rows.map(({ profile_id, due_at, sweep, stale }) => [profile_id, { dueAt: due_at, sweep, stale: stale ?? NONE }]),
    );
  }

  /**
   * The earliest timers due at or before `untilT` in these partitions, by due time; those that evaluate people anew, for
   * whom nothing changes as a rule, behind all that are live.
   * @param bulkLimit of those that evaluate people anew, at most
   */
  async due(
    db: Queryable,
    parts: readonly number[],
    untilT: number,
    limit: number,
    bulkLimit = limit,
  ): Promise<DueTimer[]> {
    const { rows } = await db.run<TimerRow & { is_bulk: boolean }>({
      name: 'timers-due',
      text: `SELECT * FROM (
               (SELECT false AS is_bulk, due_at, profile_id FROM timers
                WHERE sweep IS NULL AND due_at <= $1 AND part = ANY ($2::int2[]) ORDER BY due_at, profile_id LIMIT $3)
               UNION ALL
               (SELECT true, due_at, profile_id FROM timers
                WHERE sweep IS NOT NULL AND due_at <= $1 AND part = ANY ($2::int2[])
                ORDER BY due_at, profile_id LIMIT $4)
             ) t ORDER BY is_bulk, due_at, profile_id LIMIT $3`,
      values: [untilT, int2Array(parts, (part) => part), limit, Math.min(limit, bulkLimit)],
    });
    return rows.map((row) => ({ profileId: row.profile_id, dueAt: row.due_at, isBulk: row.is_bulk }));
  }

  /** Puts one timer off, because it cannot be fired. What is said of all others does not wait for it. */
  async postpone(db: Queryable, profileId: Uuid, dueAt: number): Promise<void> {
    await db.query('UPDATE timers SET due_at = $2, is_swept = false, sweep = nullif(sweep, $3) WHERE profile_id = $1', [
      profileId,
      dueAt,
      RECOMPUTE_SWEEP,
    ]);
  }

  /** The earliest due time in these partitions; null if no timer is set. */
  async nextDueAt(db: Queryable, parts: readonly number[]): Promise<number | null> {
    const { rows } = await db.run<{ due_at: number | null }>({
      name: 'timers-next',
      text: `SELECT least(
               (SELECT due_at FROM timers WHERE sweep IS NULL AND part = ANY ($1::int2[]) ORDER BY due_at LIMIT 1),
               (SELECT due_at FROM timers WHERE sweep IS NOT NULL AND part = ANY ($1::int2[]) ORDER BY due_at LIMIT 1)
             ) AS due_at`,
      values: [int2Array(parts, (part) => part)],
    });
    return rows[0]?.due_at ?? null;
  }

  /** @param marked whose timers stand, with what could not be judged of them */
  async save(
    tx: Transaction,
    set: readonly ProfileTimer[],
    cleared: readonly Uuid[],
    marked: readonly Pick<ProfileTimer, 'profileId' | 'stale'>[],
  ): Promise<void> {
    await Promise.all([deleteTimers(tx, cleared), upsertTimers(tx, set), markTimers(tx, marked)]);
  }

  /**
   * Locks the next living profiles of a partition, in the order of all others: whoever has one in hand finishes before,
   * and whoever comes later finds what follows. Their ids, rising.
   */
  async lockRange(tx: Transaction, { part, afterId, limit }: SweepRange): Promise<Uuid[]> {
    const { rows } = await tx.run<{ id: Uuid }>({
      name: 'timers-lock-range',
      text: `SELECT id FROM profiles WHERE part = $1 AND id > $2 AND merged_into IS NULL
             ORDER BY id LIMIT $3 FOR UPDATE`,
      values: [part, afterId, limit],
    });
    return rows.map(({ id }) => id);
  }

  /**
   * Has profiles evaluated at `dueAt`, because definitions changed; to be called with them locked. A timer that is due
   * earlier stands, and stays a timer: it evaluates everything, too. Until one of these has fired, the profile is swept
   * and not evaluated (`is_swept`).
   * @param part theirs
   * @param sweep see {@link Timer}; an edit that waits at the same instant stays one
   */
  async sweep(
    tx: Transaction,
    profileIds: readonly Uuid[],
    { part, dueAt, sweep }: { readonly part: number; readonly dueAt: number; readonly sweep: number },
  ): Promise<void> {
    if (profileIds.length === 0) return;
    await tx.run({
      name: 'timers-sweep',
      text: `INSERT INTO timers AS t (profile_id, due_at, part, sweep, is_swept)
             SELECT id, $2, $3, $4, true FROM unnest($1::uuid[]) AS p (id)
             ON CONFLICT (profile_id) DO UPDATE
               SET due_at = least(t.due_at, excluded.due_at), is_swept = true,
                   sweep = CASE WHEN t.due_at > excluded.due_at OR t.sweep = $5 THEN excluded.sweep
                                WHEN t.due_at = excluded.due_at THEN greatest(t.sweep, excluded.sweep)
                                ELSE t.sweep END`,
      values: [uuidArray(profileIds, (id) => id), dueAt, part, sweep, RECOMPUTE_SWEEP],
    });
  }

  /**
   * Has profiles evaluated at `dueAt` because somebody asked for it; to be called with them locked. Whoever has a timer
   * that is due earlier, or is to be evaluated because definitions changed, is evaluated by that.
   * @param part theirs
   */
  async recompute(
    tx: Transaction,
    profileIds: readonly Uuid[],
    { part, dueAt }: { readonly part: number; readonly dueAt: number },
  ): Promise<void> {
    if (profileIds.length === 0) return;
    await tx.run({
      name: 'timers-recompute',
      text: `INSERT INTO timers AS t (profile_id, due_at, part, sweep)
             SELECT id, $2, $3, $4 FROM unnest($1::uuid[]) AS p (id)
             ON CONFLICT (profile_id) DO UPDATE SET due_at = excluded.due_at, sweep = excluded.sweep
               WHERE t.due_at > excluded.due_at`,
      values: [uuidArray(profileIds, (id) => id), dueAt, part, RECOMPUTE_SWEEP],
    });
  }

  /** How many profiles of these partitions wait to be evaluated anew, as far as `limit`. */
  async waiting(db: Queryable, parts: readonly number[], limit: number): Promise<number> {
    const [row] = await db.query<{ count: number }>(
      `SELECT count(*)::int4 AS count
       FROM (SELECT FROM timers WHERE sweep IS NOT NULL AND part = ANY ($1::int2[]) LIMIT $2) t`,
      [parts, limit],
    );
    return row?.count ?? 0;
  }
}

async function deleteTimers(tx: Transaction, cleared: readonly Uuid[]): Promise<void> {
  if (cleared.length === 0) return;
  await tx.run({
    name: 'timers-delete',
    text: 'DELETE FROM timers WHERE profile_id = ANY ($1::uuid[])',
    values: [uuidArray(cleared, (id) => id)],
  });
}

async function markTimers(
  tx: Transaction,
  marked: readonly Pick<ProfileTimer, 'profileId' | 'stale'>[],
): Promise<void> {
  if (marked.length === 0) return;
  await tx.run({
    name: 'timers-mark',
    text: `UPDATE timers t SET stale = nullif(m.stale, '{}')::int4[] FROM unnest($1::uuid[], $2::text[]) AS m (profile_id, stale)
           WHERE t.profile_id = m.profile_id`,
    values: [uuidArray(marked, (t) => t.profileId), textArray(marked, staleText)],
  });
}

/** As a literal of an array, of the few timers that have any. */
function staleText({ stale }: Pick<ProfileTimer, 'stale'>): string {
  return `{${stale.join()}}`;
}

async function upsertTimers(tx: Transaction, set: readonly ProfileTimer[]): Promise<void> {
  if (set.length === 0) return;
  await tx.run({
    name: 'timers-save',
    text: `INSERT INTO timers (profile_id, due_at, part, stale)
           SELECT p, d, n, nullif(s, '{}')::int4[] FROM unnest($1::uuid[], $2::int8[], $3::int2[], $4::text[]) AS t (p, d, n, s)
           ON CONFLICT (profile_id) DO UPDATE
             SET due_at = excluded.due_at, sweep = NULL, is_swept = false, stale = excluded.stale`,
    values: [
      uuidArray(set, (t) => t.profileId),
      int8Array(set, (t) => t.dueAt),
      int2Array(set, (t) => t.part),
      textArray(set, staleText),
    ],
  });
}
