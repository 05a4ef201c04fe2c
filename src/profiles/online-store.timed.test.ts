import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { MemoryOnlineStore } from './online-store.memory.js';
import { TimedOnlineStore } from './online-store.timed.js';

const PATIENCE = { maxReadMs: 250, maxWriteMs: 1_000, pauseMs: 5_000 };

describe('TimedOnlineStore', () => {
  let nowMs: number;
  let inner: MemoryOnlineStore;
  let store: TimedOnlineStore;

  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    nowMs = 1_000_000;
    const clock = { now: () => nowMs };
    inner = new MemoryOnlineStore({ maxBytes: 10_000, clock });
    store = new TimedOnlineStore(inner, clock, PATIENCE);
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  const silent = () => new Promise<never>(() => undefined);
  const entry = { key: 'a', version: 1, bytes: Buffer.from('a') };

  it('answers as the store does, and leaves no timer behind', async () => {
    await store.putMany([entry]);
    expect(await store.getMany(['a', 'b'])).toMatchObject([{ version: 1, bytes: entry.bytes }, null]);
    await store.deleteMany(['a'], 1);
    expect(await store.getMany(['a'])).toEqual([null]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('gives a read up after its time, then asks nothing for a while, then again', async () => {
    const reading = vi.spyOn(inner, 'getMany').mockImplementation(silent);
    const first = expect(store.getMany(['a'])).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await vi.advanceTimersByTimeAsync(PATIENCE.maxReadMs);
    await first;
    await expect(store.getMany(['a'])).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await expect(store.putMany([entry])).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(reading).toHaveBeenCalledTimes(1);
    reading.mockRestore();
    nowMs += PATIENCE.pauseMs;
    expect(await store.getMany(['a'])).toEqual([null]);
  });

  it('has more patience with a write', async () => {
    vi.spyOn(inner, 'putMany').mockImplementation(silent);
    let error: unknown;
    const writing = store.putMany([entry]).catch((reason: unknown) => (error = reason));
    await vi.advanceTimersByTimeAsync(PATIENCE.maxWriteMs - 1);
    expect(error).toBeUndefined();
    await vi.advanceTimersByTimeAsync(1);
    await writing;
    expect(error).toMatchObject({ code: 'UNAVAILABLE' });
  });

  it('passes a failure on as it is, and pauses after it too', async () => {
    const failing = vi.spyOn(inner, 'getMany').mockRejectedValue(new Error('broken'));
    await expect(store.getMany(['a'])).rejects.toThrow('broken');
    failing.mockRestore();
    await expect(store.getMany(['a'])).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });

  it('does not pause for hours where the clock is set back', async () => {
    vi.spyOn(inner, 'getMany').mockRejectedValueOnce(new Error('broken'));
    await expect(store.getMany(['a'])).rejects.toThrow('broken');
    nowMs = 1_000;
    expect(await store.getMany(['a'])).toEqual([null]);
  });
});
