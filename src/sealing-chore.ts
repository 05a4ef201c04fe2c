import { namedIn } from './events/event-codec.js';
import { FORMAT_SEALED, isSealed, type AnchoredPayload, type EventSealer } from './events/event-seal.model.js';
import { byteaArray, int8Array, uuidArray } from './platform/binary-arrays.js';
import type { Clock } from './platform/clock.js';
import { newId, type Uuid } from './platform/ids.js';
import type { Database, Transaction } from './platform/postgres.js';

export interface SealingChoreParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly sealer: EventSealer;
  /** Rows looked at in one step. Default 500. */
  readonly maxStepRows?: number;
}

const MAX_STEP_ROWS = 500;

interface Row extends AnchoredPayload {
  readonly pos: number;
}

interface LetterRow {
  readonly id: number;
  readonly payload: Buffer;
  readonly sealId: Uuid | null;
  /** Of its event in the log; null: it has none. */
  readonly anchorId: Uuid | null;
  readonly event: Buffer | null;
}

/** How far it is, and where what was there when the process began ends. */
interface Progress {
  readonly events: number;
  readonly untilPos: number;
  readonly letters: number;
  readonly untilLetter: number;
}

/**
 * Seals what was logged, and the dead letters that were written, before payloads were sealed with the keys of all whom they
 * name, some rows at a time, up to where they ended when the process began. What processes without keys write after that is
 * sealed after the next start.
 */
export class SealingChore {
  readonly #parts: SealingChoreParts;
  /** Null: not looked yet. */
  #until: Pick<Progress, 'untilPos' | 'untilLetter'> | null = null;
  #isDone = false;

  constructor(parts: SealingChoreParts) {
    this.#parts = parts;
    this.#isDone = !parts.sealer.isSealing;
  }

  /** One step; false if there is nothing left to do. */
  async runOne(): Promise<boolean> {
    if (this.#isDone) return false;
    const { db } = this.#parts;
    const [at] = await db.query<Progress>(
      `SELECT sealed_pos AS events, (SELECT pos FROM log_head) AS "untilPos", sealed_letter_id AS letters,
              (SELECT coalesce(max(id), 0) FROM dead_letters) AS "untilLetter" FROM installation`,
    );
    if (at === undefined) return false;
    const { untilPos, untilLetter } = (this.#until ??= at);
    if (at.events < untilPos) await db.transaction((tx) => this.#sealEvents(tx, at.events, untilPos));
    else if (at.letters < untilLetter) await db.transaction((tx) => this.#sealLetters(tx, at.letters, untilLetter));
    else this.#isDone = true;
    return !this.#isDone;
  }

  async #sealEvents(tx: Transaction, afterPos: number, untilPos: number): Promise<void> {
    const { sealer, maxStepRows = MAX_STEP_ROWS } = this.#parts;
    const rows = await tx.query<Row>(
      'SELECT pos, anchor_id, payload FROM event_log WHERE pos > $1 AND pos <= $2 ORDER BY pos LIMIT $3 FOR UPDATE',
      [afterPos, untilPos, maxStepRows],
    );
    const former = rows.filter(({ payload }) => payload[0] !== FORMAT_SEALED);
    // What its key does not open is damaged, and stays as it is.
    const plain = (await sealer.open(former)).filter(({ payload }) => !isSealed(payload));
    if (plain.length > 0) {
      const sealed = await sealer.seal(plain.map((row) => ({ namedIds: namedBy(row), payload: row.payload })));
      await tx.query(
        `UPDATE event_log l SET payload = s.payload FROM unnest($1::int8[], $2::bytea[]) AS s (pos, payload)
         WHERE l.pos = s.pos`,
        [int8Array(plain, ({ pos }) => pos), byteaArray(sealed, (payload) => payload)],
      );
    }
    const toPos = rows.length < maxStepRows ? untilPos : (rows.at(-1)?.pos ?? untilPos);
    await tx.query('UPDATE installation SET sealed_pos = greatest(sealed_pos, $1::int8)', [toPos]);
  }

  async #sealLetters(tx: Transaction, afterId: number, untilId: number): Promise<void> {
    const { clock, sealer, maxStepRows = MAX_STEP_ROWS } = this.#parts;
    const rows = await tx.query<LetterRow>(
      `SELECT d.id, d.payload, d.seal_id AS "sealId", l.anchor_id AS "anchorId", l.payload AS event
       FROM dead_letters d LEFT JOIN event_log l ON l.pos = d.pos
       WHERE d.id > $1 AND d.id <= $2 AND (d.seal_id IS NULL OR l.pos IS NOT NULL AND get_byte(d.payload, 0) <> $4)
       ORDER BY d.id LIMIT $3 FOR UPDATE OF d`,
      [afterId, untilId, maxStepRows, FORMAT_SEALED],
    );
    const named = await this.#namedByEvents(rows);
    const opened = await sealer.open(rows.map((row) => ({ ...row, anchor_id: row.sealId ?? '' })));
    const letters = opened.flatMap(({ id, payload }) =>
      isSealed(payload) ? [] : [{ id, namedIds: named.get(id) ?? [newId(clock.now())], payload }],
    );
    if (letters.length > 0) {
      const sealed = await sealer.seal(letters);
      await tx.query(
        `UPDATE dead_letters d SET payload = s.payload, seal_id = s.seal_id
         FROM unnest($1::int8[], $2::uuid[], $3::bytea[]) AS s (id, seal_id, payload) WHERE d.id = s.id`,
        [
          int8Array(letters, ({ id }) => id),
          uuidArray(letters, ({ namedIds }) => namedIds[0] ?? ''),
          byteaArray(sealed, (payload) => payload),
        ],
      );
    }
    const toId = rows.length < maxStepRows ? untilId : (rows.at(-1)?.id ?? untilId);
    await tx.query('UPDATE installation SET sealed_letter_id = greatest(sealed_letter_id, $1::int8)', [toId]);
  }

  /** By letter: whom the event in the log names that it is of. */
  async #namedByEvents(letters: readonly LetterRow[]): Promise<ReadonlyMap<number, readonly Uuid[]>> {
    const events = letters.flatMap(({ id, anchorId, event }) =>
      anchorId === null || event === null ? [] : [{ id, anchor_id: anchorId, payload: event }],
    );
    const opened = new Map((await this.#parts.sealer.open(events)).map((row) => [row.id, row]));
    return new Map(events.map((row) => [row.id, namedBy(opened.get(row.id) ?? row)]));
  }
}

/** The anchor first; of what cannot be read the anchor alone. */
function namedBy({ anchor_id: anchorId, payload }: AnchoredPayload): readonly Uuid[] {
  return [...new Set([anchorId, ...(namedIn(payload) ?? [])])];
}
