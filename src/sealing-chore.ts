import { FORMAT_SEALED, type AnchoredPayload, type EventSealer } from './events/event-seal.model.js';
import { byteaArray, int8Array } from './platform/binary-arrays.js';
import type { Database } from './platform/postgres.js';

export interface SealingChoreParts {
  readonly db: Database;
  readonly sealer: EventSealer;
  /** Rows of the log looked at in one step. Default 500. */
  readonly maxStepRows?: number;
}

const MAX_STEP_ROWS = 500;

interface Row extends AnchoredPayload {
  readonly pos: number;
}

/**
 * Seals what was logged before payloads were sealed, some rows at a time, up to where the log ended when the process
 * began. What processes without keys write after that is sealed after the next start.
 */
export class SealingChore {
  readonly #parts: SealingChoreParts;
  /** Null: not looked yet. */
  #untilPos: number | null = null;
  #isDone = false;

  constructor(parts: SealingChoreParts) {
    this.#parts = parts;
    this.#isDone = !parts.sealer.isSealing;
  }

  /** One step; false if there is nothing left to do. */
  async runOne(): Promise<boolean> {
    if (this.#isDone) return false;
    const { db, sealer, maxStepRows = MAX_STEP_ROWS } = this.#parts;
    const [at] = await db.query<{ sealed: number; head: number }>(
      'SELECT (SELECT sealed_pos FROM installation) AS sealed, (SELECT pos FROM log_head) AS head',
    );
    const untilPos = (this.#untilPos ??= at?.head ?? 0);
    const afterPos = at?.sealed ?? 0;
    if (afterPos >= untilPos) {
      this.#isDone = true;
      return false;
    }
    await db.transaction(async (tx) => {
      const rows = await tx.query<Row>(
        'SELECT pos, anchor_id, payload FROM event_log WHERE pos > $1 AND pos <= $2 ORDER BY pos LIMIT $3 FOR UPDATE',
        [afterPos, untilPos, maxStepRows],
      );
      const plain = rows.filter(({ payload }) => payload[0] !== FORMAT_SEALED);
      if (plain.length > 0) {
        const sealed = await sealer.seal(plain);
        await tx.query(
          `UPDATE event_log l SET payload = s.payload FROM unnest($1::int8[], $2::bytea[]) AS s (pos, payload)
           WHERE l.pos = s.pos`,
          [int8Array(plain, ({ pos }) => pos), byteaArray(sealed, (payload) => payload)],
        );
      }
      const toPos = rows.length < maxStepRows ? untilPos : (rows.at(-1)?.pos ?? untilPos);
      await tx.query('UPDATE installation SET sealed_pos = greatest(sealed_pos, $1::int8)', [toPos]);
    });
    return true;
  }
}
