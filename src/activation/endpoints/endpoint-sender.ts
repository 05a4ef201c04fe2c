import { CausingEventReader } from '../../events/causing-event.reader.js';
import type { EventSealer } from '../../events/event-seal.model.js';
import type { Clock } from '../../platform/clock.js';
import { WeftError } from '../../platform/errors.js';
import type { InstallationSecret } from '../../platform/installation-secret.js';
import type { Database } from '../../platform/postgres.js';
import type { SegmentChange } from '../../segments/segment.model.js';
import { SegmentReader, type StoredSegment } from '../../segments/segment.reader.js';
import { ChangeFeedReader } from '../change-feed.reader.js';
import { ChangeFilterReader } from '../change-filter.reader.js';
import { composePayload, deliveryId } from './compose-payload.js';
import { deliverLanes } from './deliver-lanes.js';
import { FAILURES_UNTIL_DOWN, type AttemptOutcome } from './delivery-attempt.model.js';
import type { EndpointClient } from './endpoint-client.js';
import {
  ENDPOINT_LIMITS,
  NOBODY,
  type EndpointTarget,
  type PersonPayload,
  type PersonReader,
} from './endpoint.model.js';
import { EndpointStore, type StoredEndpoint } from './endpoint.store.js';
import { openTarget, signingSecrets } from './endpoint-secrets.js';
import { payloadTemplate } from './payload-templates.js';
import { settleRound, type RoundItem } from './settle-round.js';
import { signDelivery } from './sign-delivery.js';

/*
 * Sends the changes of the feed to one endpoint, in rounds.
 *
 * Invariants
 * E1  Every change that the endpoint wants is delivered, stands among its deliveries, or lies behind its position: a round
 *     moves the position, and writes what failed, in one transaction. What was sent before a crash is sent again.
 * E2  Changes of one profile are sent in the order of the feed, each after the answer to the one before. A change waits
 *     among the deliveries while an earlier one of its profile does.
 * E3  What is sent is made when it is sent: neither bodies nor anything of a person is stored, and who was erased
 *     meanwhile is told of by id alone.
 * E4  A receiver that is down gets probes alone, two changes at a time; the rest waits in the feed.
 * E5  Nothing of one endpoint waits for another: position, deliveries, connections and rounds are each its own.
 */

export interface EndpointSenderParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly secret: InstallationSecret;
  /** 0 to 1. */
  readonly random: () => number;
  readonly persons: PersonReader;
  readonly sealer: EventSealer;
  /** @param key of the endpoint, whose connections are used again */
  readonly clientOf: (key: string, target: EndpointTarget, concurrency: number) => Pick<EndpointClient, 'post'>;
  readonly observer: EndpointObserver;
}

export interface EndpointObserver {
  /** @param tookMs by the clock of the process that sends */
  attempted(key: string, outcome: AttemptOutcome['kind'], tookMs: number): void;
  /** Changes that the template has no place for: what it requires is not known of the person. */
  skipped(key: string, count: number): void;
  /** Changes that are tried no more. */
  died(key: string, count: number): void;
  paused(key: string, because: string): void;
}

/** When the next round makes sense: at once, at an instant, or with the next change. */
export type NextRound = { readonly kind: 'now' | 'change' } | { readonly kind: 'at'; readonly at: number };

/** Changes of a round at most. */
const ROUND_CHANGES = 100;
/** A round begins no request after this. */
const ROUND_MS = 20_000;
const PROBES = 2;
/** Positions that an endpoint without changes may be behind what was looked at. */
const MAX_UNWRITTEN = 500;

interface Work {
  readonly items: readonly RoundItem[];
  readonly toSeq: number;
  readonly isFull: boolean;
}

/** Until where an endpoint's filter found nothing, beyond its position. */
interface Looked {
  readonly from: number;
  readonly filter: string;
  readonly upTo: number;
}

export class EndpointSender {
  readonly #parts: EndpointSenderParts;
  readonly #store: EndpointStore;
  readonly #feed: ChangeFeedReader;
  readonly #filters: ChangeFilterReader;
  readonly #looked = new Map<string, Looked>();

  constructor(parts: EndpointSenderParts) {
    this.#parts = parts;
    this.#store = new EndpointStore(parts.db);
    this.#feed = new ChangeFeedReader(parts.db);
    this.#filters = new ChangeFilterReader(parts.db);
  }

  /**
   * Sends what is due, and as many new changes as a round takes. One at a time of an endpoint.
   * @param signal ends what is under way; what has no answer then counts as not sent
   */
  async round(key: string, signal: AbortSignal): Promise<NextRound> {
    const { clock } = this.#parts;
    const endpoint = await this.#store.find(key);
    if (endpoint?.pausedAt !== null) return { kind: 'change' };
    const nowMs = clock.now();
    if (endpoint.retryAt !== null && endpoint.retryAt > nowMs) return { kind: 'at', at: endpoint.retryAt };
    const work = await this.#gather(endpoint, nowMs);
    if (work === null) return { kind: 'change' };
    if (work.items.length === 0) return this.#nothingToSend(endpoint, work);
    return this.#send(endpoint, work, signal);
  }

