import { beforeEach, describe, expect, it } from 'vitest';
import { WorkersExclude } from '../events/partition-lease.model.js';
import { ManualClock } from '../platform/clock.js';
import { WeftError } from '../platform/errors.js';
import { WorkerHealth } from './worker-health.js';

const IDLE = { headPos: 10, appliedPos: 10 };
const BEHIND = { headPos: 10, appliedPos: 4 };

let clock: ManualClock;
let health: WorkerHealth;

beforeEach(() => {
  clock = new ManualClock(Date.UTC(2026, 0, 1));
  health = new WorkerHealth(clock);
});

function fail(times: number, everyMs: number, error: unknown = new WeftError('MODEL_INVALID', 'secret')): void {
  for (let i = 0; i < times; i += 1) {
    health.failed(error);
    clock.advance(everyMs);
  }
}

describe('the health of a worker', () => {
  it('is good at first, and while it gets on', () => {
    expect(health.problem(IDLE)).toBeNull();
    for (let appliedPos = 0; appliedPos < 10; appliedPos += 1) {
      expect(health.problem({ headPos: 10, appliedPos })).toBeNull();
      clock.advance(59_000);
    }
  });

  it('is bad while every attempt fails, with how often, since when and why', () => {
    fail(6, 1_000);
    expect(health.problem(IDLE)).toBe('the last 6 attempts failed, since 2026-01-01T00:00:00.000Z: MODEL_INVALID');
    fail(1, 0, new WeftError('EXPRESSION_INVALID', 'secret', { where: 'segment a' }));
    expect(health.problem(IDLE)).toMatch(/EXPRESSION_INVALID at segment a$/);
    fail(1, 0, new TypeError('secret'));
    expect(health.problem(IDLE)).toMatch(/INTERNAL$/);
  });

  it('is not bad for collisions that pass', () => {
    fail(8, 10);
    expect(health.problem(IDLE)).toBeNull();
    fail(4, 4_000);
    health.progressed();
    fail(1, 4_000);
    expect(health.problem(IDLE)).toBeNull();
  });

  it('is good again once a batch is committed, or nothing fails any more', () => {
    fail(6, 1_000);
    health.progressed();
    expect(health.problem(IDLE)).toBeNull();
    fail(6, 1_000);
    clock.advance(15_000);
    expect(health.problem(IDLE)).toBeNull();
    fail(1, 0);
    expect(health.problem(IDLE)).toBeNull();
  });

  it('is bad where another process applies the events', () => {
    fail(6, 1_000, new WorkersExclude());
    expect(health.problem(BEHIND)).toBe('another process applies the events, since 2026-01-01T00:00:00.000Z');
  });

  it('is bad where events wait and none is applied, without any failure', () => {
    expect(health.problem(BEHIND)).toBeNull();
    clock.advance(59_999);
    expect(health.problem(BEHIND)).toBeNull();
    clock.advance(1);
    expect(health.problem({ ...BEHIND, headPos: 12 })).toBe('8 events wait, none was applied for 60 s');
    expect(health.problem({ headPos: 12, appliedPos: 5 })).toBeNull();
  });

  it('does not count the time in which nothing waited', () => {
    expect(health.problem(BEHIND)).toBeNull();
    clock.advance(30_000);
    expect(health.problem(IDLE)).toBeNull();
    clock.advance(30_000);
    expect(health.problem({ headPos: 11, appliedPos: 10 })).toBeNull();
  });
});
