import { int8Array } from '../platform/binary-arrays.js';
import type { Uuid } from '../platform/ids.js';
import type { Queryable, Transaction } from '../platform/postgres.js';
import { forgetDamagedRows } from './damaged-row.store.js';
import { readableOf, type DamagedRow } from './damaged-rows.model.js';
import { EVENT_COLUMNS, type EventRow } from './event-row.model.js';
import { forgetEntityEvents, type NamedIn } from './forget-entity-events.js';
import type { LoggedEvent } from './event.model.js';
import type { EventSealer } from './event-seal.model.js';
import { RETENTION_PASS_EVERY_MS, type RetentionPass } from './retention.model.js';

/** What a stretch of the log has of a pass. */
export interface DueStretch {
  /** Positions of events that are too old, rising. */
  readonly positions: readonly number[];
  /** The log is looked through up to here, once they are dealt with. */
  readonly toPos: number;
}

export interface StretchBounds {
  readonly maxPositions: number;
  readonly maxEvents: number;
}

const PASS = `r.source_id AS "sourceId", r.retention_ms AS "retentionMs", s.retention_strict AS "isStrict",
  r.cutoff_ms AS "cutoffMs", r.done_pos AS "donePos", r.until_pos AS "untilPos", r.retraction_id AS "retractionId"`;

/** Passes of retentions, and what they take out of the log and out of the dead letters. */
export class RetentionStore {
  constructor(private readonly sealer: EventSealer) {}

  /**
   * Begins the passes that are due: where there never was one, where the retention was changed, and six hours after the
   * last. @param untilPos all before is applied
   */
  async begin(db: Queryable, untilPos: number, nowMs: number): Promise<void> {
    await db.query(
      `INSERT INTO source_retention (source_id, retention_ms, cutoff_ms, done_pos, until_pos, started_at)
       SELECT s.id, s.retention_ms, $2::int8 - s.retention_ms, 0, $1::int8, $2::int8
       FROM sources s LEFT JOIN source_retention r ON r.source_id = s.id
       WHERE s.retention_ms IS NOT NULL AND r.retraction_id IS NULL
         AND (r.source_id IS NULL OR r.retention_ms <> s.retention_ms OR r.finished_at <= $2::int8 - $3::int8)
       ON CONFLICT (source_id) DO UPDATE
         SET retention_ms = excluded.retention_ms, cutoff_ms = excluded.cutoff_ms, done_pos = 0,
             until_pos = excluded.until_pos, started_at = excluded.started_at, finished_at = NULL`,
      [untilPos, nowMs, RETENTION_PASS_EVERY_MS],
    );
  }

  /** Those under way; of sources that are kept for ever by now, only what is being taken back. */
  async passes(db: Queryable): Promise<RetentionPass[]> {
    return db.query<RetentionPass>(
      `SELECT ${PASS} FROM source_retention r JOIN sources s ON s.id = r.source_id
       WHERE r.finished_at IS NULL AND (s.retention_ms IS NOT NULL OR r.retraction_id IS NOT NULL)
       ORDER BY r.source_id`,
    );
  }

  /** The pass as it stands now, locked; null where another worker is at it, or it is over. */
  async lock(tx: Transaction, sourceId: number): Promise<RetentionPass | null> {
    const [pass] = await tx.query<RetentionPass>(
      `SELECT ${PASS} FROM source_retention r JOIN sources s ON s.id = r.source_id
       WHERE r.source_id = $1 AND r.finished_at IS NULL FOR UPDATE OF r SKIP LOCKED`,
      [sourceId],
    );
    return pass ?? null;
  }

  async due(tx: Transaction, pass: RetentionPass, { maxPositions, maxEvents }: StretchBounds): Promise<DueStretch> {
    const toPos = Math.min(pass.donePos + maxPositions, pass.untilPos);
    const rows = await tx.query<{ pos: number }>(
      `SELECT pos FROM event_log WHERE pos > $1 AND pos <= $2 AND source_id = $3 AND occurred_at < $4
       ORDER BY pos LIMIT $5`,
      [pass.donePos, toPos, pass.sourceId, pass.cutoffMs, maxEvents],
    );
    const positions = rows.map(({ pos }) => pos);
    return { positions, toPos: positions.length < maxEvents ? toPos : (positions.at(-1) ?? toPos) };
  }

