import type { Uuid } from '../platform/ids.js';
import type { Queryable } from '../platform/postgres.js';
import { openInputs } from './dead-letter-seal.js';
import type { EventSealer } from './event-seal.model.js';

/** A dead letter as far as finding a person in it goes. */
export interface LetterText {
  readonly id: number;
  readonly pos: number | null;
  /** The key that it is sealed with: that of its event's anchor, or one of its own; null: it is not sealed. */
  readonly sealId: Uuid | null;
  /** All that it says; null where nobody can read it any more. */
  readonly text: string | null;
  readonly notes: string;
}

/** Looks through all dead letters, and deletes some for good. */
export class DeadLetterErasureStore {
  constructor(private readonly sealer: EventSealer) {}

  /** Letters by rising id, those after one. */
  async page(db: Queryable, afterId: number, limit: number): Promise<LetterText[]> {
    const rows = await db.query<Omit<LetterText, 'text'> & { payload: Buffer }>(
      `SELECT id, pos, payload, seal_id AS "sealId",
              concat_ws(' ', reason, message_id, replay_message_id, form::text, fix::text) AS notes
       FROM dead_letters WHERE id > $1 ORDER BY id LIMIT $2`,
      [afterId, limit],
    );
    const inputs = await openInputs(this.sealer, rows);
    return rows.map(({ payload: _, ...row }, i) => ({ ...row, text: inputs[i]?.toString('utf8') ?? null }));
  }

  /** Deletes letters with the events that they are of: those could never be applied, so nothing came of them. */
  async remove(tx: Queryable, letters: readonly Pick<LetterText, 'id' | 'pos'>[]): Promise<void> {
    const positions = letters.flatMap(({ pos }) => pos ?? []);
    await tx.query('DELETE FROM dead_letters WHERE id = ANY ($1::int8[])', [letters.map(({ id }) => id)]);
    if (positions.length > 0) await tx.query('DELETE FROM event_log WHERE pos = ANY ($1::int8[])', [positions]);
  }
}
