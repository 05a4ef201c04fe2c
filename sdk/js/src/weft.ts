import { createConsentGate, type Consent } from './consent-gate.js';
import { createDelivery, LEASE_MS } from './delivery.js';
import type { Delivery, DeliveryOptions, DeliveryStats } from './delivery.model.js';
import { createEdgeClient } from './edge-client.js';
import { createEventQueue } from './event-queue.js';
import { createExclusive } from './exclusive.js';
import { hydrate, type WeftState } from './hydration.js';
import { newUuid } from './ids.js';
import { pageContext, pageProperties } from './page-context.js';
import { hasPrivacySignal, isBrowser, listenToPage } from './page-signals.js';
import { warnOnce, withoutErrors, type Problem } from './problem.js';
import type { SegmentListener } from './profile-watch.js';
import type { Profile, ProfileDefault } from './profile.model.js';
import { createStore, localArea, type KeyValueStore } from './storage.js';
import { systemRuntime } from './runtime.js';
import { createVisitor, type CookieOptions } from './visitor.js';
import { createVisitorProfile, type ProfileOptions } from './visitor-profile.js';

export type { Consent } from './consent-gate.js';
export type { DeliveryStats } from './delivery.model.js';
export type { EdgeIdentifier } from './edge-client.js';
export type { WeftState } from './hydration.js';
export type { Problem } from './problem.js';
export type { SegmentChange, SegmentListener } from './profile-watch.js';
export { choose, type Json, type Profile, type ProfileDefault, type Score } from './profile.model.js';
export type { CookieOptions } from './visitor.js';
export type { ProfileOptions } from './visitor-profile.js';

export interface WeftOptions {
  /** Where Weft is, as `https://weft.example.org`. */
  readonly url: string;
  /** Key with the scope `ingest`. Without it, events go nowhere. */
  readonly writeKey?: string | undefined;
  /** Key with the scope `edge`, which lists the origin of this site. Without it, segments are the default. */
  readonly edgeKey?: string | undefined;
  /** Default `granted`. */
  readonly consent?: Consent;
  /** Takes Global Privacy Control and Do Not Track for `denied`, until `setConsent` says otherwise. Default true. */
  readonly honourPrivacySignals?: boolean;
  readonly cookie?: CookieOptions;
  /** What `dehydrate` gave on the server for this page. */
  readonly initial?: WeftState | string | null | undefined;
  /** What to show where no answer comes in time. Default: no segments. */
  readonly default?: ProfileDefault;
  /** For an answer, with the network, ms. Default 1,000. */
  readonly deadlineMs?: number;
  /** How often to ask while somebody listens for changes, ms. Default 30,000; at least 5,000. */
  readonly refreshMs?: number;
  /** How long an event waits for others to be sent with, ms. Default 200. */
  readonly flushDelayMs?: number;
  /** How many events wait at most; the oldest are dropped. Default 1,000. */
  readonly maxQueuedEvents?: number;
  /** How much they are at most, bytes. Default 1,000,000. */
  readonly maxQueuedBytes?: number;
  /** Begins the names of what is stored; for two clients on one site. Default `weft`. */
  readonly name?: string;
  /** Told of what went wrong in the background. Default: a warning on the console, once for each code. */
  readonly onProblem?: (problem: Problem) => void;
}

export interface Weft {
  /** This visitor is the user of this id; what is known as traits goes along. */
  identify(userId: string, traits?: object): void;
  /** The visitor did something. */
  track(event: string, properties?: object): void;
  /** The visitor looks at a page; where, is added. */
  page(name?: string, properties?: object): void;
  /** The visitor logs out: the next event is of somebody new. */
  reset(): void;
  /**
   * Sends what waits.
   *
   * @param timeoutMs how long to go on where Weft is away or asks to wait; default: one try.
   * @returns whether nothing is left to send
   */
  flush(timeoutMs?: number): Promise<boolean>;
  /** Asks for the visitor's profile; the events that Weft has taken from here count. Never rejects. */
  profile(options?: ProfileOptions): Promise<Profile>;
  /** The segments of {@link Weft.profile}. */
  segments(options?: ProfileOptions): Promise<readonly string[]>;
  /** What is known at present, without asking: for the first paint. */
  readonly current: Profile;
  /** Resolves with what the page began with, or the first answer. Never rejects. */
  readonly ready: Promise<Profile>;
  /** Asks again after own events, when the page is looked at again, and now and then. Returns what ends it. */
  onSegmentChange(listener: SegmentListener): () => void;
  setConsent(consent: Consent): void;
  readonly consent: Consent;
  stats(): DeliveryStats;
}

