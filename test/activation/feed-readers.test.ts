import { afterAll, beforeAll, expect, it } from 'vitest';
import { ChangeFeedReader, matchesFilter, type ChangeFilter } from '../../src/activation/change-feed.reader.js';
import { appendChanges } from '../../src/activation/change-feed.store.js';
import { ChangeHub } from '../../src/activation/change-hub.js';
import type { Database } from '../../src/platform/postgres.js';
import { newId } from '../../src/platform/ids.js';
import type { SegmentChange } from '../../src/segments/segment.model.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { randomFrom } from '../support/random-log.js';

/* Who reads on from a cursor, whenever and however, against all that writes at the same time. */

const WRITERS = 8;
const TRANSACTIONS = 50;
const READERS = 1_000;

let test: TestDatabase;

beforeAll(async () => {
  test = await createTestDatabase();
});
afterAll(() => test.drop());

/** As few reads at once as the pool has connections: a thousand readers wait for each other, not for the pool. */
function inTurn(feed: ChangeFeedReader): Pick<ChangeFeedReader, 'head' | 'after'> {
  let free = 3;
  const waiting: (() => void)[] = [];
  const run = async <T>(read: () => Promise<T>): Promise<T> => {
    if (free === 0) await new Promise<void>((resolve) => waiting.push(resolve));
    else free--;
    try {
      return await read();
    } finally {
      const next = waiting.shift();
      if (next === undefined) free++;
      else next();
    }
  };
  return { head: () => run(() => feed.head()), after: (...asked) => run(() => feed.after(...asked)) };
}

const PROFILES = Array.from({ length: 20 }, () => newId(0));

it('8 writers that commit out of order, 1,000 readers that resume at random: no change is missed, none comes twice', async () => {
  const pools = await Promise.all(Array.from({ length: 3 }, () => test.connect({ poolSize: 5 })));
  const [near, far, reading] = pools as [Database, Database, Database];
  // One hub hears of the commits of half of the writers, the other of none, as in another process.
  const hubs = [near, far].map(
    (db) =>
      new ChangeHub({
        feed: inTurn(new ChangeFeedReader(db)),
        pollMs: 10,
        maxQueuedChanges: 40,
        maxPageChanges: 25,
        onError: (error) => {
          throw error as Error;
        },
      }),
  );
  let writing = true;
  const begun: number[] = [];
  const ended: number[] = [];
  const write = async (writer: number): Promise<void> => {
    const random = randomFrom(writer + 1);
    const db = writer % 2 === 0 ? near : far;
    for (let i = 0; i < TRANSACTIONS; i++) {
      const number = writer * TRANSACTIONS + i;
      const changes = Array.from({ length: 1 + Math.floor(random() * 3) }, () => ({
        profileId: PROFILES[Math.floor(random() * PROFILES.length)] ?? '',
        segmentId: 1 + Math.floor(random() * 3),
        kind: random() < 0.5 ? ('enter' as const) : ('leave' as const),
        ...{ at: number, version: 1, cause: { kind: 'event' as const, pos: number } },
      }));
      const isGivenUp = random() < 0.1;
      const appended = await db
        .transaction(async (tx) => {
          begun.push(number);
          await tx.query('SELECT pg_sleep($1)', [random() * 0.01]);
          const rows = await appendChanges(tx, changes);
          await tx.query('SELECT pg_sleep($1)', [random() * 0.002]);
          if (isGivenUp) throw new Error('given up');
          return rows;
        })
        .catch((error: unknown) => {
          if (isGivenUp) return [];
          throw error;
        });
      ended.push(number);
      if (writer % 2 === 0) hubs[0]?.notify(appended);
    }
  };
  const feed = inTurn(new ChangeFeedReader(reading));
  const read = async (reader: number): Promise<{ filter: ChangeFilter; seen: readonly SegmentChange[] }> => {
    const random = randomFrom(1_000 + reader);
    const filter: ChangeFilter =
      [{}, { segmentIds: [1, 3] }, { kinds: ['leave'] as const }, { profileIds: PROFILES.slice(0, 5) }][reader % 4] ??
      {};
    const seen: SegmentChange[] = [];
    const hub = hubs[reader % 2];
    const position = (): number => seen.at(-1)?.seq ?? 0;
    while (writing) {
      if (random() < 0.3) {
        seen.push(...(await feed.after(position(), 1 + Math.floor(random() * 100), filter)));
      } else {
        const pages = hub?.subscribe({ after: position(), filter });
        let left = 1 + Math.floor(random() * 60);
        // The connection breaks after a while, also in the midst of waiting.
        const broken = setTimeout(() => void pages?.return?.(), 100 + random() * 700);
        for await (const page of pages ?? []) {
          const taken = page.slice(0, left);
          seen.push(...taken);
          left -= taken.length;
          if (left <= 0) break;
        }
        clearTimeout(broken);
      }
      await new Promise((resolve) => setTimeout(resolve, random() * 500));
    }
    for (;;) {
      const rest = await feed.after(position(), 500, filter);
      if (rest.length === 0) return { filter, seen };
      seen.push(...rest);
    }
  };
  const readers = Promise.all(Array.from({ length: READERS }, (_, reader) => read(reader)));
  await Promise.all(Array.from({ length: WRITERS }, (_, writer) => write(writer)));
  writing = false;
  // Whoever waits for more is let go.
  await Promise.all(hubs.map((hub) => hub.close()));
  const all = await feed.after(0, 10_000);
  expect(all.map(({ seq }) => seq)).toEqual(all.map((_, i) => i + 1));
  expect(all.length).toBeGreaterThan(WRITERS * TRANSACTIONS);
  // They did commit in another order than they began in.
  expect(ended).not.toEqual(begun);
  const expected = new Map<string, string>();
  for (const { filter, seen } of await readers) {
    const key = JSON.stringify(filter);
    const whole =
      expected.get(key) ?? JSON.stringify(all.filter((each) => matchesFilter(each, filter)).map(({ seq }) => seq));
    expected.set(key, whole);
    // Compared as texts: a million numbers one by one take seconds.
    expect(JSON.stringify(seen.map(({ seq }) => seq)) === whole).toBe(true);
  }
}, 60_000);
