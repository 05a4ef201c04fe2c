import { byteaArray, int8Array } from '../platform/binary-arrays.js';
import type { Queryable } from '../platform/postgres.js';
import { MAX_DEAD_LETTER_BYTES, type DeadLetter } from './dead-letter.model.js';

const MAX_REASON_LENGTH = 1_000;
const MAX_ROWS_PER_INSERT = 1_000;

/** As in the event log: byte 0 is the format of what follows, 0 = UTF-8 text. */
const FORMAT_PLAIN = 0;

/** Writes dead letters. A letter for a position or a load's row that has one already is left out. */
export class DeadLetterStore {
  /** @param tx the transaction to write in, or the pool. */
  async insert(tx: Queryable, letters: readonly DeadLetter[]): Promise<void> {
    for (let from = 0; from < letters.length; from += MAX_ROWS_PER_INSERT) {
      const chunk = letters.slice(from, from + MAX_ROWS_PER_INSERT);
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
          byteaArray(chunk, (l) => deadLetterBytes(l.payload)),
          chunk.map((l) => (l.form === undefined ? null : JSON.stringify(l.form))),
        ],
      });
    }
  }
}

const INSERT = `
  INSERT INTO dead_letters (source_id, stage, code, reason, message_id, pos, load_id, row_number, received_at, payload,
                            form)
  SELECT s, st, c, r, m, p, l, n, at, b, f::jsonb FROM unnest($1::int4[], $2::text[], $3::text[], $4::text[], $5::text[], $6::int8[], $7::uuid[], $8::int8[],
                       $9::int8[], $10::bytea[], $11::text[]) AS t (s, st, c, r, m, p, l, n, at, b, f)
  ON CONFLICT DO NOTHING`;

function storableText(text: string, maxLength: number): string {
  return text.slice(0, maxLength).replaceAll('\0', '\ufffd');
}

function deadLetterBytes(text: string): Buffer {
  // The text is cut first, so that a huge one is never encoded whole.
  const body = Buffer.from(text.slice(0, MAX_DEAD_LETTER_BYTES));
  const bytes = Buffer.allocUnsafe(1 + Math.min(body.length, MAX_DEAD_LETTER_BYTES));
  bytes[0] = FORMAT_PLAIN;
  body.copy(bytes, 1);
  return bytes;
}
