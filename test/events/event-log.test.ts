import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LogBatch, ReadBatchOptions } from '../../src/events/event-log.model.js';
import { PostgresEventLog } from '../../src/events/event-log.postgres.js';
import type { LoggedEvent } from '../../src/events/event.model.js';
import { hashId, partitionOf } from '../../src/platform/ids.js';
import type { Database } from '../../src/platform/postgres.js';
import { createTestDatabase } from '../support/database.js';
import type { TestDatabase } from '../support/database.js';
import { aPreparedEvent } from '../support/event-builders.js';

const PARTITIONS = 16;
const ALL_PARTS = Array.from({ length: PARTITIONS }, (_, part) => part);
const NOW = Date.UTC(2026, 0, 31, 12);

let test: TestDatabase;
let db: Database;
let nowMs = NOW;

beforeAll(async () => {
  test = await createTestDatabase();
  db = test.database;
});

afterAll(() => test.drop());

function newLog(database: Database = db): PostgresEventLog {
  return new PostgresEventLog(database, { now: () => nowMs }, PARTITIONS);
}

async function readAll(
  log: PostgresEventLog,
  options: Partial<ReadBatchOptions> = {},
): Promise<{ events: LoggedEvent[]; batches: LogBatch[] }> {
  const events: LoggedEvent[] = [];
  const batches: LogBatch[] = [];
  let afterPos = options.afterPos ?? 0;
  for (;;) {
    const batch = await log.readBatch({ parts: ALL_PARTS, limit: 1000, maxBytes: 1_000_000, ...options, afterPos });
    events.push(...batch.events);
    batches.push(batch);
    if (batch.scannedPos === afterPos) return { events, batches };
    expect(batch.scannedPos).toBeGreaterThan(afterPos);
    afterPos = batch.scannedPos;
  }
}

