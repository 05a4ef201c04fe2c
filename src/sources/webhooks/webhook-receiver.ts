import { LRUCache } from 'lru-cache';
import type { EventAcceptor } from '../../events/accept.model.js';
import { deadLetterText, MAX_DEAD_LETTER_BYTES, type DeadLetter } from '../../events/dead-letter.model.js';
import type { AcceptResult, IncomingEvent, JsonValue } from '../../events/event.model.js';
import type { Clock } from '../../platform/clock.js';
import { WeftError } from '../../platform/errors.js';
import type { InstallationSecret } from '../../platform/installation-secret.js';
import { letterOfPart, lettersOf } from './delivery-letters.js';
import {
  deliveryPurpose,
  openWebhook,
  type DeliveredEvents,
  type LeftOutReason,
  type OpenWebhook,
} from './open-webhook.js';
import type { TextReader } from '../../platform/text-reader.js';
import type { DeliveryCounts, NewDelivery } from './webhook-delivery.store.js';
import { WEBHOOK_LIMITS, type ChallengeAnswer, type SignatureOutcome, type SignedRequest } from './webhook.model.js';
import type { StoredWebhook } from './webhook.store.js';

/** How soon what another process changed about a webhook is in force here. */
const RELOAD_AFTER_MS = 5_000;
const MAX_CACHED = 1_000;

/** What became of a delivery; see docs/social.md. */
export const DELIVERY_OUTCOMES = [
  'taken',
  'handshake',
  'unreadable',
  'unmappable',
  'too_large',
  'missing',
  'invalid',
  'stale',
] as const;
export type DeliveryOutcome = (typeof DELIVERY_OUTCOMES)[number];

export interface WebhookObserver {
  delivered(key: string, outcome: DeliveryOutcome): void;
  /** Parts of deliveries that became no event. */
  leftOut(key: string, reason: LeftOutReason, count: number): void;
  /** An adapter threw: a defect of ours. The delivery is kept. */
  mappingFailed(key: string, error: unknown): void;
  /** Deliveries were deleted before their time, because a webhook had too many. */
  sweptEarly(count: number): void;
}

export interface WebhookReceiverDependencies {
  readonly find: (key: string) => Promise<StoredWebhook | null>;
  readonly acceptor: EventAcceptor;
  readonly keepDelivery: (delivery: NewDelivery) => Promise<void>;
  readonly keepDeadLetters: (letters: readonly DeadLetter[]) => Promise<void>;
  readonly secret: InstallationSecret;
  readonly clock: Clock;
  readonly textReader: () => Promise<TextReader>;
  readonly observer: WebhookObserver;
}

/** What to answer to a delivery. */
export type ReceiveResult =
  | { readonly kind: 'taken'; readonly counts: DeliveryCounts }
  | { readonly kind: 'handshake'; readonly answer: ChallengeAnswer }
  | { readonly kind: 'refused'; readonly reason: Exclude<SignatureOutcome, 'valid'> };

/**
 * Takes in what webhooks deliver: proves it, maps it, hands the events to the log, and keeps the raw delivery, sealed.
 * A delivery whose sender is proved is taken, whatever is in it: networks send again what was refused, and switch off a
 * webhook that refuses for long. What makes no sense goes to the dead letters. The one exception has more items than any
 * network sends at once: nothing of it is looked at.
 */
