import { createDelivery } from './delivery.js';
import type { Delivery, DeliveryStats } from './delivery.model.js';
import {
  byAddress,
  createEdgeClient,
  EDGE_DOCUMENT_ID,
  type EdgeIdentifier,
  type RequestMaker,
} from './edge-client.js';
import { isUnguessable, newUuid } from './ids.js';
import { createMemoryQueue } from './memory-queue.js';
import { pageContext } from './page-context.js';
import { warnOnce, withoutErrors, type Problem } from './problem.js';
import { defaultProfile, type Profile, type ProfileDefault } from './profile.model.js';
import { signIdentifier } from './sign-identifier.js';
import { systemRuntime } from './runtime.js';
import { COOKIE_NAME, readCookie } from './visitor.js';

export type { DeliveryStats } from './delivery.model.js';
export type { EdgeIdentifier } from './edge-client.js';
export { dehydrate, type WeftState } from './hydration.js';
export type { Problem } from './problem.js';
export { choose, type Json, type Profile, type ProfileDefault, type Score } from './profile.model.js';
export { signIdentifier } from './sign-identifier.js';

export interface WeftServerOptions {
  /** Where Weft is, as `http://127.0.0.1:4000`. */
  readonly url: string;
  /** Key with the scope `edge`. Without it, segments are the default. */
  readonly edgeKey?: string | undefined;
  /** Of the edge key, `weft_s_…`. With it, identifiers get one, all but `anonymous_id`. */
  readonly signingSecret?: string | undefined;
  /** Key with the scope `ingest`. Without it, events go nowhere. */
  readonly writeKey?: string | undefined;
  /** What to show where no answer comes in time. Default: no segments. */
  readonly default?: ProfileDefault;
  /** For an answer, with the network, ms. Default 150. */
  readonly deadlineMs?: number;
  /** How many questions are under way at most; the next ones get the default at once. Default 200. */
  readonly maxConcurrent?: number;
  /** How long an event waits for others to be sent with, ms. Default 200. */
  readonly flushDelayMs?: number;
  /** How many events wait at most, in memory; the oldest are dropped. Default 10,000. */
  readonly maxQueuedEvents?: number;
  /** How much they are at most, bytes. Default 10,000,000. */
  readonly maxQueuedBytes?: number;
  /** Told of what went wrong. Default: a warning on the console, once for each code. */
  readonly onProblem?: (problem: Problem) => void;
}

export interface ProfileQuestion {
  readonly identifier: EdgeIdentifier;
  /** For the answer, with the network, ms. */
  readonly deadlineMs?: number;
  readonly default?: ProfileDefault;
  /** Token of a tracking call whose events shall count. */
  readonly after?: string;
}

/** Who did it: at least one of the two. */
export interface Actor {
  readonly userId?: string;
  readonly anonymousId?: string;
}

export interface WeftServer {
  /** Asks for a visitor's profile. Never rejects, and never takes longer than the deadline. */
  profile(question: ProfileQuestion): Promise<Profile>;
  /** The segments of {@link WeftServer.profile}. */
  segments(question: ProfileQuestion): Promise<readonly string[]>;
  identify(call: Actor & { readonly traits?: object }): void;
  track(call: Actor & { readonly event: string; readonly properties?: object }): void;
  page(call: Actor & { readonly name?: string; readonly properties?: object }): void;
  /**
   * Sends what waits; to be called before the process ends.
   *
   * @param timeoutMs how long to go on where Weft is away or asks to wait; default: one try.
   * @returns whether nothing is left to send
   */
  flush(timeoutMs?: number): Promise<boolean>;
  stats(): DeliveryStats;
}

const SIGNATURE_TTL_S = 300;

/** A client for all visitors of a site, to be made once in a process. */
export function createWeftServer(options: WeftServerOptions): WeftServer {
  const { edgeKey, deadlineMs = 150, maxConcurrent = 200 } = options;
  const onProblem = withoutErrors(options.onProblem ?? warnOnce());
  const url = options.url.replace(/\/+$/, '');
  const ask =
    edgeKey === undefined ? null : createEdgeClient({ url, edgeKey, ...systemRuntime, onProblem, byWay: namedByBody });
  const delivery = deliveryOf(options, url, onProblem);
  let asking = 0;

  const profile = async (question: ProfileQuestion): Promise<Profile> => {
    const otherwise = defaultProfile(question.default ?? options.default);
    if (ask === null || asking >= maxConcurrent) return otherwise;
    asking += 1;
    try {
      const identifier = signed(question.identifier, options.signingSecret);
      const found = await ask({ identifier, deadlineMs: question.deadlineMs ?? deadlineMs, after: question.after });
      return found === null || (found.degraded && found.asOf === null) ? otherwise : found;
    } catch {
      // An identifier that cannot be signed.
      return otherwise;
    } finally {
      asking -= 1;
    }
  };

  const record = (type: string, call: object): void =>
    delivery?.add({ type, messageId: newUuid(), timestamp: new Date().toISOString(), context: pageContext(), ...call });

  return {
    profile,
    segments: async (question) => (await profile(question)).segments,
    identify: (call) => record('identify', call),
    track: (call) => record('track', call),
    page: (call) => record('page', call),
    flush: async (timeoutMs) => (await delivery?.flush(timeoutMs)) ?? true,
    stats: () => delivery?.stats() ?? { sent: 0, dropped: 0, queued: 0 },
  };
}

/**
 * The visitor's anonymous id as the browser's client keeps it; null where there is none, or one that could be guessed.
 *
 * @param cookieHeader of the request
 * @param cookieName as given to `createWeft`
 */
export function anonymousIdOf(
  cookieHeader: string | null | undefined,
  cookieName: string = COOKIE_NAME,
): string | null {
  const id = readCookie(cookieHeader, cookieName);
  return id !== null && isUnguessable(id) ? id : null;
}

/** An id for a visitor who has none, to be set as the cookie `weft_id`. */
export const newAnonymousId = newUuid;

/** What is signed is somebody's name, as an e-mail address, and goes by POST: addresses are kept in logs. */
const namedByBody: RequestMaker = (url, variables, init) => {
  if (variables.identifier.signature === undefined) return byAddress(url, variables, init);
  const body = JSON.stringify({ documentId: EDGE_DOCUMENT_ID, variables });
  return [url, { ...init, method: 'POST', headers: { 'content-type': 'application/json' }, body }];
};

function signed(identifier: EdgeIdentifier, secret: string | undefined): EdgeIdentifier {
  const { namespace, value, signature } = identifier;
  if (secret === undefined || signature !== undefined) return identifier;
  // It comes from a cookie, in which anybody can write somebody's id: a signature would vouch for whoever asks.
  if (namespace === 'anonymous_id') return identifier;
  return { namespace, value, signature: signIdentifier(secret, namespace, value, SIGNATURE_TTL_S) };
}

function deliveryOf(options: WeftServerOptions, url: string, onProblem: (problem: Problem) => void): Delivery | null {
  const { writeKey, maxQueuedEvents = 10_000, maxQueuedBytes = 10_000_000, flushDelayMs = 200 } = options;
  if (writeKey === undefined) return null;
  return createDelivery({
    url,
    writeKey,
    flushDelayMs,
    isAllowed: () => true,
    queue: createMemoryQueue(maxQueuedEvents, maxQueuedBytes),
    // One process, one queue.
    exclusive: {
      run: async (task) => {
        await task();
        return true;
      },
      renew: () => undefined,
      release: () => undefined,
    },
    ...systemRuntime,
    onToken: () => undefined,
    onProblem,
  });
}