  /** Null: the endpoint was paused. */
  async #gather(endpoint: StoredEndpoint, nowMs: number): Promise<Work | null> {
    const { key, failures } = endpoint;
    const isDown = failures >= FAILURES_UNTIL_DOWN;
    const limit = isDown ? PROBES : ROUND_CHANGES;
    const waiting = isDown ? await this.#store.probes(key, limit) : await this.#store.due(key, nowMs, limit);
    const changes = await this.#feed.at(waiting.map(({ seq }) => seq));
    const attemptsOf = new Map(waiting.map(({ seq, attempts }) => [seq, attempts]));
    // By lane, as they were read: within a lane by seq, lanes by their first change.
    const ofWaiting = changes.map((change) => ({
      change,
      attempts: attemptsOf.get(change.seq) ?? 0,
      isNew: false,
      isHeld: false,
    }));
    const room = limit - waiting.length;
    if (room <= 0 || (await this.#isFull(key))) {
      return { items: ofWaiting, toSeq: endpoint.seq, isFull: room <= 0 };
    }
    const fresh = await this.#fresh(endpoint, room);
    if (fresh === null) return null;
    const held = await this.#store.waitingProfiles(
      key,
      fresh.changes.map(({ profileId }) => profileId),
    );
    const ofFeed = fresh.changes.map((change) => ({
      ...{ change, attempts: 0, isNew: true },
      isHeld: held.has(change.profileId),
    }));
    return { items: [...ofWaiting, ...ofFeed], toSeq: fresh.toSeq, isFull: ofFeed.length === room };
  }

  async #isFull(key: string): Promise<boolean> {
    const backlog = (await this.#store.backlogs([key])).get(key);
    return (backlog?.waiting ?? 0) >= ENDPOINT_LIMITS.maxWaiting;
  }

  /** New changes, and the position up to which there are no others. */
  async #fresh(
    { key, seq, filter: spec }: StoredEndpoint,
    limit: number,
  ): Promise<{ changes: SegmentChange[]; toSeq: number } | null> {
    let filter;
    try {
      filter = await this.#filters.resolve(spec);
    } catch (error) {
      if (!(error instanceof WeftError) || (error.code !== 'NOT_FOUND' && error.code !== 'BAD_REQUEST')) throw error;
      await this.#pause(key, `its filter means nothing any more: ${error.message}`);
      return null;
    }
    const looked = this.#looked.get(key);
    const isLooked = looked?.from === seq && looked.filter === JSON.stringify(filter);
    // Before the changes are read: all up to here are among them.
    const head = await this.#feed.head();
    const changes = await this.#feed.after(isLooked ? looked.upTo : seq, limit, filter);
    const last = changes.at(-1)?.seq ?? seq;
    const toSeq = changes.length === limit ? last : Math.max(last, head);
    if (changes.length === 0) this.#looked.set(key, { from: seq, filter: JSON.stringify(filter), upTo: toSeq });
    return { changes, toSeq };
  }

  async #nothingToSend({ key, seq, failures, retryAt, error }: StoredEndpoint, { toSeq }: Work): Promise<NextRound> {
    if (toSeq - seq >= MAX_UNWRITTEN) {
      const result = { fromSeq: seq, toSeq, done: [], failed: [], delivered: 0, failures, retryAt, error };
      await this.#finish(key, { ...result, pauseBecause: null });
    }
    const at = await this.#store.nextDueAt(key);
    return at === null ? { kind: 'change' } : { kind: 'at', at };
  }

  async #send(endpoint: StoredEndpoint, work: Work, signal: AbortSignal): Promise<NextRound> {
    const { clock, random, observer } = this.#parts;
    const { key, settings } = endpoint;
    const items = work.items.filter(({ isHeld }) => !isHeld);
    const deliver = await this.#deliverer(endpoint, items, signal);
    let failures = endpoint.failures;
    let isOver = false;
    let skipped = 0;
    const until = performance.now() + ROUND_MS;
    const outcomes = await deliverLanes(lanesOf(items), {
      concurrency: settings.concurrency,
      mayGoOn: () => !isOver && !signal.aborted && performance.now() < until,
      send: async (item) => {
        const begun = performance.now();
        const outcome = await deliver(item.change);
        if (outcome === 'skipped') {
          skipped++;
          return { kind: 'delivered' };
        }
        if (signal.aborted && outcome.kind !== 'delivered') return outcome;
        observer.attempted(key, outcome.kind, performance.now() - begun);
        if (outcome.kind === 'delivered') failures = 0;
        if (outcome.kind === 'down') failures++;
        isOver ||= outcome.kind === 'gone' || failures >= FAILURES_UNTIL_DOWN;
        isOver ||= outcome.kind === 'down' && outcome.retryAfterMs !== null;
        return outcome;
      },
    });
    // What was cut off has no outcome: whoever sends next sends it again.
    if (signal.aborted) for (const [seq, { kind }] of outcomes) if (kind !== 'delivered') outcomes.delete(seq);
    const dead = (await this.#store.backlogs([key])).get(key)?.dead ?? 0;
    const { died, ...result } = settleRound(work.items, outcomes, {
      ...{ fromSeq: endpoint.seq, toSeq: work.toSeq, failures, skipped, dead },
      ...{ nowMs: clock.now(), random, maxAttempts: settings.maxAttempts },
    });
    if (!(await this.#finish(key, result))) return { kind: 'now' };
    if (skipped > 0) observer.skipped(key, skipped);
    if (died > 0) observer.died(key, died);
    if (result.pauseBecause !== null) observer.paused(key, result.pauseBecause);
    if (result.retryAt !== null) return { kind: 'at', at: result.retryAt };
    const at = work.isFull || outcomes.size < items.length ? clock.now() : await this.#store.nextDueAt(key);
    if (at === null) return { kind: 'now' };
    return at <= clock.now() ? { kind: 'now' } : { kind: 'at', at };
  }

  /** Sends one change after the other with what one read of all of their people found. */
  async #deliverer(
    endpoint: StoredEndpoint,
    items: readonly RoundItem[],
    signal: AbortSignal,
  ): Promise<(change: SegmentChange) => Promise<AttemptOutcome | 'skipped'>> {
    const { db, clock, secret, persons, sealer, clientOf } = this.#parts;
    const { key, content, settings } = endpoint;
    const target = openTarget(secret, endpoint);
    const secrets = signingSecrets(secret, endpoint, clock.now());
    const template = payloadTemplate(content.template);
    const profileIds = [...new Set(items.map(({ change }) => change.profileId))];
    const found = wantsPerson(content) ? await persons(profileIds, endpoint) : new Map<string, PersonPayload>();
    const segments = await segmentsById(db, items);
    const causes = items.flatMap(({ change }) => change.cause.pos ?? []);
    const events = await new CausingEventReader(db, sealer).at(causes);
    const client = clientOf(key, target, settings.concurrency);
    return async (change) => {
      const id = deliveryId(key, change.seq);
      const segment = segments.get(change.segmentId) ?? { key: String(change.segmentId), name: '' };
      const person = found.get(change.profileId) ?? NOBODY;
      const payload = composePayload(template, {
        ...{ id, change, segment, person },
        event: change.cause.pos === null ? null : (events.get(change.cause.pos) ?? null),
      });
      if (payload === null) return 'skipped';
      const body = JSON.stringify(payload);
      if (Buffer.byteLength(body) > ENDPOINT_LIMITS.maxBodyBytes) {
        return { kind: 'hopeless', error: `the body has more than ${String(ENDPOINT_LIMITS.maxBodyBytes)} bytes` };
      }
      const nowMs = clock.now();
      return client.post(body, signDelivery(id, nowMs, body, secrets), {
        timeoutMs: settings.timeoutMs,
        nowMs,
        signal,
      });
    };
  }

  async #finish(key: string, result: Parameters<EndpointStore['finishRound']>[2]): Promise<boolean> {
    const { db, clock } = this.#parts;
    const isWritten = await db.transaction((tx) => new EndpointStore(tx).finishRound(tx, key, result, clock.now()));
    if (result.toSeq !== result.fromSeq) this.#looked.delete(key);
    return isWritten;
  }

  async #pause(key: string, because: string): Promise<void> {
    const { clock, observer } = this.#parts;
    await this.#store.pauseBecause(key, because, clock.now());
    observer.paused(key, because);
  }
}

function wantsPerson({ identifiers, traits, features }: StoredEndpoint['content']): boolean {
  return identifiers.length + traits.length + features.length > 0;
}

async function segmentsById(
  db: Database,
  items: readonly RoundItem[],
): Promise<ReadonlyMap<number, Pick<StoredSegment, 'key' | 'name'>>> {
  const ids = [...new Set(items.map(({ change }) => change.segmentId))];
  return new Map((await new SegmentReader(db).byIds(ids)).map((segment) => [segment.id, segment]));
}

/** By profile, each in the order of the feed; lanes by their first change. */
function lanesOf(items: readonly RoundItem[]): (RoundItem & { readonly seq: number })[][] {
  const lanes = new Map<string, (RoundItem & { readonly seq: number })[]>();
  for (const item of items) {
    const lane = lanes.get(item.change.profileId) ?? [];
    lane.push({ ...item, seq: item.change.seq });
    lanes.set(item.change.profileId, lane);
  }
  return [...lanes.values()];
}
