import { describe, expect, it } from 'vitest';

import { mapBatch } from '../src/api/map-tracking-call.js';
import { validateEvent } from '../src/events/validate-event.js';
import { CachedIdentifierPolicy } from '../src/identity/identifier-policy.js';
import { DEFAULT_IDENTITY_RULES } from '../src/identity/identity-rules.model.js';
import { ManualClock } from '../src/platform/clock.js';
import { LiveTraffic } from './live-traffic.js';
import {
  DEFAULT_TRAFFIC,
  type PlannedCall,
  planTraffic,
  type RecordedSession,
  type TrafficOptions,
} from './plan-traffic.js';
import { readSessions } from './record-sessions.js';

const START_MS = Date.UTC(2026, 0, 15, 12);
const MINUTE_MS = 60_000;
const sessions = await readSessions(new URL('./data/web-events.csv.gz', import.meta.url).pathname);

function plan(count: number, options: Partial<TrafficOptions> = {}): PlannedCall[] {
  const calls = planTraffic(sessions, { ...DEFAULT_TRAFFIC, startMs: START_MS, seed: 'test', ...options });
  return Array.from({ length: count }, () => calls.next().value);
}

function carts(calls: readonly PlannedCall[]): PlannedCall[] {
  return calls.filter((planned) => planned.call.event === 'add_to_cart');
}

describe('planned traffic', () => {
  it('is the same for the same seed, and another for another seed', () => {
    expect(plan(500)).toEqual(plan(500));
    expect(plan(500, { seed: 'other' })).not.toEqual(plan(500));
  });

  it('comes in order of time, each message once', () => {
    const calls = plan(3000);
    expect(calls.every((planned, i) => i === 0 || planned.atMs >= (calls[i - 1]?.atMs ?? Infinity))).toBe(true);
    expect(new Set(calls.map((planned) => planned.call.messageId)).size).toBe(3000);
  });

  it('leaves no gap longer than a few seconds', () => {
    const calls = plan(3000);
    const gaps = calls.slice(1).map((planned, i) => planned.atMs - (calls[i]?.atMs ?? 0));
    expect(Math.max(...gaps)).toBeLessThanOrEqual(DEFAULT_TRAFFIC.maxPauseMs);
    expect(gaps.filter((gap) => gap > 5000).length / gaps.length).toBeLessThan(0.05);
  });

  it('starts with carts that turn five minutes old within the first minute', () => {
    const calls = plan(DEFAULT_TRAFFIC.cartsLeftBefore);
    for (const { atMs, call } of calls) {
      expect([atMs, call.event]).toEqual([START_MS, 'add_to_cart']);
      const flipsAtMs = Date.parse(call.timestamp) + 5 * MINUTE_MS;
      expect(flipsAtMs).toBeGreaterThan(START_MS);
      expect(flipsAtMs).toBeLessThan(START_MS + MINUTE_MS);
    }
    expect(new Set(calls.map(({ call }) => call.anonymousId)).size).toBe(DEFAULT_TRAFFIC.cartsLeftBefore);
  });

  it('keeps those visitors away, so that the clock alone acts on them', () => {
    const calls = plan(2000);
    const early = new Set(calls.slice(0, DEFAULT_TRAFFIC.cartsLeftBefore).map(({ call }) => call.anonymousId));
    const returns = calls
      .slice(DEFAULT_TRAFFIC.cartsLeftBefore)
      .filter(({ atMs, call }) => early.has(call.anonymousId) && atMs < START_MS + 6 * MINUTE_MS);
    expect(returns).toEqual([]);
  });

  it('leaves some later carts alone for more than five minutes, and some are bought', () => {
    const calls = plan(6000);
    const endMs = calls.at(-1)?.atMs ?? 0;
    const settled = carts(calls).filter(({ atMs }) => atMs > START_MS && atMs < endMs - 10 * MINUTE_MS);
    const left = settled.filter(
      (cart) =>
        !calls.some(
          ({ atMs, call }) =>
            call.anonymousId === cart.call.anonymousId && atMs > cart.atMs && atMs <= cart.atMs + 5 * MINUTE_MS,
        ),
    );
    expect(left.length / settled.length).toBeGreaterThan(0.2);
    expect(left.length / settled.length).toBeLessThan(0.95);
    expect(calls.filter(({ call }) => call.event === 'purchase').length).toBeGreaterThan(10);
  });

  it('mixes known visitors, new ones and log-ins', () => {
    const known = new Set(sessions.map((session) => session.anonymousId));
    const calls = plan(3000);
    const share = calls.filter(({ call }) => known.has(call.anonymousId)).length / calls.length;
    expect(share).toBeGreaterThan(0.5);
    expect(share).toBeLessThan(0.9);
    const logins = calls.filter(({ call }) => call.type === 'identify');
    expect(logins.length).toBeGreaterThan(10);
    expect(logins.every(({ call }) => call.userId !== undefined && call.traits?.['email'] !== undefined)).toBe(true);
  });

  it('is what the tracking API takes, with the identifiers of the visitor', () => {
    const policy = new CachedIdentifierPolicy(DEFAULT_IDENTITY_RULES);
    const calls = plan(3000);
    const items = mapBatch({ batch: calls.map(({ call }) => call) }) ?? [];
    const namespaces = new Set<string>();
    items.forEach((item, index) => {
      if ('refusal' in item) throw new Error(item.refusal.reason);
      const receivedAtMs = calls[index]?.atMs ?? 0;
      const context = {
        sourceId: 1,
        receivedAtMs,
        historical: false,
        policy,
        newMessageId: () => 'none',
        origin: {},
        earliestMs: 0,
        plan: null,
        enrichment: null,
      };
      expect(validateEvent(item, context)).toMatchObject({ ok: true });
      expect(item.identifiers).toContainEqual({ ns: 'anonymous_id', value: calls[index]?.call.anonymousId });
      for (const { ns } of item.identifiers) namespaces.add(ns);
    });
    expect([...namespaces]).toEqual(expect.arrayContaining(['user_id', 'email', 'device_id', 'twitter']));
  });

  it('refuses to plan without sessions', () => {
    expect(() => planTraffic([], { ...DEFAULT_TRAFFIC, startMs: 0, seed: '' }).next()).toThrow(/at least one/);
  });
});

