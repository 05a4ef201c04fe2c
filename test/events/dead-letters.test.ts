import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DEAD_LETTER_STAGES, MAX_DEAD_LETTER_BYTES, type DeadLetter } from '../../src/events/dead-letter.model.js';
import { DeadLetterReader, type DeadLetterFilter, type StoredDeadLetter } from '../../src/events/dead-letter.reader.js';
import { DeadLetterStore } from '../../src/events/dead-letter.store.js';
import type { Queryable } from '../../src/platform/postgres.js';
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

describe('DeadLetterReader', () => {
  const CODES = ['X1', 'X2', 'X3'] as const;
  let own: TestDatabase;
  let reader: DeadLetterReader;
  let all: readonly StoredDeadLetter[];

  beforeAll(async () => {
    own = await createTestDatabase();
    reader = new DeadLetterReader(own.database);
    expect(await reader.page({}, null, 10)).toEqual([]);
    expect(await reader.counts({})).toEqual([]);
    const letters = fc.sample(
      fc.record({
        sourceId: fc.constantFrom(null, 1, 2, 3),
        stage: fc.constantFrom(...DEAD_LETTER_STAGES),
        code: fc.constantFrom(...CODES),
        receivedAt: fc.integer({ min: 0, max: 40 }),
        reason: fc.constant('because'),
        payload: fc.string(),
      }),
      { numRuns: 300, seed: 4 },
    );
    await store.insert(own.database, letters);
    all = await reader.page({}, null, 1_000);
    expect(all).toHaveLength(300);
    const plain = ({ sourceId, stage, code, receivedAt, payload }: DeadLetter): string =>
      JSON.stringify([sourceId, stage, code, receivedAt, payload]);
    expect(all.map(plain).sort()).toEqual(letters.map(plain).sort());
  });

  afterAll(() => own.drop());

  const matches = (letter: StoredDeadLetter, { sourceId, stage, code, sinceMs }: DeadLetterFilter): boolean =>
    (sourceId === undefined || letter.sourceId === sourceId) &&
    (stage === undefined || letter.stage === stage) &&
    (code === undefined || letter.code === code) &&
    (sinceMs === undefined || letter.receivedAt >= sinceMs);

  const filters = fc.record(
    {
      sourceId: fc.constantFrom(1, 2, 9),
      stage: fc.constantFrom(...DEAD_LETTER_STAGES),
      code: fc.constantFrom(...CODES, 'other'),
      sinceMs: fc.integer({ min: 0, max: 45 }),
    },
    { requiredKeys: [] },
  );

  it('pages through what a filter lets through, newest first, each once', async () => {
    expect(all).toEqual(all.toSorted((a, b) => b.receivedAt - a.receivedAt || b.id - a.id));
    await fc.assert(
      fc.asyncProperty(filters, fc.integer({ min: 1, max: 60 }), async (filter, size) => {
        const found: StoredDeadLetter[] = [];
        for (;;) {
          const page = await reader.page(filter, found.at(-1) ?? null, size);
          found.push(...page);
          if (page.length < size) break;
        }
        expect(found).toEqual(all.filter((letter) => matches(letter, filter)));
      }),
      { numRuns: 60 },
    );
  });

  it('counts by source, stage and code, the largest group first', async () => {
    await fc.assert(
      fc.asyncProperty(filters, async (filter) => {
        const groups = new Map<string, number[]>();
        for (const letter of all.filter((each) => matches(each, filter))) {
          const key = JSON.stringify([letter.sourceId, letter.stage, letter.code]);
          groups.set(key, [...(groups.get(key) ?? []), letter.receivedAt]);
        }
        const counts = await reader.counts(filter);
        expect(counts.map(({ count }) => count)).toEqual(counts.map(({ count }) => count).sort((a, b) => b - a));
        expect(
          new Map(
            counts.map((c) => [
              JSON.stringify([c.sourceId, c.stage, c.code]),
              [c.count, c.firstReceivedAt, c.lastReceivedAt],
            ]),
          ),
        ).toEqual(new Map([...groups].map(([key, at]) => [key, [at.length, Math.min(...at), Math.max(...at)]])));
      }),
      { numRuns: 40 },
    );
  });

  it('looks into few blocks of many, whatever is asked for', async () => {
    const many = await createTestDatabase();
    try {
      await many.database.execute(
        `INSERT INTO dead_letters (source_id, stage, code, reason, received_at, payload)
         SELECT i % 3 + 1, CASE WHEN i % 1000 = 0 THEN 'apply' ELSE 'load' END, 'C' || i % 5, 'r', i, '\\x00'
         FROM generate_series(1, 200000) i`,
      );
      await many.database.execute('VACUUM ANALYZE dead_letters');
      expect(
        await new DeadLetterReader(many.database).page({ stage: 'apply', sinceMs: 199_500 }, null, 20),
      ).toHaveLength(1);
      let blocks = 0;
      let statements = 0;
      const explaining: Queryable = {
        query: () => Promise.reject(new Error('not asked')),
        execute: () => Promise.reject(new Error('not asked')),
        // By the plan that is kept for all arguments, which is made without seeing them.
        run: async ({ text, values }) => {
          const literals = ((values ?? []) as (string | number | null)[])
            .map((value) => (value === null ? 'NULL' : `'${String(value)}'`))
            .join(', ');
          const [row] = await many.database.transaction(async (tx) => {
            await tx.query(`SET LOCAL plan_cache_mode = force_generic_plan`);
            await tx.query(`PREPARE asked_${String(++statements)} AS ${text}`);
            return tx.query<{ 'QUERY PLAN': [{ Plan: Record<string, number> }] }>(
              `EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE asked_${String(statements)} (${literals})`,
            );
          });
          const plan = row?.['QUERY PLAN'][0].Plan ?? {};
          blocks = (plan['Shared Hit Blocks'] ?? 0) + (plan['Shared Read Blocks'] ?? 0);
          return { rows: [], rowCount: 0 };
        },
      };
      const asked: DeadLetterFilter[] = [
        {},
        { stage: 'apply' },
        { code: 'C3' },
        { sourceId: 2 },
        { sourceId: 9 },
        { stage: 'apply', code: 'C1' },
        { sinceMs: 300_000 },
        { code: 'C2', sourceId: 1, sinceMs: 199_990 },
      ];
      for (const filter of asked) {
        for (const before of [null, { receivedAt: 100_000, id: 100_000 }]) {
          await new DeadLetterReader(explaining).page(filter, before, 20);
          expect(blocks, JSON.stringify(filter)).toBeGreaterThan(10);
          expect(blocks, JSON.stringify(filter)).toBeLessThan(600);
        }
      }
    } finally {
      await many.drop();
    }
  });
});
