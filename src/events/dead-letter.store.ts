import { byteaArray, int8Array } from '../platform/binary-arrays.js';
import { WeftError } from '../platform/errors.js';
import { hashId, newId, type Uuid } from '../platform/ids.js';
import type { Queryable, Transaction } from '../platform/postgres.js';
import { plainInput } from './dead-letter-seal.js';
import { MAX_DEAD_LETTER_BYTES, type DeadLetter, type MendedRow } from './dead-letter.model.js';
import type { JsonValue, LoggedEvent } from './event.model.js';
import { EVENT_COLUMNS, eventOfRow, type EventRow } from './event-row.model.js';
import { NO_SEALER, type EventSealer } from './event-seal.model.js';
import { PAST_RETENTION } from './retention.model.js';
import { NO_SUPPRESSIONS, SUPPRESSED, type EventSuppressions } from './suppression.model.js';

const MAX_REASON_LENGTH = 1_000;
const MAX_ROWS_PER_INSERT = 1_000;

/** An event of the log that could not be applied. */
interface UnappliedEvent {
  /** Null where its bytes cannot be read. */
  readonly event: LoggedEvent | null;
  readonly historical: boolean;
  readonly loadId: Uuid | null;
}

interface Settling {
  readonly sourceId: number;
  /** The load that brings the rows in. */
  readonly loadId: Uuid;
  readonly nowMs: number;
}

/** What settling an open letter asks of it. */
export interface OpenLetter {
  readonly id: number;
  readonly sourceId: number | null;
  /** Of its own event in the log, which could not be applied; null where there is none. */
  readonly pos: number | null;
  readonly replayMessageId: string | null;
  /** Until when a replay has it, ms; null or past: none has. */
  readonly claimedUntil: number | null;
}

/**
 * Writes dead letters. A letter for a position or a load's row that has one already is left out; one that names somebody
 * who was erased, or is of before what its source keeps, is kept without what it says. Inputs are sealed where the log is.
 */
export class DeadLetterStore {
  constructor(
    private readonly suppressions: EventSuppressions = NO_SUPPRESSIONS,
    private readonly sealer: EventSealer = NO_SEALER,
  ) {}

  /** @param tx the transaction to write in, or the pool. */
  async insert(tx: Queryable, all: readonly DeadLetter[]): Promise<void> {
    const letters = all.map((letter) => this.#kept(letter));
    for (let from = 0; from < letters.length; from += MAX_ROWS_PER_INSERT) {
      const chunk = letters.slice(from, from + MAX_ROWS_PER_INSERT);
      const inputs = chunk.map(({ payload }) => plainInput(payload, MAX_DEAD_LETTER_BYTES));
      const named = this.sealer.isSealing ? chunk.map((l) => l.namedIds ?? [newId(l.receivedAt)]) : null;
      const payloads =
        named === null
          ? inputs
          : await this.sealer.seal(inputs.map((payload, i) => ({ namedIds: named[i] ?? [], payload })));
      await tx.run({
        name: 'dead_letters_insert',
        text: INSERT,
        values: [
          chunk.map((l) => l.sourceId),
          chunk.map((l) => l.stage),
          chunk.map((l) => l.code),
          chunk.map((l) => storableText(l.reason, MAX_REASON_LENGTH)),
          chunk.map((l) => (l.messageId == null ? null : storableText(l.messageId, MAX_REASON_LENGTH))),
          chunk.map((l) => l.pos ?? null),
          chunk.map((l) => l.loadId ?? null),
          chunk.map((l) => l.rowNumber ?? null),
          int8Array(chunk, (l) => l.receivedAt),
          byteaArray(payloads, (payload) => payload),
          chunk.map((l) => (l.form === undefined ? null : JSON.stringify(l.form))),
          chunk.map((_, i) => named?.[i]?.[0] ?? null),
          chunk.map((l) => l.dedupeId ?? null),
        ],
      });
    }
  }

  #kept(letter: DeadLetter): DeadLetter {
    if (letter.code === PAST_RETENTION.code) return { ...letter, messageId: null, dedupeId: null, payload: 'null' };
    const { suppressions } = this;
    if (suppressions.isEmpty) return letter;
    if (letter.code !== SUPPRESSED.code && !suppressions.isNamedIn(letter.payload)) return letter;
    return { ...letter, reason: SUPPRESSED.reason, messageId: null, dedupeId: null, payload: 'null' };
  }