describe('PostgresEventLog', () => {
  it('gives back what was appended, in order, with its partition and times', async () => {
    const log = newLog();
    const { pos: start } = await log.head();
    nowMs = NOW + 1000;
    const outcomes = await log.append([
      aPreparedEvent({ messageId: 'order-1', user: 'ann', occurredAt: NOW - 5 }),
      aPreparedEvent({ messageId: 'order-2', user: 'bob', occurredAt: NOW + 99_000, name: 'from the future' }),
    ]);
    expect(outcomes).toEqual(['appended', 'appended']);
    const { events } = await readAll(log, { afterPos: start });
    expect(events).toMatchObject([
      { pos: start + 1, messageId: 'order-1', occurredAt: NOW - 5, acceptedAt: NOW + 1000, historical: false },
      { pos: start + 2, messageId: 'order-2', occurredAt: NOW + 1000, acceptedAt: NOW + 1000, name: 'from the future' },
    ]);
    expect(events.map(({ part }) => part)).toEqual(
      ['ann', 'bob'].map((user) => partitionOf(hashId('user_id', user), PARTITIONS)),
    );
  });

  it('never lets accepted time fall, even when the clock does', async () => {
    const log = newLog();
    nowMs = NOW + 50_000;
    await log.append([aPreparedEvent({ messageId: 'clock-1' })]);
    nowMs = NOW + 10_000;
    await log.append([aPreparedEvent({ messageId: 'clock-2' })]);
    expect((await log.head()).acceptedAt).toBe(NOW + 50_000);
    expect((await readAll(log)).events.at(-1)).toMatchObject({ messageId: 'clock-2', acceptedAt: NOW + 50_000 });
  });

  it('raises its time for timers, and never lowers it', async () => {
    const log = newLog();
    const { pos } = await log.head();
    expect(await log.bumpTime(NOW + 60_000)).toEqual({ pos, acceptedAt: NOW + 60_000 });
    expect(await log.bumpTime(NOW)).toEqual({ pos, acceptedAt: NOW + 60_000 });
  });

  it('appends one of the events with equal source and message id, within a call, across calls and across processes', async () => {
    const log = newLog();
    const one = aPreparedEvent({ messageId: 'twice' });
    expect(await log.append([one, aPreparedEvent({ messageId: 'once' }), one])).toEqual([
      'appended',
      'appended',
      'duplicate',
    ]);
    const elsewhere = newLog(await test.connect());
    expect(await elsewhere.append([one])).toEqual(['duplicate']);
    expect(await elsewhere.append([aPreparedEvent({ messageId: 'twice', sourceId: 2 })])).toEqual(['appended']);
  });

  it('reports each call its own outcomes when calls are coalesced', async () => {
    const log = newLog();
    const calls = Array.from({ length: 40 }, (_, call) =>
      log.append([
        aPreparedEvent({ messageId: `call-${String(call)}` }),
        aPreparedEvent({ messageId: `shared-${String(call % 10)}` }),
      ]),
    );
    const outcomes = await Promise.all(calls);
    expect(outcomes.every(([own]) => own === 'appended')).toBe(true);
    expect(outcomes.filter(([, shared]) => shared === 'appended')).toHaveLength(10);
  });

  it('never shows a reader a position it has passed, while 20 writers of two processes append', async () => {
    const logs = [newLog(), newLog(await test.connect({ poolSize: 10 }))];
    const { pos: start } = await (logs[0] as PostgresEventLog).head();
    const perWriter = 30;
    let writing = true;
    const seen: string[] = [];
    const reader = (async () => {
      let lastPos = start;
      for (let isLast = false; !isLast;) {
        isLast = !writing;
        const { events, scannedPos } = await (logs[0] as PostgresEventLog).readBatch({
          afterPos: lastPos,
          parts: ALL_PARTS,
          limit: 50,
          maxBytes: 1_000_000,
        });
        for (const event of events) expect(event.pos).toBeGreaterThan(lastPos);
        seen.push(...events.map(({ messageId }) => messageId));
        if (scannedPos > lastPos) isLast = false;
        lastPos = scannedPos;
      }
    })();
    const direct = [await test.connect({ poolSize: 10 }), await test.connect({ poolSize: 10 })];
    await Promise.all(
      Array.from({ length: 20 }, async (_, writer) => {
        // Half of the writers bypass the shared queue, so that transactions really overlap.
        const log =
          writer % 2 === 0
            ? (logs[writer % 4 === 0 ? 0 : 1] as PostgresEventLog)
            : newLog(direct[writer % 4 === 1 ? 0 : 1]);
        for (let i = 0; i < perWriter; i += 1) {
          await log.append([aPreparedEvent({ messageId: `w${String(writer)}-${String(i)}` })]);
        }
      }),
    );
    writing = false;
    await reader;
    expect(seen).toHaveLength(20 * perWriter);
    expect(new Set(seen).size).toBe(20 * perWriter);
  });

  it('reads the same events whatever the limits, and only of the asked partitions', async () => {
    const log = newLog();
    await log.append(
      Array.from({ length: 60 }, (_, i) =>
        aPreparedEvent({ messageId: `read-${String(i)}`, paddingBytes: (i * 37) % 900 }),
      ),
    );
    const all = (await readAll(log)).events;
    const parts = fc.uniqueArray(fc.constantFrom(...ALL_PARTS), { minLength: 1 });
    await fc.assert(
      fc.asyncProperty(
        parts,
        fc.integer({ min: 1, max: 70 }),
        fc.integer({ min: 1, max: 20_000 }),
        async (asked, limit, maxBytes) => {
          const { events, batches } = await readAll(log, { parts: asked, limit, maxBytes });
          expect(events.map(({ pos }) => pos)).toEqual(
            all.filter(({ part }) => asked.includes(part)).map(({ pos }) => pos),
          );
          expect(batches.every((batch) => batch.events.length <= limit)).toBe(true);
        },
      ),
      { numRuns: 25 },
    );
  });

  it('stops at the position asked for, and says how far it looked', async () => {
    const log = newLog();
    const { pos: start } = await log.head();
    await log.append(Array.from({ length: 10 }, (_, i) => aPreparedEvent({ messageId: `to-${String(i)}` })));
    const some = await log.readBatch({
      afterPos: start,
      toPos: start + 4,
      parts: ALL_PARTS,
      limit: 100,
      maxBytes: 1e6,
    });
    expect(some.events).toHaveLength(4);
    expect(some.scannedPos).toBe(start + 4);
    expect(some.head.pos).toBe(start + 10);
    const none = await log.readBatch({ afterPos: start + 10, parts: ALL_PARTS, limit: 100, maxBytes: 1e6 });
    expect(none).toMatchObject({ events: [], scannedPos: start + 10 });
  });

  it('returns one event even if it alone exceeds the byte limit', async () => {
    const log = newLog();
    const { pos: afterPos } = await log.head();
    await log.append([
      aPreparedEvent({ messageId: 'big-1', paddingBytes: 5000 }),
      aPreparedEvent({ messageId: 'big-2', paddingBytes: 5000 }),
    ]);
    const batch = await log.readBatch({ afterPos, parts: ALL_PARTS, limit: 10, maxBytes: 100 });
    expect(batch.events.map(({ messageId }) => messageId)).toEqual(['big-1']);
    expect(batch.scannedPos).toBe(afterPos + 1);
  });

  it('pages through the timeline of anchors, newest first, with many events at one instant', async () => {
    const log = newLog();
    const times = [5, 3, 3, 3, 8, 1].map((offset) => NOW - 1_000_000 + offset);
    await log.append(
      times.flatMap((occurredAt, i) => [
        aPreparedEvent({ messageId: `line-a${String(i)}`, user: 'timeline-a', occurredAt }),
        aPreparedEvent({ messageId: `line-b${String(i)}`, user: 'timeline-b', occurredAt }),
        aPreparedEvent({ messageId: `line-c${String(i)}`, user: 'timeline-c', occurredAt }),
      ]),
    );
    const anchors = ['timeline-a', 'timeline-b', 'timeline-a'].map((user) => hashId('user_id', user));
    const whole = await log.readByAnchors(anchors, { limit: 100 });
    expect(whole).toHaveLength(12);
    const order = whole.map(({ occurredAt, pos }) => [occurredAt, pos]);
    expect(order).toEqual([...order].sort(([t1 = 0, p1 = 0], [t2 = 0, p2 = 0]) => t2 - t1 || p2 - p1));

    const paged: LoggedEvent[] = [];
    for (let before: { occurredAt: number; pos: number } | undefined; ; before = paged.at(-1)) {
      const page = await log.readByAnchors(anchors, { limit: 5, ...(before === undefined ? {} : { before }) });
      paged.push(...page);
      if (page.length < 5) break;
    }
    expect(paged).toEqual(whole);
    const fromMs = NOW - 1_000_000 + 3;
    const window = await log.readByAnchors(anchors, { limit: 100, fromMs, toMs: fromMs + 2 });
    expect(window).toHaveLength(6);
  });

  it('is unavailable, not wrong, when the database is gone', async () => {
    const gone = await test.connect();
    const log = newLog(gone);
    await gone.close();
    await expect(log.append([aPreparedEvent({ messageId: 'lost' })])).rejects.toThrow();
    await expect(newLog().append([aPreparedEvent({ messageId: 'lost' })])).resolves.toEqual(['appended']);
  });
});
