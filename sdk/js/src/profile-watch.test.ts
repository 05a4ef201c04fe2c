import { describe, expect, it } from 'vitest';
import { createProfileWatch, type SegmentChange } from './profile-watch.js';
import type { Profile } from './profile.model.js';

const aProfile = (segments: readonly string[], more: Partial<Profile> = {}): Profile => ({
  known: true,
  degraded: false,
  asOf: '2026-01-01T00:00:00.000Z',
  segments,
  traits: {},
  scores: [],
  ...more,
});

/** A watch whose timers the test lets go off, and whose answers it gives. */
function world(initial: Profile = aProfile([])) {
  const timers = new Map<() => void, number>();
  const answers: Profile[] = [];
  const state = { questions: 0, isVisible: true };
  const watch = createProfileWatch({
    initial,
    refreshMs: 30_000,
    random: () => 0.5,
    later: (task, delayMs) => {
      timers.set(task, delayMs);
      return () => timers.delete(task);
    },
    isVisible: () => state.isVisible,
    refresh: async () => {
      state.questions += 1;
      const answer = answers.shift() ?? watch.current();
      watch.adopt(answer);
      return !answer.degraded;
    },
  });
  const changes: SegmentChange[] = [];
  return {
    watch,
    answers,
    state,
    changes,
    listen: () => watch.subscribe((change) => changes.push(change)),
    delays: () => [...timers.values()],
    /** Lets what is due go off, and what it starts end. */
    elapse: async () => {
      const due = [...timers.keys()];
      timers.clear();
      for (const task of due) task();
      for (let i = 0; i < 5; i++) await Promise.resolve();
      for (const [task, delayMs] of [...timers]) {
        if (delayMs > 0) continue;
        timers.delete(task);
        task();
      }
    },
  };
}

describe('who listens for changes of segments', () => {
  it('hears of what was entered and left, and of nothing else', async () => {
    const { answers, changes, listen, elapse } = world(aProfile(['a', 'b']));
    listen();
    answers.push(aProfile(['a', 'b']), aProfile(['b', 'c']), aProfile(['c', 'b']));
    for (let i = 0; i < 3; i++) await elapse();
    expect(changes).toMatchObject([{ entered: ['c'], left: ['a'], segments: ['b', 'c'] }]);
  });

  it('does not take the default for a change once something is known', async () => {
    const { watch, answers, changes, listen, elapse } = world(aProfile(['a']));
    listen();
    answers.push(aProfile([], { degraded: true, asOf: null }));
    await elapse();
    expect(changes).toEqual([]);
    expect(watch.current().segments).toEqual(['a']);
  });

  it('asks at once where nothing is known, else after the interval', () => {
    const unknown = world(aProfile([], { degraded: true, asOf: null }));
    unknown.listen();
    expect(unknown.delays()).toEqual([0]);
    const known = world();
    known.listen();
    expect(known.delays()).toEqual([30_000]);
  });

  it('asks again, each time later up to the interval, where no answer came or one without the last events', async () => {
    const { answers, listen, elapse, delays } = world();
    listen();
    const seen: number[] = [];
    for (let i = 0; i < 8; i++) {
      answers.push(aProfile([], { degraded: true }));
      await elapse();
      seen.push(...delays());
    }
    expect(seen).toEqual([500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
    await elapse();
    expect(delays()).toEqual([30_000]);
    answers.push(aProfile([], { degraded: true }));
    await elapse();
    expect(delays()).toEqual([500]);
  });

  it('asks again soon after events were sent, and once for several', async () => {
    const { watch, state, listen, delays, elapse } = world();
    listen();
    watch.nudge();
    watch.nudge();
    expect(delays()).toEqual([50]);
    await elapse();
    expect(state.questions).toBe(1);
  });

  it('asks nothing while nobody looks', async () => {
    const { state, listen, elapse, delays } = world();
    listen();
    state.isVisible = false;
    await elapse();
    expect(state.questions).toBe(0);
    expect(delays()).toEqual([30_000]);
  });

  it('hears nothing any more once it has ended it, and nobody listening means no timer', async () => {
    const { watch, answers, changes, listen, elapse, delays } = world();
    const end = listen();
    answers.push(aProfile(['a']));
    end();
    expect(delays()).toEqual([]);
    watch.adopt(aProfile(['b']));
    await elapse();
    expect(changes).toEqual([]);
  });
});