  /** False unless it is open. */
  async setFix(db: Queryable, id: number, fix: JsonValue): Promise<boolean> {
    const changed = await db.execute(`UPDATE dead_letters SET fix = $2::jsonb WHERE id = $1 AND state = 'open'`, [
      id,
      fix === null ? null : JSON.stringify(fix),
    ]);
    return changed > 0;
  }

  /**
   * Why it is refused now.
   * @param claimedUntil of the claim that ends with it, which may have been renewed by somebody else; null: there is none
   */
  async setReason(
    db: Queryable,
    id: number,
    { code, reason }: { readonly code: string; readonly reason: string },
    claimedUntil: number | null,
  ): Promise<void> {
    await db.query(
      `UPDATE dead_letters SET code = $2, reason = $3, claimed_until = nullif(claimed_until, $4::int8)
       WHERE id = $1 AND state = 'open'`,
      [id, code, storableText(reason, MAX_REASON_LENGTH), claimedUntil],
    );
  }

  /**
   * Writes down under which message id it is replayed from now on, and that nobody else should settle it before
   * `untilMs`; false if it is not open, or has another id. An event of its own that is in the log at `pos` gives its
   * message id up for that: it has no effect, for it could not be applied.
   */
  async claim(
    tx: Transaction,
    id: number,
    { messageId, pos, untilMs }: { readonly messageId: string; readonly pos: number | null; readonly untilMs: number },
  ): Promise<boolean> {
    const changed = await tx.execute(
      `UPDATE dead_letters SET replay_message_id = $2, claimed_until = greatest(claimed_until, $3::int8)
       WHERE id = $1 AND state = 'open' AND coalesce(replay_message_id, $2) = $2`,
      [id, messageId, untilMs],
    );
    if (changed > 0 && pos !== null) {
      const freed = hashId('given up', String(pos));
      await tx.query('UPDATE event_log SET dedupe_id = $2 WHERE pos = $1', [pos, freed]);
    }
    return changed > 0;
  }

  /**
   * Its event is in the log: under `dedupeId`, while the one of its own at `pos`, which could not be applied, goes.
   * A letter that was discarded meanwhile is replayed all the same, unless its event was taken back since.
   */
  async markReplayed(
    tx: Transaction,
    id: number,
    { dedupeId, pos, nowMs }: { readonly dedupeId: Uuid; readonly pos: number | null; readonly nowMs: number },
  ): Promise<void> {
    await tx.query(
      `UPDATE dead_letters SET state = 'replayed', settled_at = $2, claimed_until = NULL
       WHERE id = $1
         AND (state = 'open' OR state = 'discarded' AND EXISTS (SELECT FROM event_log WHERE dedupe_id = $3))`,
      [id, nowMs, dedupeId],
    );
    if (pos !== null) await tx.query('DELETE FROM event_log WHERE pos = $1', [pos]);
  }

  /** Of these, those that are open; nobody claims or settles one before the transaction ends. */
  async lockOpen(tx: Transaction, ids: readonly number[]): Promise<OpenLetter[]> {
    return tx.query<OpenLetter>(
      `SELECT id, source_id AS "sourceId", CASE WHEN stage = 'apply' THEN pos END AS pos,
              replay_message_id AS "replayMessageId", claimed_until AS "claimedUntil"
       FROM dead_letters WHERE id = ANY ($1::int8[]) AND state = 'open' ORDER BY id FOR UPDATE`,
      [ids],
    );
  }

  async discard(tx: Transaction, ids: readonly number[], nowMs: number): Promise<void> {
    await tx.execute(
      `UPDATE dead_letters SET state = 'discarded', settled_at = $2, claimed_until = NULL
       WHERE id = ANY ($1::int8[]) AND state = 'open'`,
      [ids, nowMs],
    );
  }

  /** Whether there are open letters of rows of the source, but for those of one load. */
  async hasOpenRows(db: Queryable, sourceId: number, exceptLoadId: Uuid): Promise<boolean> {
    const rows = await db.query(
      `SELECT FROM dead_letters WHERE state = 'open' AND stage = 'load' AND source_id = $1 AND load_id <> $2 LIMIT 1`,
      [sourceId, exceptLoadId],
    );
    return rows.length > 0;
  }

