import { describe, expect, it } from 'vitest';
import type { LogBatch } from './events/event-log.model.js';
import { LogAhead } from './log-ahead.js';

const OPTIONS = { parts: [0], limit: 10, maxBytes: 1_000 };

function aBatch(scannedPos: number): LogBatch {
  return { events: [], damaged: [], scannedPos, head: { pos: 100, acceptedAt: 0 } };
}

/** A log whose answers are given by hand, and what was prepared of them. */
function aLog() {
  const asked: { readonly afterPos: number; answer(batch: LogBatch | Error): void }[] = [];
  const prepared: LogBatch['events'][] = [];
  const ahead = new LogAhead({
    log: {
      readBatch: ({ afterPos }) =>
        new Promise((resolve, reject) => {
          const answer = (batch: LogBatch | Error): void => {
            if (batch instanceof Error) reject(batch);
            else resolve(batch);
          };
          asked.push({ afterPos, answer });
        }),
    },
    pipeline: {
      prepare: (events) => {
        prepared.push(events);
        return Promise.resolve();
      },
    },
  });
  return { ahead, asked, prepared };
}

describe('the batch of the log that comes next', () => {
  it('is read and prepared once, and had in its turn', async () => {
    const { ahead, asked, prepared } = aLog();
    ahead.begin({ ...OPTIONS, afterPos: 7 });
    const batch = aBatch(9);
    asked[0]?.answer(batch);
    expect(await ahead.take(7)).toBe(batch);
    expect(prepared).toEqual([batch.events]);
    expect(await ahead.take(7)).toBeNull();
    expect(asked.map(({ afterPos }) => afterPos)).toEqual([7]);
  });

  it('is not that of another place', async () => {
    const { ahead, asked } = aLog();
    ahead.begin({ ...OPTIONS, afterPos: 7 });
    asked[0]?.answer(aBatch(9));
    expect(await ahead.take(8)).toBeNull();
    expect(await ahead.take(7)).toBeNull();
  });

  it('is not prepared once it is forgotten: another may be being resolved by then', async () => {
    const { ahead, asked, prepared } = aLog();
    ahead.begin({ ...OPTIONS, afterPos: 7 });
    ahead.forget();
    asked[0]?.answer(aBatch(9));
    expect(await ahead.take(7)).toBeNull();
    ahead.begin({ ...OPTIONS, afterPos: 9 });
    asked[1]?.answer(aBatch(11));
    expect(await ahead.take(9)).toEqual(aBatch(11));
    expect(prepared).toHaveLength(1);
  });

  it('is read in its turn where that failed', async () => {
    const { ahead, asked } = aLog();
    ahead.begin({ ...OPTIONS, afterPos: 7 });
    asked[0]?.answer(new Error('the connection is lost'));
    expect(await ahead.take(7)).toBeNull();
  });
});
