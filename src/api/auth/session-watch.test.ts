import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ManualClock } from '../../platform/clock.js';
import { SessionWatch, type Session } from './session-watch.js';

let clock: ManualClock;
let errors: unknown[];
let watch: SessionWatch;

beforeEach(() => {
  clock = new ManualClock(1_000);
  errors = [];
  watch = new SessionWatch({ clock, onError: (error) => errors.push(error), sweepMs: 3_600_000, checkMs: 10_000 });
});
afterEach(() => {
  watch.close();
});

function aSession(options: { expiresAt?: number; isStillValid?: () => Promise<boolean> } = {}) {
  const session = { expiresAt: null, ends: 0, checks: 0, ...options };
  return Object.assign(session, {
    isStillValid: () => {
      session.checks += 1;
      return options.isStillValid?.() ?? Promise.resolve(true);
    },
    end: () => {
      session.ends += 1;
    },
  }) satisfies Session;
}

describe('SessionWatch', () => {
  it('ends a session in which nothing happens from the instant at which its credential expires, once', async () => {
    const session = aSession({ expiresAt: 5_000 });
    watch.add(session);
    clock.set(4_999);
    await watch.sweep();
    expect(session.ends).toBe(0);
    clock.set(5_000);
    await watch.sweep();
    await watch.sweep();
    expect(session).toMatchObject({ ends: 1, checks: 0 });
  });

  it('asks every ten seconds whether a credential still stands, and ends the session where it does not', async () => {
    let isValid = true;
    const session = aSession({ isStillValid: () => Promise.resolve(isValid) });
    watch.add(session);
    await watch.sweep();
    clock.advance(10_000);
    await watch.sweep();
    clock.advance(9_999);
    await watch.sweep();
    expect(session).toMatchObject({ ends: 0, checks: 1 });
    isValid = false;
    clock.advance(1);
    await watch.sweep();
    expect(session).toMatchObject({ ends: 1, checks: 2 });
  });

  it('cuts nobody off because it cannot be asked, and asks again', async () => {
    let answer = Promise.reject<boolean>(new Error('away'));
    answer.catch(() => undefined);
    const session = aSession({ isStillValid: () => answer });
    watch.add(session);
    clock.advance(10_000);
    await watch.sweep();
    expect(errors).toHaveLength(1);
    answer = Promise.resolve(false);
    await watch.sweep();
    expect(session.ends).toBe(1);
  });

  it('leaves alone what has ended by itself, even while it was asked about', async () => {
    const gone = aSession();
    watch.add(gone)();
    const leaving = aSession({
      isStillValid: () => {
        leave();
        return Promise.resolve(false);
      },
    });
    const leave = watch.add(leaving);
    clock.advance(10_000);
    await watch.sweep();
    await watch.sweep();
    expect([gone.checks, gone.ends, leaving.ends]).toEqual([0, 0, 0]);
  });

  it('goes on with the others where one cannot be told of', async () => {
    const unknowable = aSession({ isStillValid: () => Promise.reject(new Error('away')) });
    const revoked = aSession({ isStillValid: () => Promise.resolve(false) });
    watch.add(unknowable);
    watch.add(revoked);
    clock.advance(10_000);
    await watch.sweep();
    expect([unknowable.ends, revoked.ends]).toEqual([0, 1]);
    expect(errors).toHaveLength(1);
  });

  it('ends those that have expired while the answer about another is still awaited', async () => {
    let answer: (isValid: boolean) => void = () => undefined;
    watch.add(aSession({ isStillValid: () => new Promise((resolve) => (answer = resolve)) }));
    const expired = aSession({ expiresAt: 20_000 });
    watch.add(expired);
    clock.set(11_000);
    const sweeping = watch.sweep();
    clock.set(20_000);
    await watch.sweep();
    expect(expired).toMatchObject({ ends: 1, checks: 0 });
    answer(true);
    await sweeping;
  });
});
