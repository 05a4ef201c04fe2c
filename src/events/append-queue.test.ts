import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AppendQueue } from './append-queue.js';
import type { AppendQueueLimits } from './append-queue.js';
import type { AppendOutcome, PreparedEvent } from './event-log.model.js';

const LIMITS: AppendQueueLimits = {
  maxBatchEvents: 4,
  maxBatchBytes: 100,
  maxQueuedEvents: 20,
  maxQueuedBytes: 1000,
};

function anEvent(key: string, bytes = 10): PreparedEvent {
  return {
    sourceId: 1,
    dedupeId: key,
    anchorId: 'anchor',
    identifiers: [],
    occurredAt: 0,
    rulesVersion: 1,
    historical: false,
    payload: Buffer.alloc(bytes),
  };
}

/** Writes that wait to be let go, one by one. */
class Writes {
  readonly batches: string[][] = [];
  readonly #waiting: { resolve: (outcomes: AppendOutcome[]) => void; reject: (error: Error) => void; size: number }[] =
    [];

  readonly write = (events: readonly PreparedEvent[]): Promise<AppendOutcome[]> => {
    this.batches.push(events.map(({ dedupeId }) => dedupeId));
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject, size: events.length }));
  };

  async release(error?: Error): Promise<void> {
    await turn();
    const next = this.#waiting.shift();
    if (error === undefined) next?.resolve(new Array<AppendOutcome>(next.size).fill('appended'));
    else next?.reject(error);
    await turn();
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

describe('AppendQueue', () => {
  it('puts calls of one turn into one write, and those made meanwhile into the next', async () => {
    const writes = new Writes();
    const queue = new AppendQueue(writes.write, LIMITS);
    const calls = [queue.append([anEvent('a')]), queue.append([anEvent('b')])];
    await turn();
    calls.push(queue.append([anEvent('c')]), queue.append([anEvent('d')]));
    await writes.release();
    await writes.release();
    await Promise.all(calls);
    expect(writes.batches).toEqual([
      ['a', 'b'],
      ['c', 'd'],
    ]);
    expect(queue.queuedEvents).toBe(0);
  });

  it('respects both limits of a write, and lets an event larger than the limit go alone', async () => {
    const writes = new Writes();
    const queue = new AppendQueue(writes.write, LIMITS);
    const done = queue.append([
      ...['a', 'b', 'c', 'd', 'e'].map((key) => anEvent(key)),
      anEvent('f', 95),
      anEvent('g', 300),
      anEvent('h'),
    ]);
    for (let i = 0; i < 5; i += 1) await writes.release();
    expect(await done).toHaveLength(8);
    expect(writes.batches).toEqual([['a', 'b', 'c', 'd'], ['e'], ['f'], ['g'], ['h']]);
  });

  it('refuses what exceeds its bounds, and takes more once there is room', async () => {
    const writes = new Writes();
    const queue = new AppendQueue(writes.write, LIMITS);
    const first = queue.append(Array.from({ length: 20 }, (_, i) => anEvent(String(i))));
    await expect(queue.append([anEvent('x')])).rejects.toMatchObject({ code: 'OVERLOADED', retryAfterMs: 1000 });
    for (let i = 0; i < 5; i += 1) await writes.release();
    await first;
    await expect(queue.append([anEvent('y', 1001)])).rejects.toMatchObject({ code: 'OVERLOADED' });
    const later = queue.append([anEvent('z')]);
    await writes.release();
    expect(await later).toEqual(['appended']);
  });

  it('fails the calls of a failed write, drops their rest, and goes on with the others', async () => {
    const writes = new Writes();
    const queue = new AppendQueue(writes.write, LIMITS);
    const failing = queue.append(Array.from({ length: 6 }, (_, i) => anEvent(`f${String(i)}`)));
    const other = queue.append([anEvent('ok')]);
    const failure = expect(failing).rejects.toThrow('disk');
    await writes.release(new Error('disk'));
    await failure;
    await writes.release();
    expect(await other).toEqual(['appended']);
    expect(writes.batches).toEqual([['f0', 'f1', 'f2', 'f3'], ['ok']]);
    expect(queue.queuedEvents).toBe(0);
  });

  it('writes every event once, in order within its call, and answers each event with its own outcome', async () => {
    const calls = fc.array(fc.array(fc.integer({ min: 1, max: 120 }), { maxLength: 9 }), { maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(calls, fc.integer({ min: 0, max: 5 }), async (sizes, pause) => {
        const written: string[] = [];
        const queue = new AppendQueue(
          (events) => {
            written.push(...events.map(({ dedupeId }) => dedupeId));
            expect(events.length).toBeLessThanOrEqual(LIMITS.maxBatchEvents);
            return turn().then(() =>
              events.map((e) => (Number(e.dedupeId.split('.')[1]) % 3 === 0 ? 'duplicate' : 'appended')),
            );
          },
          { ...LIMITS, maxQueuedEvents: 1000, maxQueuedBytes: 1e6 },
        );
        const results: Promise<AppendOutcome[]>[] = [];
        for (const [call, bytes] of sizes.entries()) {
          results.push(queue.append(bytes.map((size, i) => anEvent(`${String(call)}.${String(i)}`, size))));
          if (call % (pause + 1) === pause) await turn();
        }
        const outcomes = await Promise.all(results);
        expect(outcomes).toEqual(sizes.map((bytes) => bytes.map((_, i) => (i % 3 === 0 ? 'duplicate' : 'appended'))));
        expect(written).toEqual(sizes.flatMap((bytes, call) => bytes.map((_, i) => `${String(call)}.${String(i)}`)));
        expect(queue.queuedEvents).toBe(0);
      }),
      { numRuns: 200 },
    );
  });
});
