import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { SegmentChange } from '../segments/segment.model.js';
import { ChangeHub } from './change-hub.js';
import { matchesFilter, type ChangeFilter } from './change-feed.reader.js';

const change = (seq: number): SegmentChange => ({
  seq,
  profileId: `p${String(seq % 3)}`,
  segmentId: seq % 2,
  kind: 'enter',
  at: seq,
  version: 1,
  cause: { kind: 'event', pos: seq },
});

/** A feed in memory that counts how often it is read. */
class Feed {
  readonly rows: SegmentChange[] = [];
  reads = 0;

  append(count: number): SegmentChange[] {
    const added = Array.from({ length: count }, (_, i) => change(this.rows.length + 1 + i));
    this.rows.push(...added);
    return added;
  }

  head = async (): Promise<number> => Promise.resolve(this.rows.length);

  after = async (seq: number, limit: number, filter: ChangeFilter = {}): Promise<SegmentChange[]> => {
    this.reads++;
    await new Promise((resolve) => setImmediate(resolve));
    return this.rows.filter((row) => row.seq > seq && matchesFilter(row, filter)).slice(0, limit);
  };
}

const failOnError = (error: unknown): never => {
  throw error as Error;
};

function aHub(feed: Feed, options: Partial<ConstructorParameters<typeof ChangeHub>[0]> = {}): ChangeHub {
  return new ChangeHub({ feed, pollMs: 1, onError: failOnError, ...options });
}

async function takeUntil(hub: ChangeHub, last: number, after?: number, filter: ChangeFilter = {}): Promise<number[]> {
  const seen: number[] = [];
  for await (const page of hub.subscribe({ filter, ...(after === undefined ? {} : { after }) })) {
    seen.push(...page.map((c) => c.seq));
    if ((seen.at(-1) ?? 0) >= last) break;
  }
  return seen;
}

const upTo = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i);

describe('ChangeHub', () => {
  it('goes from the past to the present without a gap or a repeat, wherever changes are committed', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          past: fc.nat(30),
          after: fc.nat(30),
          commits: fc.array(fc.record({ size: fc.integer({ min: 1, max: 8 }), isLocal: fc.boolean() }), {
            maxLength: 20,
          }),
          maxQueuedChanges: fc.integer({ min: 1, max: 6 }),
          maxPageChanges: fc.integer({ min: 1, max: 5 }),
        }),
        async ({ past, after, commits, maxQueuedChanges, maxPageChanges }) => {
          const feed = new Feed();
          feed.append(past + 1);
          const from = Math.min(after, past);
          const hub = aHub(feed, { maxQueuedChanges, maxPageChanges });
          const total = feed.rows.length + commits.reduce((sum, { size }) => sum + size, 0);
          const watching = takeUntil(hub, total, from);
          for (const { size, isLocal } of commits) {
            const added = feed.append(size);
            if (isLocal) hub.notify(added);
            await new Promise((resolve) => setImmediate(resolve));
          }
          expect(await watching).toEqual(upTo(from + 1, total));
          await hub.close();
        },
      ),
      { numRuns: 60 },
    );
  });

  it('survives disconnects at random moments when the last cursor is passed on', async () => {
    const feed = new Feed();
    feed.append(5);
    const hub = aHub(feed, { maxQueuedChanges: 4 });
    const seen: number[] = [];
    for (let round = 0; round < 40; round++) {
      hub.notify(feed.append(1 + (round % 5)));
      const stopAt = (seen.at(-1) ?? 0) + 1 + (round % 3);
      for await (const page of hub.subscribe({ after: seen.at(-1) ?? 0, filter: {} })) {
        for (const c of page) if (c.seq <= stopAt) seen.push(c.seq);
        if ((seen.at(-1) ?? 0) >= stopAt) break;
      }
    }
    expect(seen).toEqual(upTo(1, seen.length));
    await hub.close();
  });

  it('starts with what comes next where no cursor is given', async () => {
    const feed = new Feed();
    feed.append(3);
    const hub = aHub(feed);
    const watching = takeUntil(hub, 4);
    await expect.poll(() => hub.subscribers).toBe(1);
    hub.notify(feed.append(1));
    expect(await watching).toEqual([4]);
    await hub.close();
  });

  it('keeps to the filter, in the past and live', async () => {
    const feed = new Feed();
    feed.append(10);
    const hub = aHub(feed);
    const watching = takeUntil(hub, 19, 0, { segmentIds: [1], profileIds: ['p1'] });
    await expect.poll(() => hub.subscribers).toBe(1);
    hub.notify(feed.append(10));
    expect(await watching).toEqual([1, 7, 13, 19]);
    await hub.close();
  });

  it('lets a slow subscriber read the table at its own speed and keeps nothing for it', async () => {
    const feed = new Feed();
    const hub = aHub(feed, { maxQueuedChanges: 10, maxPageChanges: 5 });
    const pages = hub.subscribe({ after: 0, filter: {} });
    feed.append(1);
    expect((await pages.next()).value).toHaveLength(1);
    for (let i = 0; i < 50; i++) hub.notify(feed.append(10));
    expect(hub.overflows).toBe(1);
    const seen: number[] = [];
    while (seen.length < 500) {
      const { value } = await pages.next();
      expect(value?.length).toBeLessThanOrEqual(5);
      seen.push(...(value ?? []).map((c) => c.seq));
    }
    expect(seen).toEqual(upTo(2, 501));
    await hub.close();
  });

  it('ends at once while it waits, and reads nothing while nobody listens', async () => {
    const feed = new Feed();
    const hub = aHub(feed);
    const pages = hub.subscribe({ filter: {} });
    const waiting = pages.next();
    await expect.poll(() => hub.subscribers).toBe(1);
    await pages.return?.();
    expect(await waiting).toEqual({ done: true, value: undefined });
    expect(hub.subscribers).toBe(0);
    await new Promise((resolve) => setTimeout(resolve, 5));
    const { reads } = feed;
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(feed.reads).toBe(reads);
    await hub.close();
  });

  it('ends every subscription when it is closed', async () => {
    const hub = aHub(new Feed());
    const waiting = hub.subscribe({ filter: {} }).next();
    await expect.poll(() => hub.subscribers).toBe(1);
    await hub.close();
    expect((await waiting).done).toBe(true);
  });

  it('goes on after the feed could not be read', async () => {
    const feed = new Feed();
    const errors: unknown[] = [];
    let broken = false;
    const after: Feed['after'] = async (seq, limit, filter) => {
      if (broken) throw new Error('down');
      return feed.after(seq, limit, filter);
    };
    const hub = new ChangeHub({
      feed: { head: feed.head, after },
      pollMs: 1,
      retryMs: 1,
      onError: (error) => {
        errors.push(error);
        broken = false;
      },
    });
    const watching = takeUntil(hub, 2);
    await expect.poll(() => hub.subscribers).toBe(1);
    broken = true;
    await expect.poll(() => errors.length).toBe(1);
    feed.append(2);
    expect(await watching).toEqual([1, 2]);
    await hub.close();
  });
});