export class WebhookReceiver {
  readonly #open = new LRUCache<string, { readonly hook: OpenWebhook | null; readonly loadedAt: number }>({
    max: MAX_CACHED,
  });
  #reader: Promise<TextReader> | null = null;

  constructor(private readonly deps: WebhookReceiverDependencies) {}

  /** The webhook of a source; null where there is none. */
  async open(key: string): Promise<OpenWebhook | null> {
    const now = this.deps.clock.now();
    const cached = this.#open.get(key);
    if (cached !== undefined && Math.abs(now - cached.loadedAt) < RELOAD_AFTER_MS) return cached.hook;
    const stored = await this.deps.find(key);
    const hook = stored === null ? null : openWebhook(stored, this.deps.secret);
    this.#open.set(key, { hook, loadedAt: now });
    return hook;
  }

  /** Makes the next delivery load the webhook anew. */
  forget(key: string): void {
    this.#open.delete(key);
  }

  /**
   * @param plain what `request.raw` expands to if it is compressed, else the same; networks sign either
   * @param admit asked before that many items are mapped; throws where they are too many now
   * @throws WeftError PAYLOAD_TOO_LARGE: it has more items than a delivery may have, and nothing of it is kept
   * @throws WeftError OVERLOADED or UNAVAILABLE, or as `admit` does: the same is to be sent again
   */
  async receive(
    hook: OpenWebhook,
    request: SignedRequest,
    plain: Buffer,
    admit: (events: number) => void,
  ): Promise<ReceiveResult> {
    const { clock, observer } = this.deps;
    const { key } = hook.webhook;
    const receivedAtMs = clock.now();
    const proof = this.#prove(hook, request, plain, receivedAtMs);
    if (proof !== 'valid') {
      observer.delivered(key, proof);
      return { kind: 'refused', reason: proof };
    }
    const body = parseJson(plain);
    if (body === undefined) {
      admit(1);
      observer.delivered(key, 'unreadable');
      return { kind: 'taken', counts: await this.#keepUnreadable(hook, plain, receivedAtMs) };
    }
    const answer = hook.answerPost(body);
    if (answer !== null) {
      observer.delivered(key, 'handshake');
      return { kind: 'handshake', answer };
    }
    // Before anything is mapped: the work of a delivery has to be bounded, and counts for its source.
    const items = hook.countItems(body);
    if (items > WEBHOOK_LIMITS.maxItems) {
      observer.delivered(key, 'too_large');
      throw tooManyItems(items);
    }
    admit(items);
    return { kind: 'taken', counts: await this.#take(hook, { body, plain, receivedAtMs }) };
  }

  /** What a delivery that was kept becomes now, which may be nothing; null where it cannot be mapped, by a defect. */
  async mapKept(hook: OpenWebhook, plain: Buffer): Promise<DeliveredEvents | null> {
    const body = parseJson(plain);
    if (body === undefined || hook.answerPost(body) !== null) return NO_EVENTS;
    const reader = await this.#textReader();
    try {
      return await hook.map(body, reader);
    } catch (error) {
      this.deps.observer.mappingFailed(hook.webhook.key, error);
      return null;
    }
  }

  /** Hands events of a delivery that was kept to the log, as history; dead letters of the first time are there. */
  async acceptKept(
    hook: OpenWebhook,
    delivered: DeliveredEvents,
    receivedAtMs: number,
    acceptor: EventAcceptor,
  ): Promise<readonly AcceptResult[]> {
    return this.#accept(hook, delivered.events, { acceptor, receivedAtMs, historical: true });
  }

  #prove(hook: OpenWebhook, request: SignedRequest, plain: Buffer, nowMs: number): SignatureOutcome {
    const outcome = hook.verify(request, nowMs);
    if (outcome !== 'invalid' || plain === request.raw) return outcome;
    return hook.verify({ headers: request.headers, raw: plain }, nowMs);
  }

  async #take(hook: OpenWebhook, { body, plain, receivedAtMs }: ProvedDelivery): Promise<DeliveryCounts> {
    const { observer, acceptor } = this.deps;
    const { key } = hook.webhook;
    let delivered: DeliveredEvents;
    try {
      delivered = await hook.map(body, await this.#textReader());
    } catch (error) {
      observer.mappingFailed(key, error);
      observer.delivered(key, 'unmappable');
      const reason = 'the delivery could not be mapped, by a defect';
      const part = { code: 'MAPPING_FAILED', reason, item: body, index: 0 };
      await this.deps.keepDeadLetters([letterOfPart(hook, part, receivedAtMs)]);
      return this.#keep(hook, plain, receivedAtMs, { ...NOTHING, refused: 1 });
    }
    const { events, leftOut } = delivered;
    const results = await this.#accept(hook, events, { acceptor, receivedAtMs, historical: false });
    const letters = lettersOf(hook, delivered, results, receivedAtMs);
    if (letters.length > 0) await this.deps.keepDeadLetters(letters);
    observer.delivered(key, 'taken');
    for (const [reason, count] of Object.entries(leftOut)) {
      if (count > 0) observer.leftOut(key, reason as LeftOutReason, count);
    }
    return this.#keep(hook, plain, receivedAtMs, countsOf(delivered, results));
  }

  async #accept(
    hook: OpenWebhook,
    events: readonly IncomingEvent[],
    options: { readonly acceptor: EventAcceptor; readonly receivedAtMs: number; readonly historical: boolean },
  ): Promise<readonly AcceptResult[]> {
    if (events.length === 0) return [];
    const { acceptor, receivedAtMs, historical } = options;
    const { sourceId: id, key } = hook.webhook;
    // What is delivered was signed by a server.
    return acceptor.accept({ id, key, authenticated: true }, events, { historical, receivedAtMs, deadLetters: false });
  }

  async #keepUnreadable(hook: OpenWebhook, plain: Buffer, receivedAt: number): Promise<DeliveryCounts> {
    // Of what has no form nothing can be told apart; the delivery itself is kept, sealed.
    const payload = hook.isPrivate
      ? deadLetterText({ redacted: true, bytes: plain.length })
      : plain.toString('utf8').slice(0, MAX_DEAD_LETTER_BYTES);
    await this.deps.keepDeadLetters([
      {
        sourceId: hook.webhook.sourceId,
        stage: 'accept',
        code: 'BODY_UNREADABLE',
        reason: 'the delivery is signed well and is not JSON',
        receivedAt,
        form: { kind: 'webhook', adapter: hook.webhook.adapter, index: 0 },
        payload,
      },
    ]);
    return this.#keep(hook, plain, receivedAt, { ...NOTHING, refused: 1 });
  }

  async #keep(hook: OpenWebhook, plain: Buffer, receivedAt: number, counts: DeliveryCounts): Promise<DeliveryCounts> {
    const { sourceId } = hook.webhook;
    const sealed = this.deps.secret.seal(deliveryPurpose(sourceId), plain);
    await this.deps.keepDelivery({ ...counts, sourceId, receivedAt, sealed });
    return counts;
  }

  #textReader(): Promise<TextReader> {
    this.#reader ??= this.deps.textReader();
    return this.#reader;
  }
}

