import { describe, expect, it } from 'vitest';
import { ManualClock } from '../platform/clock.js';
import { MemoryOnlineStore } from './online-store.memory.js';
import { TOMBSTONE_MS } from './online-store.model.js';

const entry = (key: string, version: number, length = 1_000) => ({ key, version, bytes: Buffer.alloc(length) });

describe('MemoryOnlineStore', () => {
  it('stays within its bytes by losing what was read longest ago, and counts that', async () => {
    const store = new MemoryOnlineStore({ maxBytes: 10_000, clock: new ManualClock(0) });
    await store.putMany([entry('first', 1), entry('second', 1)]);
    for (let i = 0; i < 20; i += 1) {
      await store.getMany(['first']);
      await store.putMany([entry(`filler ${String(i)}`, 1)]);
    }
    expect(store.bytes).toBeLessThanOrEqual(10_000);
    expect(store.evictions).toBe(22 - store.entries);
    const [first, second] = await store.getMany(['first', 'second']);
    expect(first).not.toBeNull();
    expect(second).toBeNull();
  });

  it('does not go on serving the old version of a blob whose new one is too large to keep', async () => {
    const store = new MemoryOnlineStore({ maxBytes: 5_000, clock: new ManualClock(0) });
    await store.putMany([entry('a', 1)]);
    await store.putMany([entry('a', 2, 50_000)]);
    expect(await store.getMany(['a'])).toEqual([null]);
  });

  it('remembers a deletion for as long as the contract says, and no crowd of reads or writes makes it forget', async () => {
    const clock = new ManualClock(0);
    const store = new MemoryOnlineStore({ maxBytes: 5_000, clock });
    await store.deleteMany(['gone'], 7);
    for (let i = 0; i < 100; i += 1) await store.putMany([entry(`filler ${String(i)}`, 1)]);
    clock.advance(TOMBSTONE_MS - 1);
    await store.putMany([entry('gone', 7)]);
    expect(await store.getMany(['gone'])).toEqual([null]);
  });
});
