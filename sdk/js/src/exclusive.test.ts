import { describe, expect, it } from 'vitest';
import { createExclusive, type Exclusive } from './exclusive.js';
import { createStore } from './storage.js';

/** Tabs without Web Locks on one store; whoever settles waits until the test lets time pass. */
function tabs(owners: readonly string[]) {
  const store = createStore(null);
  let nowMs = 0;
  let sleepers: (() => void)[] = [];
  const open = (pageId: string): Exclusive =>
    createExclusive({
      locks: undefined,
      store,
      name: 'sender',
      pageId,
      leaseMs: 10_000,
      now: () => nowMs,
      sleep: () => new Promise((resolve) => sleepers.push(resolve)),
    });
  return {
    tabs: owners.map(open),
    pass: async (ms: number): Promise<void> => {
      // What was asked for has got as far as to sleep by then.
      await new Promise(setImmediate);
      nowMs += ms;
      for (const wake of sleepers.splice(0)) wake();
      sleepers = [];
      await new Promise(setImmediate);
    },
  };
}

describe('a lease on the queue, where there are no Web Locks', () => {
  it('is given to one of two tabs that ask at once', async () => {
    const { tabs: both, pass } = tabs(['a', 'b']);
    const ran: string[] = [];
    const results = both.map((tab, i) =>
      tab.run(async () => {
        ran.push(String(i));
      }),
    );
    await pass(50);
    expect(await Promise.all(results)).toEqual([true, false]);
    expect(ran).toEqual(['0']);
  });

  it('is free again when its holder is done, or has given it up', async () => {
    const { tabs: both, pass } = tabs(['a', 'b']);
    for (const tab of [...both, ...both]) {
      const result = tab.run(async () => undefined);
      await pass(50);
      expect(await result).toBe(true);
    }
  });

  it('outlives a holder that is gone no longer than it was last renewed for', async () => {
    const { tabs: both, pass } = tabs(['a', 'b']);
    const [a, b] = both;
    a?.run(() => new Promise<void>(() => undefined)).catch(String);
    await pass(50);
    await pass(9_000);
    a?.renew();
    await pass(9_000);
    expect(await b?.run(async () => undefined)).toBe(false);
    await pass(1_001);
    const result = b?.run(async () => undefined);
    await pass(50);
    expect(await result).toBe(true);
  });

  it('is given up by a page that goes away, and by none other', async () => {
    const { tabs: both, pass } = tabs(['a', 'b']);
    const [a, b] = both;
    a?.run(() => new Promise<void>(() => undefined)).catch(String);
    await pass(50);
    b?.release();
    expect(await b?.run(async () => undefined)).toBe(false);
    a?.release();
    const result = b?.run(async () => undefined);
    await pass(50);
    expect(await result).toBe(true);
  });
});

describe('Web Locks that cannot be used, as in a sandboxed frame', () => {
  it('give way to the lease', async () => {
    const request = (): Promise<never> => Promise.reject(new Error('not here'));
    const exclusive = createExclusive({
      locks: { request, query: request },
      store: createStore(null),
      name: 'sender',
      pageId: 'a',
      leaseMs: 10_000,
      now: () => 0,
      sleep: () => Promise.resolve(),
    });
    let runs = 0;
    expect(
      await exclusive.run(async () => {
        runs += 1;
      }),
    ).toBe(true);
    expect(runs).toBe(1);
  });
});