  /**
   * Closes letters of earlier loads whose rows a load has brought in now: those of the same event, and those of the row
   * that a mended one says that it was. What is being replayed is left to its replay. Again, it changes nothing.
   */
  async settleRows(db: Queryable, rows: readonly MendedRow[], { sourceId, loadId, nowMs }: Settling): Promise<void> {
    await db.run({
      name: 'dead_letters_settle',
      text: SETTLE,
      values: [
        sourceId,
        loadId,
        nowMs,
        rows.map(({ dedupeId }) => dedupeId),
        rows.map(({ former }) => former?.file ?? null),
        rows.map(({ former }) => former?.row ?? null),
      ],
    });
  }

  /** Letters that a load has closed, in all its runs. */
  async countSettled(db: Queryable, loadId: Uuid): Promise<number> {
    const [row] = await db.query<{ count: number }>(
      'SELECT count(*)::int8 AS count FROM dead_letters WHERE settled_load_id = $1',
      [loadId],
    );
    return row?.count ?? 0;
  }

  /** Of these ids, those of which the log has an event. */
  async loggedOf(db: Queryable, dedupeIds: readonly Uuid[]): Promise<ReadonlySet<Uuid>> {
    if (dedupeIds.length === 0) return new Set();
    const rows = await db.query<{ id: Uuid }>(
      'SELECT dedupe_id AS id FROM event_log WHERE dedupe_id = ANY ($1::uuid[])',
      [dedupeIds],
    );
    return new Set(rows.map(({ id }) => id));
  }

  /** Whether the log has an event of this id, at another position than this. */
  async isLogged(db: Queryable, dedupeId: Uuid, exceptPos: number | null): Promise<boolean> {
    const rows = await db.query('SELECT FROM event_log WHERE dedupe_id = $1 AND pos IS DISTINCT FROM $2', [
      dedupeId,
      exceptPos,
    ]);
    return rows.length > 0;
  }

  /** The event at a position; null where there is none any more. */
  async loggedAt(db: Queryable, pos: number): Promise<UnappliedEvent | null> {
    const [row] = await db.query<EventRow & { load_id: Uuid | null }>(
      `SELECT ${EVENT_COLUMNS}, load_id FROM event_log WHERE pos = $1`,
      [pos],
    );
    if (row === undefined) return null;
    let event: LoggedEvent | null = null;
    try {
      const [opened] = await this.sealer.open([row]);
      if (opened !== undefined) event = eventOfRow(opened);
    } catch (error) {
      if (!(error instanceof WeftError)) throw error;
    }
    return { event, historical: row.historical, loadId: row.load_id };
  }
}

const INSERT = `
  INSERT INTO dead_letters (source_id, stage, code, reason, message_id, pos, load_id, row_number, received_at, payload,
                            form, seal_id, dedupe_id)
  SELECT s, st, c, r, m, p, l, n, at, b, f::jsonb, k, e FROM unnest($1::int4[], $2::text[], $3::text[], $4::text[], $5::text[], $6::int8[], $7::uuid[], $8::int8[],
                       $9::int8[], $10::bytea[], $11::text[], $12::uuid[],
                       $13::uuid[]) AS t (s, st, c, r, m, p, l, n, at, b, f, k, e)
  ON CONFLICT DO NOTHING`;

function storableText(text: string, maxLength: number): string {
  return text.slice(0, maxLength).replaceAll('\0', '\ufffd');
}

const SETTLE = `
  WITH rows AS (
    SELECT * FROM unnest($4::uuid[], $5::text[], $6::int8[]) AS r (dedupe_id, file, row_number)
  ), letters AS (
    SELECT d.id, r.dedupe_id FROM rows r
    JOIN dead_letters d ON d.state = 'open' AND d.stage = 'load' AND d.source_id = $1::int4 AND d.dedupe_id = r.dedupe_id
    UNION
    SELECT d.id, r.dedupe_id FROM rows r
    JOIN loads l ON l.source_id = $1::int4 AND left(l.file_hash, 32) = r.file
    JOIN dead_letters d ON d.load_id = l.id AND d.row_number = r.row_number AND d.state = 'open'
    WHERE r.file IS NOT NULL
  )
  UPDATE dead_letters d
     SET state = 'replayed', settled_at = $3::int8, settled_load_id = $2::uuid, dedupe_id = letters.dedupe_id,
         claimed_until = NULL
    FROM letters
   WHERE d.id = letters.id AND d.state = 'open' AND d.load_id <> $2::uuid
     AND (d.claimed_until IS NULL OR d.claimed_until <= $3::int8)`;
