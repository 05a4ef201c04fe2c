import { describe, expect, it } from 'vitest';
import { ErasureChore, type ErasureChoreParts } from './erasure-chore.js';

/** Erasures that wait for what was accepted before them, unless they are busy: each step of those is one that fails. */
function aChore(count: number, isBusy: (id: string) => boolean = () => false) {
  let nowMs = 1_000_000;
  const clock = { now: () => nowMs, advance: (ms: number) => (nowMs += ms) };
  const looked: string[] = [];
  const asked: string[] = [];
  const all = Array.from({ length: count }, (_, i) => String(i).padStart(3, '0'));
  const open = (id: string) => ({ id, status: isBusy(id) ? 'running' : 'waiting', barrierPos: 1, failures: 0 });
  const erasures = {
    next: (_db: unknown, _now: number, { except = [], only = null }: { except?: string[]; only?: string | null }) => {
      asked.push(only ?? 'next');
      const id = all.find((each) => (only === null ? !except.includes(each) : each === only));
      if (id !== undefined) looked.push(id);
      return Promise.resolve(id === undefined ? null : open(id));
    },
    fail: () => Promise.resolve(),
    countFailing: () => Promise.resolve(0),
  };
  const parts = {
    clock,
    db: { query: () => Promise.resolve([{ pos: 0 }]), run: () => Promise.resolve({ rows: [{ pos: 0 }] }) },
    erasures,
    retractions: { ofErasure: () => Promise.reject(new TypeError('a step that fails')) },
    observer: { choreFailed: () => undefined, erasuresFailing: () => undefined },
  } as unknown as ErasureChoreParts;
  return { chore: new ErasureChore(parts), clock, looked, asked, all };
}

describe('erasures that wait', () => {
  it('are looked at once, then a quarter of a second later, or once anything was done', async () => {
    const { chore, clock, looked, asked } = aChore(3);
    expect(await chore.runOne()).toBe(false);
    expect(looked).toEqual(['000', '001', '002']);
    const statements = asked.length;
    clock.advance(249);
    for (let turn = 0; turn < 50; turn++) expect(await chore.runOne()).toBe(false);
    expect(asked).toHaveLength(statements);
    clock.advance(1);
    await chore.runOne();
    expect(looked).toHaveLength(6);
    chore.stir();
    await chore.runOne();
    await chore.runOne();
    expect(looked).toHaveLength(9);
    chore.wake();
    await chore.runOne();
    expect(looked).toHaveLength(12);
  });

  it('are looked at again in the turn that ends a round in which something was done', async () => {
    const { chore, looked } = aChore(10);
    await chore.runOne();
    expect(looked).toHaveLength(8);
    chore.stir();
    await chore.runOne();
    expect(looked.slice(8, 10)).toEqual(['008', '009']);
    expect(looked.slice(10, 13)).toEqual(['000', '001', '002']);
  });

  it('do not rest for longer where the clock is set back', async () => {
    const { chore, clock, looked } = aChore(1);
    await chore.runOne();
    clock.advance(-10_000);
    await chore.runOne();
    expect(looked).toHaveLength(2);
  });

  it.each([9, 100, 300])('all have their turn, %i of them, however seldom turns are', async (count) => {
    const { chore, clock, looked, all } = aChore(count);
    for (let turn = 0; turn < count; turn++) {
      await chore.runOne();
      clock.advance(200);
    }
    expect(new Set(looked)).toEqual(new Set(all));
    const times = all.map((id) => looked.filter((each) => each === id).length);
    // Eight a turn; some of them twice in a round that takes longer than a second.
    expect(Math.min(...times)).toBeGreaterThanOrEqual(3);
  });

  it('keep nobody from going on, and are not forgotten by who has much to do', async () => {
    const { chore, clock, looked } = aChore(12, (id) => id === '011');
    for (let turn = 0; turn < 100; turn++) {
      await chore.runOne();
      clock.advance(100);
    }
    expect(looked.filter((id) => id === '011').length).toBeGreaterThan(90);
    for (const id of ['000', '005', '010']) {
      const times = looked.filter((each) => each === id).length;
      expect(times).toBeGreaterThanOrEqual(5);
      expect(times).toBeLessThan(15);
    }
  });
});
