import { beforeEach, describe, expect, it } from 'vitest';
import { ManualClock } from '../platform/clock.js';
import { Metrics } from '../platform/metrics.js';
import { RateLimiter } from '../platform/rate-limiter.js';
import { rateOf, RequestLimits } from './request-limits.js';

let clock: ManualClock;
let metrics: Metrics;
let limits: RequestLimits;

type Sender = Parameters<RequestLimits['refusalOfRequest']>[0];

const KEY: Sender = { id: 'key', ratePerSecond: 10 };
const PLAIN: Sender = { id: 'plain', ratePerSecond: null };
const OPEN = { key: 'web', paused: false, maxEventsPerSecond: null };

beforeEach(() => {
  clock = new ManualClock(0);
  metrics = new Metrics({ defaults: false });
  const limiter = (tokensPerSecond: number) => new RateLimiter({ ...rateOf(tokensPerSecond), maxKeys: 10 }, clock);
  limits = new RequestLimits({ events: limiter(100), requests: limiter(50), sources: limiter(1), metrics });
});

/** The code and the wait of the refusal; null where it was admitted. */
function refusal(ask: () => void): unknown {
  try {
    ask();
    return null;
  } catch (error) {
    const { code, retryAfterMs } = error as { code: string; retryAfterMs: number };
    return [code, retryAfterMs];
  }
}

const events = (count: number, key: Sender = KEY, source: Parameters<RequestLimits['admitEvents']>[1] = OPEN) =>
  refusal(() => {
    limits.admitEvents(key, source, count);
  });

describe('RequestLimits', () => {
  it('holds a key to its own rate of events, and one without to the rate of all', () => {
    expect(events(20)).toBeNull();
    expect(events(1)).toEqual(['RATE_LIMITED', 100]);
    expect(events(200, PLAIN)).toBeNull();
    expect(events(1, PLAIN)).toEqual(['RATE_LIMITED', 10]);
    clock.advance(100);
    expect(events(1)).toBeNull();
  });

  it('counts the requests of a key apart from its events, and holds one without a rate to the rate of all', () => {
    const ask = (key: Sender) => limits.refusalOfRequest(key) ?? null;
    expect(events(20)).toBeNull();
    for (let i = 0; i < 20; i += 1) expect(ask(KEY)).toBeNull();
    expect(ask(KEY)).toMatchObject({ code: 'RATE_LIMITED', retryAfterMs: 100 });
    for (let i = 0; i < 100; i += 1) expect(ask(PLAIN)).toBeNull();
    expect(ask(PLAIN)).toMatchObject({ code: 'RATE_LIMITED', retryAfterMs: 20 });
    clock.advance(20);
    expect(ask(PLAIN)).toBeNull();
  });

  it('holds all keys of a source together to the rate of the source', () => {
    const source = { ...OPEN, maxEventsPerSecond: 5 };
    expect(events(6, PLAIN, source)).toBeNull();
    expect(events(4, KEY, source)).toBeNull();
    expect(events(1, KEY, source)).toEqual(['RATE_LIMITED', 200]);
  });

  it('takes nothing of the source for events that the key may not send', () => {
    const source = { ...OPEN, maxEventsPerSecond: 15 };
    expect(events(20)).toBeNull();
    expect(events(20, KEY, source)).toEqual(['RATE_LIMITED', 2_000]);
    expect(events(30, PLAIN, source)).toBeNull();
  });

  it('sends everybody away from a paused source, and takes nothing of anybody for it', () => {
    expect(events(1, KEY, { ...OPEN, paused: true })).toEqual(['SOURCE_PAUSED', 10_000]);
    expect(events(20)).toBeNull();
  });

  it('counts each limit that is reached', async () => {
    events(20);
    events(1);
    events(1);
    events(1, KEY, { ...OPEN, paused: true });
    const text = await metrics.text();
    expect(text).toContain('weft_requests_limited_total{limit="key_events"} 2');
    expect(text).toContain('weft_requests_limited_total{limit="source_paused"} 1');
  });

  it('lets a key hold so many connections open, and another in the place of each that is closed', async () => {
    limits = new RequestLimits({
      events: new RateLimiter({ ...rateOf(1), maxKeys: 1 }, clock),
      requests: new RateLimiter({ ...rateOf(1), maxKeys: 1 }, clock),
      sources: new RateLimiter({ ...rateOf(1), maxKeys: 1 }, clock),
      connectionsPerKey: 2,
      metrics,
    });
    const open = (key: Sender) => refusal(() => limits.openConnection(key));
    const close = limits.openConnection(KEY);
    expect(open(KEY)).toBeNull();
    expect(open(KEY)).toEqual(['RATE_LIMITED', 5_000]);
    expect(open(PLAIN)).toBeNull();
    close();
    close();
    expect(open(KEY)).toBeNull();
    expect(open(KEY)).toEqual(['RATE_LIMITED', 5_000]);
    expect(await metrics.text()).toContain('weft_requests_limited_total{limit="key_connections"} 2');
  });
});
