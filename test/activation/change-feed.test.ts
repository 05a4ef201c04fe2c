import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ChangeFeedReader, matchesFilter } from '../../src/activation/change-feed.reader.js';
import { appendChanges } from '../../src/activation/change-feed.store.js';
import type { Database, PreparedStatement } from '../../src/platform/postgres.js';
import type { SegmentChange } from '../../src/segments/segment.model.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

let test: TestDatabase;
let db: Database;

beforeAll(async () => {
  test = await createTestDatabase();
  db = test.database;
});

afterAll(() => test.drop());

beforeEach(async () => {
  await db.query('TRUNCATE changes');
  await db.query('UPDATE feed_head SET seq = 0');
});

const PROFILES = [1, 2, 3].map((n) => `00000000-0000-7000-8000-00000000000${String(n)}`);

const KINDS = ['enter', 'leave'] as const;
const CAUSES = ['event', 'timer', 'edit'] as const;

const aChange = fc.record({
  profileId: fc.constantFrom(...PROFILES),
  segmentId: fc.integer({ min: 1, max: 3 }),
  kind: fc.constantFrom(...KINDS),
  at: fc.nat(),
  version: fc.integer({ min: 1, max: 3 }),
  cause: fc.record({ kind: fc.constantFrom(...CAUSES), pos: fc.constant(7) }),
});

const append = (changes: readonly Omit<SegmentChange, 'seq'>[]): Promise<SegmentChange[]> =>
  db.transaction((tx) => appendChanges(tx, changes));

describe('the feed', () => {
  it('numbers changes without gaps, in the order they are handed in', async () => {
    const [change] = fc.sample(aChange, 1);
    if (change === undefined) throw new Error('no sample');
    const first = await append([change, { ...change, segmentId: 9 }]);
    await db
      .transaction((tx) => appendChanges(tx, [change]).then(() => Promise.reject(new Error('no'))))
      .catch(() => 0);
    const second = await append([{ ...change, kind: 'leave' }]);
    expect([...first, ...second].map(({ seq }) => seq)).toEqual([1, 2, 3]);
    const reader = new ChangeFeedReader(db);
    expect(await reader.after(0, 10)).toEqual([...first, ...second]);
    expect(await reader.head()).toBe(3);
  });

  it('answers every filter, position and limit as a look through all of it would', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          changes: fc.array(aChange, { minLength: 1, maxLength: 30 }),
          after: fc.nat(30),
          limit: fc.integer({ min: 1, max: 10 }),
          segmentIds: fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 4 }),
          profileIds: fc.array(fc.constantFrom(...PROFILES), { maxLength: 4 }),
          kinds: fc.subarray([...KINDS]),
          causes: fc.subarray([...CAUSES, 'merge' as const]),
        }),
        async ({ changes, after, limit, ...filter }) => {
          await db.query('TRUNCATE changes');
          await db.query('UPDATE feed_head SET seq = 0');
          const all = await append(changes);
          const expected = all.filter((change) => change.seq > after && matchesFilter(change, filter)).slice(0, limit);
          expect(await new ChangeFeedReader(db).after(after, limit, filter)).toEqual(expected);
        },
      ),
      { numRuns: 100 },
    );
  });

  it('is not read through for what is rare in it, whichever plan the database keeps', async () => {
    const [rare = ''] = PROFILES;
    await db.query(
      `INSERT INTO changes (seq, profile_id, segment_id, kind, at, version, cause)
       SELECT i, CASE WHEN i = 15000 THEN $1::uuid ELSE gen_random_uuid() END, CASE WHEN i = 15000 THEN 3 ELSE i % 2 + 1 END,
              'enter', i, 1, jsonb_build_object('kind', CASE WHEN i = 15000 THEN 'consent' ELSE 'event' END, 'pos', 1)
       FROM generate_series(1, 20000) i`,
      [rare],
    );
    await db.query('ANALYZE changes');
    for (const filter of [
      { segmentIds: [3] },
      { profileIds: [rare] },
      { segmentIds: [3], profileIds: [rare] },
      { causes: ['consent'] } as const,
    ]) {
      expect(await rowsPassedOver(filter)).toBeLessThan(10);
    }
  });
});

/** Rows that the generic plan of a read fetches and throws away. */
async function rowsPassedOver(filter: Parameters<ChangeFeedReader['after']>[2]): Promise<number> {
  let plan: unknown;
  const explaining = {
    run: async ({ text, values = [] }: PreparedStatement) => {
      plan = await db.transaction(async (tx) => {
        await tx.query(`SET LOCAL plan_cache_mode = force_generic_plan`);
        return tx.run({ name: '', text: `EXPLAIN (ANALYZE, FORMAT JSON) ${text}`, values });
      });
      return { rows: [], rowCount: 0 };
    },
  };
  await new ChangeFeedReader(explaining).after(0, 100, filter);
  const found = [...JSON.stringify(plan).matchAll(/"(?:Actual Rows|Rows Removed by Filter)":\s*(\d+)/g)];
  return Math.max(...found.map(([, rows]) => Number(rows)));
}
