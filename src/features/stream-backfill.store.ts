import type { Lease } from '../events/partition-lease.model.js';
import type { Queryable, Transaction } from '../platform/postgres.js';

/** Streams of one partition that stand at the same place of history. */
export interface PendingBackfill {
  readonly part: number;
  readonly streamIds: readonly number[];
  /** Events up to here are in. */
  readonly donePos: number;
  /** Events after this are folded in live. */
  readonly sincePos: number;
}

/** How far the history of each partition has been folded into each stream. */
export class StreamBackfillStore {
  /**
   * Notes for streams that a partition meets for the first time where live folding starts: after what is applied.
   * To be called under the lease, before an event is folded with definitions that have them.
   */
  async register(tx: Transaction, leases: readonly Lease[], streamIds: readonly number[]): Promise<void> {
    await tx.query(
      `INSERT INTO stream_backfills (stream_id, part, since_pos, done_pos)
       SELECT s.id, p.part, p.pos, 0 FROM unnest($1::int2[]) AS s (id), unnest($2::int2[], $3::int8[]) AS p (part, pos)
       ON CONFLICT (stream_id, part) DO NOTHING`,
      [streamIds, leases.map((lease) => lease.part), leases.map((lease) => lease.appliedPos)],
    );
  }

  /** The work of one partition that is furthest behind; null if there is none in these partitions for these streams. */
  async next(db: Queryable, parts: readonly number[], streamIds: readonly number[]): Promise<PendingBackfill | null> {
    const [row] = await db.query<{ part: number; stream_ids: number[]; done_pos: number; since_pos: number }>(
      `SELECT part, array_agg(stream_id ORDER BY stream_id)::int4[] AS stream_ids, done_pos, since_pos
       FROM stream_backfills WHERE done_pos < since_pos AND part = ANY ($1::int2[]) AND stream_id = ANY ($2::int2[])
       GROUP BY part, done_pos, since_pos ORDER BY done_pos, part LIMIT 1`,
      [parts, streamIds],
    );
    if (row === undefined) return null;
    return { part: row.part, streamIds: row.stream_ids, donePos: row.done_pos, sincePos: row.since_pos };
  }

  /**
   * Makes a new version of the definitions once all of these streams have seen all of history, unless there is a newer
   * one already: whoever still leaves out the segments that wait for them is to load anew.
   */
  async announceReady(db: Queryable, streamIds: readonly number[], definitionsVersion: number): Promise<boolean> {
    const announced = await db.execute(
      `UPDATE installation SET definitions_version = definitions_version + 1, edited_version = definitions_version + 1
       WHERE definitions_version = $2 AND NOT EXISTS (
         SELECT FROM unnest($1::int2[]) AS s (id), partitions p
         WHERE NOT EXISTS (
           SELECT FROM stream_backfills b WHERE b.stream_id = s.id AND b.part = p.part AND b.done_pos >= b.since_pos
         )
       )`,
      [streamIds, definitionsVersion],
    );
    return announced > 0;
  }

  /** Positions in `(afterPos, toPos]` of events that could not be applied and so count nowhere. */
  async unapplied(db: Queryable, afterPos: number, toPos: number): Promise<Set<number>> {
    const rows = await db.query<{ pos: number }>('SELECT pos FROM dead_letters WHERE pos > $1 AND pos <= $2', [
      afterPos,
      toPos,
    ]);
    return new Set(rows.map((row) => row.pos));
  }

  async advance(tx: Transaction, { part, streamIds }: PendingBackfill, donePos: number): Promise<void> {
    await tx.query('UPDATE stream_backfills SET done_pos = $3 WHERE part = $1 AND stream_id = ANY ($2::int2[])', [
      part,
      streamIds,
      donePos,
    ]);
  }
}
