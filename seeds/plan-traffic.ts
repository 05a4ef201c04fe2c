import { SeededRandom } from './random.js';

/** One call of the tracking API, as `/v1/batch` takes it. */
export interface TrackingCall {
  readonly type: 'identify' | 'track';
  readonly event?: string;
  readonly messageId: string;
  readonly anonymousId: string;
  readonly userId?: string;
  /** ISO 8601. */
  readonly timestamp: string;
  readonly properties?: Readonly<Record<string, string | number>>;
  readonly traits?: Readonly<Record<string, string>>;
  readonly context?: { readonly device?: { readonly id: string }; readonly externalIds?: readonly ExternalId[] };
}

/** A call and when to send it, ms. `call.timestamp` is the same instant, but for carts that were left before the start. */
export interface PlannedCall {
  readonly atMs: number;
  readonly call: TrackingCall;
}

/** One step of a recorded session. */
export interface SessionStep {
  readonly type: 'identify' | 'track';
  readonly event: string;
  /** Time since the step before, ms. */
  readonly gapMs: number;
  /** The account that is logged in; empty: none. */
  readonly userId: string;
  readonly properties: Readonly<Record<string, string | number>>;
  readonly traits: Readonly<Record<string, string>>;
  /** Handles that the visitor connects to their account. */
  readonly externalIds: readonly ExternalId[];
}

export interface ExternalId {
  readonly id: string;
  /** The namespace. */
  readonly type: string;
}

/** A session of the clickstream with the cookie of its visitor: what live traffic is made from. */
export interface RecordedSession {
  readonly anonymousId: string;
  readonly deviceId: string;
  readonly steps: readonly SessionStep[];
}

export interface TrafficOptions {
  readonly startMs: number;
  /** Also part of every message id: two runs with the same seed send the same messages. */
  readonly seed: string;
  /** Visitors in the shop at the same time, 1…100. */
  readonly visitors: number;
  /** Recorded pauses between two steps are divided by this, and kept within `minPauseMs` and `maxPauseMs`. */
  readonly pauseDivisor: number;
  readonly minPauseMs: number;
  readonly maxPauseMs: number;
  /** Share of sessions by people with a new cookie. */
  readonly newVisitors: number;
  /** Share of sessions with a cart that end right after something was put into it. */
  readonly abandoned: number;
  /** Carts that known visitors left about 4.5 minutes before the start: they turn abandoned within a minute. */
  readonly cartsLeftBefore: number;
}

export const DEFAULT_TRAFFIC: Omit<TrafficOptions, 'startMs' | 'seed'> = {
  visitors: 6,
  pauseDivisor: 8,
  minPauseMs: 700,
  maxPauseMs: 15_000,
  newVisitors: 0.3,
  abandoned: 0.4,
  cartsLeftBefore: 6,
};

const MAX_VISITORS = 100;
/** How long whoever left a cart stays away, so that only the clock can act on it. */
const ABSENCE_MS = 7 * 60_000;
const LEFT_EARLIEST_MS = 295_000;
const LEFT_LATEST_MS = 255_000;
const MAX_TRIES = 20;

/**
 * Endless live traffic, in order of `atMs`: a function of the recorded sessions and the options alone. A fixed number
 * of visitors replays recorded sessions in quick motion; whoever leaves is replaced by the next.
 */
export function* planTraffic(
  sessions: readonly RecordedSession[],
  options: TrafficOptions,
): Generator<PlannedCall, never> {
  checkOptions(sessions, options);
  const random = new SeededRandom(`traffic/${options.seed}`);
  const numbering = { nextMessage: 1, nextSession: 1, prefix: `live-${options.seed}` };
  const away: Away = new Map();
  for (const planned of cartsLeftBefore(sessions, options, random, numbering)) {
    away.set(planned.call.anonymousId, options.startMs + ABSENCE_MS);
    yield planned;
  }
  const slots = Array.from(
    { length: options.visitors },
    (_, index) => new VisitorSlot(options, random, numbering, options.startMs + index * options.minPauseMs),
  );
  for (;;) {
    const slot = slots.reduce((earliest, other) => (other.nextAtMs < earliest.nextAtMs ? other : earliest));
    if (slot.idle) slot.begin(sessions, away);
    yield slot.step(away);
  }
}

interface Numbering {
  nextMessage: number;
  nextSession: number;
  readonly prefix: string;
}

/** Cookies that may not start a session, and until when, ms; Infinity: in the shop now. */
type Away = Map<string, number>;

function checkOptions(sessions: readonly RecordedSession[], options: TrafficOptions): void {
  if (sessions.length === 0) throw new RangeError('live traffic needs at least one recorded session');
  if (options.visitors < 1 || options.visitors > MAX_VISITORS) {
    throw new RangeError(`visitors must be 1 to ${String(MAX_VISITORS)}`);
  }
  if (options.minPauseMs < 1 || options.maxPauseMs < options.minPauseMs) {
    throw new RangeError('pauses must be at least 1 ms, and the longest not shorter than the shortest');
  }
}