interface ProvedDelivery {
  readonly body: JsonValue;
  readonly plain: Buffer;
  readonly receivedAtMs: number;
}

const NO_EVENTS: DeliveredEvents = {
  events: [],
  unmapped: [],
  leftOut: { own: 0, nobody: 0, ignored: 0, unknown: 0, left_out: 0 },
};

const NOTHING: DeliveryCounts = { accepted: 0, duplicates: 0, refused: 0, skipped: 0 };

/** Undefined for what is no JSON. */
function parseJson(plain: Buffer): JsonValue | undefined {
  try {
    return JSON.parse(plain.toString('utf8')) as JsonValue;
  } catch {
    return undefined;
  }
}

/** What became of all items of a delivery. @param results of its events, in their order */
export function countsOf({ unmapped, leftOut }: DeliveredEvents, results: readonly AcceptResult[]): DeliveryCounts {
  const count = (status: AcceptResult['status']): number => results.filter((each) => each.status === status).length;
  return {
    accepted: count('accepted'),
    duplicates: count('duplicate'),
    refused: count('refused') + unmapped.length,
    skipped: Object.values(leftOut).reduce((sum, each) => sum + each, 0),
  };
}

function tooManyItems(items: number): WeftError {
  const { maxItems } = WEBHOOK_LIMITS;
  return new WeftError('PAYLOAD_TOO_LARGE', `the delivery has ${String(items)} items, more than ${String(maxItems)}`, {
    where: 'body',
    hint: `send at most ${String(maxItems)} items in one delivery; of this one nothing was kept`,
  });
}
