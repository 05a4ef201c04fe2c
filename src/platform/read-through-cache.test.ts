import { beforeEach, describe, expect, it } from 'vitest';
import { ManualClock } from './clock.js';
import { ReadThroughCache } from './read-through-cache.js';

interface Row {
  readonly version: number;
}

let clock: ManualClock;
let rows: Map<string, Row>;
let asked: [key: string, previous: Row | undefined][];
/** What look-ups wait for after they have read. */
let gate: Promise<void>;
let cache: ReadThroughCache<Row>;

beforeEach(() => {
  clock = new ManualClock(1_000);
  rows = new Map([['a', { version: 1 }]]);
  asked = [];
  gate = Promise.resolve();
  cache = new ReadThroughCache({
    maxAgeMs: 10_000,
    maxEntries: 2,
    clock,
    load: async (key, previous) => {
      asked.push([key, previous]);
      const row = rows.get(key) ?? null;
      await gate;
      return row;
    },
  });
});

describe('ReadThroughCache', () => {
  it('looks up once for many who ask, and again when the answer has reached its age', async () => {
    await Promise.all(Array.from({ length: 5 }, () => cache.get('a')));
    clock.advance(9_999);
    expect(cache.known('a')).toEqual({ version: 1 });
    rows.set('a', { version: 2 });
    clock.advance(1);
    expect(cache.known('a')).toBeUndefined();
    expect(await cache.get('a')).toEqual({ version: 2 });
    expect(asked).toEqual([
      ['a', undefined],
      ['a', { version: 1 }],
    ]);
  });

  it('does not keep that there is nothing, and forgets what is gone', async () => {
    expect(await cache.get('b')).toBeNull();
    rows.set('b', { version: 1 });
    expect(await cache.get('b')).toEqual({ version: 1 });
    rows.delete('b');
    clock.advance(10_000);
    expect(await cache.get('b')).toBeNull();
    expect(await cache.get('b')).toBeNull();
    expect(asked.map(([, previous]) => previous)).toEqual([undefined, undefined, { version: 1 }, undefined]);
  });

  it('keeps nothing of a look-up that was overtaken by a change, and lets nobody who asks later share it', async () => {
    let open: () => void = () => undefined;
    gate = new Promise((resolve) => (open = resolve));
    const early = cache.get('a');
    rows.set('a', { version: 2 });
    cache.clear();
    const late = cache.get('a');
    open();
    expect(await early).toEqual({ version: 1 });
    expect(await late).toEqual({ version: 2 });
    expect(cache.known('a')).toEqual({ version: 2 });
  });

  it('asks again after a look-up that failed', async () => {
    gate = Promise.reject(new Error('no answer'));
    await expect(cache.get('a')).rejects.toThrow('no answer');
    gate = Promise.resolve();
    expect(await cache.get('a')).toEqual({ version: 1 });
  });

  it('holds no more than its bound', async () => {
    for (const key of ['a', 'b', 'c']) rows.set(key, { version: 1 });
    for (const key of ['a', 'b', 'c']) await cache.get(key);
    expect([cache.known('a'), cache.known('c')]).toEqual([undefined, { version: 1 }]);
  });
});

describe('an answer that may stand in for one that is away', () => {
  let errors: unknown[];

  beforeEach(() => {
    errors = [];
    const answer = async (key: string): Promise<Row | null> => {
      const row = rows.get(key) ?? null;
      asked.push([key, undefined]);
      await gate;
      return row;
    };
    cache = new ReadThroughCache({
      maxAgeMs: 10_000,
      maxEntries: 2,
      clock,
      load: answer,
      standIn: {
        refreshAfterMs: 5_000,
        maxAgeMs: 600_000,
        patienceMs: 1,
        mayStandIn: ({ version }) => version < 9,
        onError: (error) => errors.push(error),
      },
    });
  });

  const isAway = (): void => {
    gate = Promise.reject(new Error('away'));
    gate.catch(() => undefined);
  };

  it('is looked up anew before its age, so that nobody waits', async () => {
    await cache.get('a');
    rows.set('a', { version: 2 });
    clock.advance(5_000);
    expect(cache.known('a')).toEqual({ version: 1 });
    await Promise.resolve();
    await expect.poll(() => cache.known('a')).toEqual({ version: 2 });
    expect(asked).toHaveLength(2);
  });

  it('counts past its age where the look-up fails, is tried again each second, and ends with its bound', async () => {
    await cache.get('a');
    isAway();
    clock.advance(10_000);
    expect(cache.known('a')).toBeUndefined();
    expect(await cache.get('a')).toEqual({ version: 1 });
    expect(errors).toHaveLength(1);
    expect(cache.known('a')).toEqual({ version: 1 });
    expect(asked).toHaveLength(2);
    clock.advance(1_000);
    expect(cache.known('a')).toEqual({ version: 1 });
    await expect.poll(() => errors.length).toBe(2);
    clock.advance(589_000);
    expect(cache.known('a')).toBeUndefined();
    await expect(cache.get('a')).rejects.toThrow('away');
  });

  it('counts past its age where the look-up hangs, until that has come to something', async () => {
    await cache.get('a');
    let open: () => void = () => undefined;
    gate = new Promise((resolve) => (open = resolve));
    rows.set('a', { version: 2 });
    clock.advance(10_000);
    expect(await cache.get('a')).toEqual({ version: 1 });
    expect(cache.known('a')).toEqual({ version: 1 });
    open();
    await expect.poll(() => cache.known('a')).toEqual({ version: 2 });
  });

  it('does not count past its age while the look-up answers, nor where it may not stand in', async () => {
    await cache.get('a');
    rows.set('a', { version: 9 });
    clock.advance(10_000);
    expect(await cache.get('a')).toEqual({ version: 9 });
    isAway();
    clock.advance(10_000);
    await expect(cache.get('a')).rejects.toThrow('away');
  });
});