function cartsLeftBefore(
  sessions: readonly RecordedSession[],
  options: TrafficOptions,
  random: SeededRandom,
  numbering: Numbering,
): PlannedCall[] {
  const withCart = sessions.filter((session) => session.steps.some((step) => step.event === 'add_to_cart'));
  if (withCart.length === 0) return [];
  const planned: PlannedCall[] = [];
  const seen = new Set<string>();
  for (let tries = 0; seen.size < options.cartsLeftBefore && tries < options.cartsLeftBefore * MAX_TRIES; tries++) {
    const session = random.pick(withCart);
    if (seen.has(session.anonymousId)) continue;
    seen.add(session.anonymousId);
    const step = session.steps.find((candidate) => candidate.event === 'add_to_cart');
    const leftAtMs = options.startMs - LEFT_LATEST_MS - random.int(LEFT_EARLIEST_MS - LEFT_LATEST_MS);
    if (step === undefined) continue;
    const visit = { anonymousId: session.anonymousId, deviceId: session.deviceId, sessionId: nextSessionId(numbering) };
    planned.push({ atMs: options.startMs, call: callOf(visit, { ...step, userId: '' }, leftAtMs, numbering) });
  }
  return planned;
}

interface Visit {
  readonly anonymousId: string;
  readonly deviceId: string;
  readonly sessionId: string;
}

/** One visitor after the other, at the pace of their recorded sessions. */
class VisitorSlot {
  nextAtMs: number;
  readonly #options: TrafficOptions;
  readonly #random: SeededRandom;
  readonly #numbering: Numbering;
  #visit: Visit | undefined;
  #steps: readonly SessionStep[] = [];
  #position = 0;
  #abandons = false;

  constructor(options: TrafficOptions, random: SeededRandom, numbering: Numbering, firstAtMs: number) {
    this.#options = options;
    this.#random = random;
    this.#numbering = numbering;
    this.nextAtMs = firstAtMs;
  }

  get idle(): boolean {
    return this.#visit === undefined;
  }

  begin(sessions: readonly RecordedSession[], away: Away): void {
    let session = this.#random.pick(sessions);
    for (let tries = 0; (away.get(session.anonymousId) ?? 0) > this.nextAtMs && tries < MAX_TRIES; tries++) {
      session = this.#random.pick(sessions);
    }
    const fresh = this.#random.chance(this.#options.newVisitors);
    const cart = session.steps.findIndex((step) => step.event === 'add_to_cart');
    this.#abandons = this.#random.chance(this.#options.abandoned) && cart !== -1;
    const steps = this.#abandons ? session.steps.slice(0, cart + 1) : session.steps;
    this.#steps = fresh ? withoutAccount(steps) : steps;
    const cookie = fresh ? { anonymousId: this.#random.uuid(), deviceId: '' } : session;
    const { anonymousId, deviceId } = cookie;
    this.#visit = { anonymousId, deviceId, sessionId: nextSessionId(this.#numbering) };
    this.#position = 0;
    away.set(anonymousId, Infinity);
  }

  step(away: Away): PlannedCall {
    const visit = this.#visit;
    const step = this.#steps[this.#position];
    if (visit === undefined || step === undefined) throw new Error('the visitor has left');
    const planned = { atMs: this.nextAtMs, call: callOf(visit, step, this.nextAtMs, this.#numbering) };
    this.#position += 1;
    if (this.#position >= this.#steps.length) this.#leave(visit, away);
    this.nextAtMs += this.#pauseMs(this.#steps[this.#position]?.gapMs ?? this.#options.maxPauseMs);
    return planned;
  }

  #leave(visit: Visit, away: Away): void {
    if (this.#abandons) away.set(visit.anonymousId, this.nextAtMs + ABSENCE_MS);
    else away.delete(visit.anonymousId);
    for (const [anonymousId, untilMs] of away) if (untilMs <= this.nextAtMs) away.delete(anonymousId);
    this.#visit = undefined;
  }

  #pauseMs(gapMs: number): number {
    const { pauseDivisor, minPauseMs, maxPauseMs } = this.#options;
    return Math.round(Math.min(maxPauseMs, Math.max(minPauseMs, gapMs / pauseDivisor)));
  }
}

function withoutAccount(steps: readonly SessionStep[]): SessionStep[] {
  return steps.filter((step) => step.type === 'track').map((step) => ({ ...step, userId: '' }));
}

function nextSessionId(numbering: Numbering): string {
  return `${numbering.prefix}-s${String(numbering.nextSession++)}`;
}

function callOf(visit: Visit, step: SessionStep, timeMs: number, numbering: Numbering): TrackingCall {
  const common = {
    messageId: `${numbering.prefix}-${String(numbering.nextMessage++)}`,
    anonymousId: visit.anonymousId,
    ...(step.userId === '' ? {} : { userId: step.userId }),
    timestamp: new Date(timeMs).toISOString(),
    context: {
      ...(visit.deviceId === '' ? {} : { device: { id: visit.deviceId } }),
      ...(step.externalIds.length === 0 ? {} : { externalIds: step.externalIds }),
    },
  };
  if (step.type === 'identify') return { type: 'identify', ...common, traits: step.traits };
  return {
    type: 'track',
    event: step.event,
    ...common,
    properties: { ...step.properties, session_id: visit.sessionId },
  };
}
