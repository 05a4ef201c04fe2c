import { describe, expect, it, vi } from 'vitest';
import { AppliedWatch, type LogProgress } from './applied-watch.js';

function aWatch(progress: LogProgress, options: { maxWaiting?: number } = {}) {
  const state = { ...progress, asked: 0, inFlight: 0, mostInFlight: 0, error: null as Error | null };
  const read = async (): Promise<LogProgress> => {
    state.asked++;
    state.mostInFlight = Math.max(state.mostInFlight, ++state.inFlight);
    await Promise.resolve();
    state.inFlight--;
    if (state.error !== null) throw state.error;
    return { appliedPos: state.appliedPos, headPos: state.headPos };
  };
  const onError = vi.fn();
  return { state, onError, watch: new AppliedWatch({ read, onError, pollMs: 1, ...options }) };
}

describe('waiting until events are applied', () => {
  it('asks nobody for what this process has applied itself', async () => {
    const { watch, state } = aWatch({ appliedPos: 0, headPos: 9 });
    watch.published(7);
    expect(await watch.until(7, 1_000)).toBe('published');
    expect(state.asked).toBe(0);
  });

  it('learns from the database of what others have applied, and remembers it', async () => {
    const { watch, state } = aWatch({ appliedPos: 5, headPos: 9 });
    expect(await watch.until(5, 1_000)).toBe('committed');
    expect(await watch.until(4, 1_000)).toBe('committed');
    expect(state.asked).toBe(1);
  });

  it('ends the wait when this process has applied it, whatever the database says', async () => {
    const { watch } = aWatch({ appliedPos: 0, headPos: 9 });
    const waiting = watch.until(8, 60_000);
    watch.published(9);
    expect(await waiting).toBe('published');
  });

  it('is late when the time is up, and asks no more once nobody waits', async () => {
    const { watch, state } = aWatch({ appliedPos: 0, headPos: 9 });
    expect(await watch.until(8, 2)).toBe('late');
    await vi.waitFor(() => {
      expect(watch.waiting).toBe(0);
    });
    const { asked } = state;
    await new Promise((resolve) => setImmediate(resolve));
    expect(state.asked).toBe(asked);
  });

  it('asks one question at a time, however many wait', async () => {
    const { watch, state } = aWatch({ appliedPos: 0, headPos: 9_000 });
    const all = Array.from({ length: 1_000 }, (_, i) => watch.until(i + 1, 60_000));
    state.appliedPos = 1_000;
    expect(new Set(await Promise.all(all))).toEqual(new Set(['committed']));
    expect(state.mostInFlight).toBe(1);
    expect(state.asked).toBeLessThan(5);
  });

  it('lets no more wait than it may', async () => {
    const { watch } = aWatch({ appliedPos: 0, headPos: 9 }, { maxWaiting: 1 });
    const first = watch.until(8, 60_000);
    expect(await watch.until(8, 60_000)).toBe('late');
    watch.published(8);
    expect(await first).toBe('published');
  });

  it('does not wait for a position that the log has not handed out', async () => {
    const { watch } = aWatch({ appliedPos: 9, headPos: 9 });
    expect(await watch.until(10, 60_000)).toBe('never');
    expect(await watch.until(9, 60_000)).toBe('committed');
  });

  it('waits for one that was handed out while the end of the log was asked for', async () => {
    const answers: ((progress: LogProgress) => void)[] = [];
    const read = () => new Promise<LogProgress>((resolve) => answers.push(resolve));
    const watch = new AppliedWatch({ read, onError: () => undefined, pollMs: 1 });
    const before = watch.until(9, 60_000);
    const during = watch.until(10, 60_000);
    answers[0]?.({ appliedPos: 0, headPos: 9 });
    await vi.waitFor(() => expect(answers).toHaveLength(2));
    answers[1]?.({ appliedPos: 10, headPos: 10 });
    expect(await Promise.all([before, during])).toEqual(['committed', 'committed']);
  });

  it('asks nobody about a position that is far beyond the end as it was a moment ago', async () => {
    const { watch, state } = aWatch({ appliedPos: 9, headPos: 9 });
    expect(await watch.until(1_000_000_000, 60_000)).toBe('never');
    const { asked } = state;
    expect(await watch.until(1_000_000_000, 60_000)).toBe('never');
    expect(state.asked).toBe(asked);
    state.headPos = 1_000;
    expect(await watch.until(1_001, 60_000)).toBe('never');
    expect(state.asked).toBeGreaterThan(asked);
  });

  it('goes on asking when the database fails', async () => {
    const { watch, state, onError } = aWatch({ appliedPos: 9, headPos: 9 });
    state.error = new Error('down');
    const waiting = watch.until(9, 60_000);
    await vi.waitFor(() => {
      expect(onError).toHaveBeenCalled();
    });
    state.error = null;
    expect(await waiting).toBe('committed');
  });
});
