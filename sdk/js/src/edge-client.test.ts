import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createEdgeClient } from './edge-client.js';
import type { Problem } from './problem.js';

const PROFILE = { known: true, degraded: false, asOf: null, segments: ['vip'], traits: {}, scores: [] };
const taken = (): Response => Response.json({ data: { edgeProfile: PROFILE } });
const refused = (status: number, code = 'ANY', retryAfter?: string): Response =>
  Response.json(
    { errors: [{ message: 'no', extensions: { code, hint: 'do it' } }] },
    { status, headers: retryAfter === undefined ? {} : { 'retry-after': retryAfter } },
  );

/** Weft answers what the test says; time stands still. */
function world() {
  const state = { nowMs: 1_000_000, answer: (): Response | Promise<Response> => taken() };
  const asked = vi.fn(() => Promise.resolve(state.answer()));
  vi.stubGlobal('fetch', asked);
  const problems: Problem[] = [];
  const timers: (() => void)[] = [];
  const client = createEdgeClient({
    url: 'http://weft.example',
    edgeKey: 'weft_e_x',
    now: () => state.nowMs,
    random: () => 0,
    later: (task) => {
      timers.push(task);
      return () => undefined;
    },
    onProblem: (problem) => problems.push(problem),
  });
  const ask = () => client({ identifier: { namespace: 'anonymous_id', value: 'x' }, deadlineMs: 100 });
  /** How long it takes until something is asked again, to the half second; null: more than an hour. */
  const waitsMs = async (): Promise<number | null> => {
    const before = asked.mock.calls.length;
    for (let ms = 0; ms <= 3_600_000; ms += 500) {
      await ask();
      if (asked.mock.calls.length > before) return ms;
      state.nowMs += 500;
    }
    return null;
  };
  return { state, asked, problems, timers, ask, waitsMs };
}

describe('what is asked after Weft has refused', () => {
  let made: ReturnType<typeof world>;
  beforeEach(() => {
    made = world();
  });
  afterEach(() => {
    vi.unstubAllGlobals();
  });

  it.each([401, 403])('is nothing for five minutes after %i, and then again', async (status) => {
    made.state.answer = () => refused(status);
    expect(await made.ask()).toBeNull();
    expect(await made.waitsMs()).toBe(300_000);
  });

  it.each([429, 503, 502])('is nothing for longer each time after %i, up to half a minute at least', async (status) => {
    made.state.answer = () => refused(status);
    const waits: (number | null)[] = [];
    await made.ask();
    for (let i = 0; i < 8; i += 1) waits.push(await made.waitsMs());
    expect(waits).toEqual([500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
  });

  it('is nothing before Retry-After is over', async () => {
    made.state.answer = () => refused(429, 'RATE_LIMITED', '7');
    await made.ask();
    expect(await made.waitsMs()).toBe(7_000);
  });

  it('begins anew once there was an answer', async () => {
    made.state.answer = () => refused(503);
    await made.ask();
    await made.waitsMs();
    made.state.answer = taken;
    await made.waitsMs();
    made.state.answer = () => refused(503);
    await made.ask();
    expect(await made.waitsMs()).toBe(500);
  });

  it('is one failure for all that were under way together', async () => {
    made.state.answer = () => refused(503);
    await Promise.all(Array.from({ length: 20 }, made.ask));
    expect(await made.waitsMs()).toBe(500);
  });

  it('is asked all the same after a refusal of this question alone, or with no network', async () => {
    made.state.answer = () => refused(200, 'FORBIDDEN');
    await made.ask();
    expect(await made.waitsMs()).toBe(0);
    made.state.answer = () => Promise.reject(new TypeError('Failed to fetch'));
    expect(await made.waitsMs()).toBe(0);
    expect(await made.waitsMs()).toBe(0);
  });

  it.each([400, 413, 414, 431])(
    'is asked all the same after %i, which is the fault of one question',
    async (status) => {
      made.state.answer = () => refused(status);
      expect(await made.ask()).toBeNull();
      expect(await made.waitsMs()).toBe(0);
    },
  );

  it('is told of once, with what Weft says', async () => {
    made.state.answer = () => refused(403, 'FORBIDDEN');
    for (let i = 0; i < 3; i += 1) await made.ask();
    expect(made.problems).toEqual([{ code: 'PROFILE_REFUSED', message: 'no', cause: 'FORBIDDEN', hint: 'do it' }]);
  });

  it('is told apart: late, no network, and an answer that is none of Weft', async () => {
    const late = new Promise<Response>((_, reject) => {
      vi.stubGlobal('fetch', (_url: string, { signal }: RequestInit) => {
        signal?.addEventListener('abort', () => reject(new DOMException('aborted', 'AbortError')));
        return late;
      });
    });
    const waiting = made.ask();
    for (const fire of made.timers) fire();
    expect(await waiting).toBeNull();
    vi.stubGlobal('fetch', made.asked);
    made.state.answer = () => Promise.reject(new TypeError('Failed to fetch'));
    await made.ask();
    made.state.answer = () => new Response('<h1>Bad gateway</h1>', { status: 502 });
    await made.ask();
    expect(made.problems).toMatchObject([
      { code: 'PROFILE_LATE' },
      { code: 'PROFILE_UNREACHABLE' },
      { code: 'PROFILE_REFUSED', message: 'Weft answered 502' },
    ]);
  });
});