const MIN_REFRESH_MS = 5_000;

/** A client for one visitor: the one in front of this browser. */
export function createWeft(options: WeftOptions): Weft {
  const url = options.url.replace(/\/+$/, '');
  const { name = 'weft', edgeKey } = options;
  const onProblem = withoutErrors(options.onProblem ?? warnOnce());
  const prefix = `${name}:`;
  const isRefused = options.honourPrivacySignals !== false && hasPrivacySignal();
  const gate = createConsentGate(isRefused ? 'denied' : (options.consent ?? 'granted'));
  const store = createStore(localArea());
  const visitor = createVisitor(store, prefix, options.cookie);
  const { watch, ask, sent, forget } = createVisitorProfile({
    ask: edgeKey === undefined ? null : createEdgeClient({ url, edgeKey, ...systemRuntime, onProblem }),
    visitor,
    gate,
    store,
    tokenKey: `${prefix}token`,
    initial: hydrate(options.initial, isBrowser() ? visitor.known() : undefined),
    default: options.default,
    deadlineMs: options.deadlineMs ?? 1_000,
    refreshMs: Math.max(MIN_REFRESH_MS, options.refreshMs ?? 30_000),
    isVisible: () => !isBrowser() || document.visibilityState === 'visible',
    ...systemRuntime,
  });
  const delivery = deliveryOf(options, store, prefix, { url, isAllowed: gate.isOpen, onProblem, onToken: sent });

  const record = (type: string, fields: object): void => {
    const event = {
      type,
      messageId: newUuid(),
      timestamp: new Date().toISOString(),
      ...fields,
      context: pageContext(),
    };
    gate.whenGranted(() => {
      delivery?.add({ anonymousId: visitor.anonymousId(), userId: visitor.userId(), ...event });
    });
  };
  const setConsent = (next: Consent): void => {
    gate.set(next);
    if (next === 'denied') {
      delivery?.clear();
      forget();
    }
    watch.nudge();
  };

  if (gate.consent() === 'denied') setConsent('denied');
  listenToPage({
    hidden: () => delivery?.leave(),
    visible: watch.nudge,
    online: () => void delivery?.flush(),
  });
  // What an earlier page left.
  void delivery?.flush();

  return {
    identify: (userId, traits = {}) => {
      gate.whenGranted(() => visitor.setUserId(userId));
      record('identify', { userId, traits });
    },
    track: (event, properties = {}) => record('track', { event, properties }),
    page: (pageName, properties = {}) =>
      record('page', { name: pageName, properties: { ...pageProperties(), ...properties } }),
    reset: () => {
      gate.whenGranted(forget);
      watch.nudge();
    },
    flush: async (timeoutMs) => gate.isOpen() && ((await delivery?.flush(timeoutMs)) ?? true),
    profile: ask,
    segments: async (of) => (await ask(of)).segments,
    get current() {
      return watch.current();
    },
    get ready() {
      return watch.current().degraded ? ask() : Promise.resolve(watch.current());
    },
    onSegmentChange: watch.subscribe,
    setConsent,
    get consent() {
      return gate.consent();
    },
    stats: () => delivery?.stats() ?? { sent: 0, dropped: 0, queued: 0 },
  };
}

/** The queue of this browser and what empties it; null without a write key. */
function deliveryOf(
  options: WeftOptions,
  store: KeyValueStore,
  prefix: string,
  hooks: Pick<DeliveryOptions, 'url' | 'isAllowed' | 'onProblem' | 'onToken'>,
): Delivery | null {
  const { writeKey, maxQueuedEvents = 1_000, maxQueuedBytes = 1_000_000, flushDelayMs = 200 } = options;
  if (writeKey === undefined) return null;
  const pageId = newUuid().slice(0, 8);
  return createDelivery({
    ...hooks,
    writeKey,
    flushDelayMs,
    queue: createEventQueue({
      store,
      prefix: `${prefix}event:`,
      maxQueuedEvents,
      maxQueuedBytes,
      pageId,
      ...systemRuntime,
    }),
    exclusive: createExclusive({
      locks: isBrowser() ? navigator.locks : undefined,
      store,
      name: `${prefix}sender`,
      pageId,
      leaseMs: LEASE_MS,
      ...systemRuntime,
    }),
    ...systemRuntime,
  });
}