interface Posted {
  readonly url: string;
  readonly authorization: string;
  readonly messageIds: string[];
}

/** A server that answers with the given responses in turn, the last one for ever, and time that passes by waiting. */
function aTraffic(
  answers: readonly (() => Response)[],
  stopAfter: number,
  recorded: readonly RecordedSession[] = sessions,
) {
  const clock = new ManualClock(START_MS);
  const stop = new AbortController();
  const posted: Posted[] = [];
  const waits: number[] = [];
  const traffic = new LiveTraffic({
    baseUrl: 'http://shop.test',
    writeKey: 'key',
    sessions: recorded,
    clock,
    plan: { seed: 'test' },
    fetch: (url, init) => {
      const body = JSON.parse(init?.body as string) as { batch: { messageId: string }[] };
      const headers = init?.headers as Record<string, string>;
      posted.push({
        url: url as string,
        authorization: headers['authorization'] ?? '',
        messageIds: body.batch.map((call) => call.messageId),
      });
      const answer = answers[Math.min(posted.length, answers.length) - 1];
      if (posted.length === stopAfter) stop.abort();
      if (answer === undefined) return Promise.reject(new TypeError('fetch failed'));
      return Promise.resolve().then(answer);
    },
    sleep: (ms) => {
      waits.push(ms);
      clock.advance(ms);
      return Promise.resolve();
    },
  });
  return { traffic, posted, waits, stop };
}

const ok = (): Response => Response.json({ success: true });

describe('live traffic', () => {
  it('posts the plan to the batch endpoint with the write key, nothing twice', async () => {
    const { traffic, posted, stop } = aTraffic([ok], 200);
    const totals = await traffic.run(stop.signal);
    const sent = posted.flatMap((request) => request.messageIds);
    expect(posted[0]?.url).toBe('http://shop.test/v1/batch');
    expect(posted[0]?.authorization).toBe(`Basic ${Buffer.from('key:').toString('base64')}`);
    expect(sent).toEqual(plan(sent.length).map(({ call }) => call.messageId));
    expect(totals).toEqual({ sent: sent.length, dropped: 0, retries: 0, refused: 0 });
  });

  it('sends the same batch again after the wait the server asks for', async () => {
    const busy = (): Response => new Response('{}', { status: 429, headers: { 'retry-after': '3' } });
    const { traffic, posted, waits, stop } = aTraffic([busy, busy, ok], 3);
    const totals = await traffic.run(stop.signal);
    expect(posted[1]).toEqual(posted[0]);
    expect(posted[2]).toEqual(posted[0]);
    expect(waits.slice(0, 2)).toEqual([3000, 3000]);
    expect(totals.retries).toBe(2);
  });

  it('gives a batch up after five failures and goes on', async () => {
    const { traffic, posted, stop } = aTraffic([], 7);
    const totals = await traffic.run(stop.signal).catch(() => traffic.totals);
    expect(posted[4]).toEqual(posted[0]);
    expect(posted[5]).not.toEqual(posted[0]);
    expect(totals.dropped).toBe(posted[0]?.messageIds.length);
  });

  it('counts what the server refuses and does not send it again', async () => {
    const partly = (): Response => Response.json({ success: true, rejected: [{ index: 0, code: 'X', reason: 'y' }] });
    const { traffic, posted, stop } = aTraffic([partly, ok], 2);
    const totals = await traffic.run(stop.signal);
    expect(totals.refused).toBe(1);
    expect(totals.sent).toBe(posted.flatMap((request) => request.messageIds).length - 1);
  });

  it('ends without an error when it is aborted while it waits', async () => {
    const stop = new AbortController();
    const traffic = new LiveTraffic({
      baseUrl: 'http://shop.test',
      writeKey: 'key',
      sessions,
      clock: new ManualClock(START_MS),
      fetch: () => Promise.resolve(ok()),
      sleep: (_ms, signal) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => {
            reject(new Error('aborted'));
          });
          stop.abort();
        }),
    });
    await expect(traffic.run(stop.signal)).resolves.toMatchObject({ dropped: 0 });
  });
});