  /**
   * The events at these positions, for what is to be kept of them, locked: nobody else removes them meanwhile. Left out is
   * what could not be applied, and what cannot be read, of which `onDamaged` is told.
   */
  async lockEvents(
    tx: Transaction,
    positions: readonly number[],
    onDamaged: (row: DamagedRow) => void,
  ): Promise<LoggedEvent[]> {
    const rows = await tx.query<EventRow>(
      `SELECT ${EVENT_COLUMNS} FROM event_log e WHERE pos = ANY ($1::int8[])
         AND NOT EXISTS (SELECT FROM dead_letters d WHERE d.pos = e.pos) ORDER BY pos FOR UPDATE OF e`,
      [int8Array(positions, (pos) => pos)],
    );
    return readableOf(await this.sealer.open(rows), onDamaged);
  }

  /**
   * Takes events out of the log, and the letters of those that could not be applied; what came of them stays.
   * @param known those of the events that were read: items remember whom these name, and of others on whom they hung
   */
  async remove(
    tx: Transaction,
    sourceId: number,
    positions: readonly number[],
    known: readonly Pick<LoggedEvent, 'pos' | 'identifiers'>[],
  ): Promise<void> {
    const at = int8Array(positions, (pos) => pos);
    const letters = await tx.execute('DELETE FROM dead_letters WHERE pos = ANY ($1::int8[])', [at]);
    const events = await tx.query<NamedIn>(
      'DELETE FROM event_log WHERE pos = ANY ($1::int8[]) RETURNING pos, anchor_id AS "identifierId"',
      [at],
    );
    await forgetDamagedRows(tx, positions);
    const named = known.flatMap(({ pos, identifiers }) => identifiers.map(({ id }) => ({ pos, identifierId: id })));
    await forgetEntityEvents(tx, positions, { kind: 'kept', named: [...events, ...named] });
    await this.count(tx, sourceId, { events: events.length, letters });
  }

  /** Letters that came in too long ago and that nobody is replaying; how many, at most so many. */
  async removeLetters(tx: Transaction, pass: RetentionPass, nowMs: number, limit: number): Promise<number> {
    const letters = await tx.execute(
      `DELETE FROM dead_letters WHERE id = ANY (ARRAY(
         SELECT id FROM dead_letters WHERE source_id = $1 AND received_at < $2
           AND (claimed_until IS NULL OR claimed_until < $3) LIMIT $4))`,
      [pass.sourceId, pass.cutoffMs, nowMs, limit],
    );
    await this.count(tx, pass.sourceId, { events: 0, letters });
    return letters;
  }

  async count(
    tx: Queryable,
    sourceId: number,
    { events, letters }: { readonly events: number; readonly letters: number },
  ): Promise<void> {
    await tx.query(
      `UPDATE source_retention SET removed_events = removed_events + $2, removed_letters = removed_letters + $3
       WHERE source_id = $1`,
      [sourceId, events, letters],
    );
  }

  /** @param retractionId what has to be taken back before it goes on from there; null: nothing */
  async advance(tx: Queryable, sourceId: number, donePos: number, retractionId: Uuid | null): Promise<void> {
    await tx.query('UPDATE source_retention SET done_pos = $2, retraction_id = $3 WHERE source_id = $1', [
      sourceId,
      donePos,
      retractionId,
    ]);
  }

  async finish(tx: Queryable, sourceId: number, nowMs: number): Promise<void> {
    await tx.query('UPDATE source_retention SET finished_at = $2, retraction_id = NULL WHERE source_id = $1', [
      sourceId,
      nowMs,
    ]);
  }
}
