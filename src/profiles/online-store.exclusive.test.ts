import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { ManualClock } from '../platform/clock.js';
import { ExclusiveOnlineStore } from './online-store.exclusive.js';
import { MemoryOnlineStore } from './online-store.memory.js';

const ANN = { key: 'ann', version: 1, bytes: Buffer.from('what was') };

let store: ExclusiveOnlineStore;

beforeEach(async () => {
  vi.useFakeTimers();
  store = new ExclusiveOnlineStore(() => new MemoryOnlineStore({ maxBytes: 10_000, clock: new ManualClock(0) }));
  store.setAlone(true);
  await store.current.putMany([ANN]);
});

afterEach(() => {
  vi.useRealTimers();
});

it('keeps nothing while another process may change profiles, and shows what it held as past for a minute', async () => {
  expect(store.current.getNow?.('ann')?.bytes).toEqual(ANN.bytes);
  store.setAlone(false);
  expect(store.current.getNow?.('ann')).toBeUndefined();
  expect(await store.current.getMany(['ann'])).toEqual([null]);
  expect(store.current.getPast?.('ann')?.bytes).toEqual(ANN.bytes);
  vi.advanceTimersByTime(59_999);
  expect(store.current.getPast?.('ann')?.bytes).toEqual(ANN.bytes);
  vi.advanceTimersByTime(1);
  expect(store.current.getPast?.('ann')).toBeUndefined();
});

it('shows nothing as past once it is alone again, and does not forget by an old timer what it held since', () => {
  store.setAlone(false);
  vi.advanceTimersByTime(30_000);
  store.setAlone(true);
  expect(store.current.getPast?.('ann')).toBeUndefined();
  store.setAlone(false);
  vi.advanceTimersByTime(40_000);
  expect(store.current.getPast).toBeDefined();
  store.setAlone(false);
  vi.advanceTimersByTime(20_000);
  expect(store.current.getPast).toBeUndefined();
});
