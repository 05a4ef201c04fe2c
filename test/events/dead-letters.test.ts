import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MAX_DEAD_LETTER_BYTES, type DeadLetter } from '../../src/events/dead-letter.model.js';
import { DeadLetterStore } from '../../src/events/dead-letter.store.js';
import { createTestDatabase } from '../support/database.js';
import type { TestDatabase } from '../support/database.js';

let test: TestDatabase;
const store = new DeadLetterStore();

beforeAll(async () => {
  test = await createTestDatabase();
});

afterAll(() => test.drop());

function aLetter(more: Partial<DeadLetter> = {}): DeadLetter {
  return { sourceId: 1, stage: 'accept', code: 'NAME_MISSING', reason: 'r', receivedAt: 5, payload: '{}', ...more };
}

async function stored(where: string): Promise<{ reason: string; message_id: string | null; payload: Buffer }[]> {
  return test.database.query(`SELECT reason, message_id, payload FROM dead_letters WHERE ${where} ORDER BY id`);
}

describe('DeadLetterStore', () => {
  it('keeps any text, cut to its bound, without the characters PostgreSQL cannot hold', async () => {
    const long = '🧵'.repeat(MAX_DEAD_LETTER_BYTES);
    await store.insert(test.database, [
      aLetter({ code: 'A', payload: '{"a":"\\u0000 "}', reason: 'a\0b', messageId: 'm\0' }),
      aLetter({ code: 'A', payload: long, reason: 'x'.repeat(5000), sourceId: null }),
    ]);
    const rows = await stored(`code = 'A'`);
    expect(rows.map(({ reason }) => reason.length)).toEqual([3, 1000]);
    expect(rows[0]).toMatchObject({ reason: 'a\ufffdb', message_id: 'm\ufffd' });
    expect(rows[0]?.payload.toString('utf8', 1)).toBe('{"a":"\\u0000 "}');
    expect(rows[0]?.payload[0]).toBe(0);
    expect(rows[1]?.payload).toHaveLength(1 + MAX_DEAD_LETTER_BYTES);
  });

  it('keeps one letter a log position and one a row of a load, and writes more than a thousand at once', async () => {
    const loadId = '00000000-0000-4000-8000-000000000001';
    const rows = Array.from({ length: 2500 }, (_, i) => aLetter({ code: 'B', stage: 'load', loadId, rowNumber: i }));
    await store.insert(test.database, rows);
    await store.insert(test.database, [
      ...rows.slice(0, 10),
      aLetter({ code: 'B', stage: 'load', loadId, rowNumber: 9999 }),
    ]);
    await store.insert(test.database, [
      aLetter({ code: 'C', stage: 'apply', pos: 7 }),
      aLetter({ code: 'C', stage: 'apply', pos: 7 }),
    ]);
    expect(await stored(`code = 'B'`)).toHaveLength(2501);
    expect(await stored(`code = 'C'`)).toHaveLength(1);
  });

  it('belongs to the transaction it is given', async () => {
    await expect(
      test.database.transaction(async (tx) => {
        await store.insert(tx, [aLetter({ code: 'D' })]);
        throw new Error('undone');
      }),
    ).rejects.toThrow('undone');
    expect(await stored(`code = 'D'`)).toHaveLength(0);
  });
});
