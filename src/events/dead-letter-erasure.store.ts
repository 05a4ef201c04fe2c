import type { Queryable } from '../platform/postgres.js';

/** A dead letter as far as finding a person in it goes. */
export interface LetterText {
  readonly id: number;
  readonly pos: number | null;
  /** All that it says. */
  readonly text: string;
  readonly notes: string;
}

/** Looks through all dead letters, and deletes some for good. */
export class DeadLetterErasureStore {
  /** Letters by rising id, those after one. */
  async page(db: Queryable, afterId: number, limit: number): Promise<LetterText[]> {
    const rows = await db.query<Omit<LetterText, 'text'> & { payload: Buffer }>(
      `SELECT id, pos, payload,
              concat_ws(' ', reason, message_id, replay_message_id, form::text, fix::text) AS notes
       FROM dead_letters WHERE id > $1 ORDER BY id LIMIT $2`,
      [afterId, limit],
    );
    return rows.map(({ payload, ...row }) => ({ ...row, text: payload.toString('utf8', 1) }));
  }

  /** Deletes letters with the events that they are of: those could never be applied, so nothing came of them. */
  async remove(tx: Queryable, letters: readonly Pick<LetterText, 'id' | 'pos'>[]): Promise<void> {
    const positions = letters.flatMap(({ pos }) => pos ?? []);
    await tx.query('DELETE FROM dead_letters WHERE id = ANY ($1::int8[])', [letters.map(({ id }) => id)]);
    if (positions.length > 0) await tx.query('DELETE FROM event_log WHERE pos = ANY ($1::int8[])', [positions]);
  }
}
