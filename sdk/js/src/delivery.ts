import { byteLength, type EventQueue, type QueuedEvent } from './event-queue.js';
import type { Exclusive } from './exclusive.js';
import { bodyOf, LIMITS, postBatch, REQUEST_TIMEOUT_MS } from './post-batch.js';
import type { Problem } from './problem.js';
import { backoffMs } from './retry-delay.js';
import type { Runtime } from './runtime.js';

/** How long a lease on the queue outlives the last sign of its holder. */
export const LEASE_MS = REQUEST_TIMEOUT_MS + 2_000;
/** Until another tab is asked again whether it still sends. */
const BUSY_MS = 1_000;
/** Until a key that Weft does not know is tried again: somebody may put it right. */
const MISDIRECTED_MS = 300_000;
const MIN_WAIT_MS = 50;

/** Counts since the page was opened. */
export interface DeliveryStats {
  /** Taken by Weft, be it that it had them already. */
  readonly sent: number;
  /** Lost: too large, refused, or the oldest of a full queue. */
  readonly dropped: number;
  /** Waiting to be sent, those of other tabs and earlier pages too. */
  readonly queued: number;
}

export interface DeliveryOptions extends Runtime {
  /** Of Weft, without a slash at the end. */
  readonly url: string;
  readonly writeKey: string;
  readonly queue: EventQueue;
  readonly exclusive: Exclusive;
  /** How long an event waits for others, ms. */
  readonly flushDelayMs: number;
  /** Whether anything may be sent at present. */
  readonly isAllowed: () => boolean;
  /** Told of the token of an answer, with which a read counts the events sent. */
  readonly onToken: (token: string) => void;
  readonly onProblem: (problem: Problem) => void;
}

/**
 * Takes events and sees to it that each arrives once. They go from the queue to Weft in order, one request at a time over
 * all tabs. An event leaves the queue when Weft has confirmed it, or says that it can never take it. Each carries the
 * message id that it was made with, so that sending it again does no harm.
 */
export class Delivery {
  readonly #options: DeliveryOptions;
  readonly #endpoint: string;
  /** Keys of events that this page added. */
  readonly #own = new Set<string>();
  readonly #inFlight = new Set<string>();
  #running: Promise<void> | null = null;
  #callOff: (() => void) | null = null;
  /** Weft asked for it, so that nothing shortens it. */
  #pausedUntil = 0;
  #backOffUntil = 0;
  #failures = 0;
  #sent = 0;
  #dropped = 0;

  constructor(options: DeliveryOptions) {
    this.#options = options;
    this.#endpoint = `${options.url}/v1/batch`;
  }

  /** Does not wait. */
  add(event: Readonly<Record<string, unknown>>): void {
    const json = toJson(event);
    if (json === null || byteLength(json) > LIMITS.maxEventBytes) {
      this.#drop(1, 'NOT_AN_EVENT', 'not JSON, or more than 32 KB');
      return;
    }
    const { key, dropped } = this.#options.queue.add(json);
    this.#own.add(key);
    this.#drop(dropped, 'QUEUE_FULL', 'the queue is full');
    if (this.#callOff === null) this.#schedule(this.#options.flushDelayMs);
  }

  /**
   * Sends what waits.
   *
   * @param timeoutMs how long to go on where Weft is away or asks to wait; default: one try.
   * @returns whether nothing is left to send
   */
  async flush(timeoutMs = 0): Promise<boolean> {
    const { now, sleep, queue } = this.#options;
    const until = now() + timeoutMs;
    this.#backOffUntil = 0;
    for (;;) {
      await this.#pump();
      if (queue.size().events === 0) return true;
      const remainingMs = until - now();
      if (remainingMs <= 0) return false;
      await sleep(Math.min(remainingMs, Math.max(MIN_WAIT_MS, this.#waitMs())));
    }
  }

  /** Sends what this page added and may not live to send otherwise. What is not confirmed is sent again later. */
  leave(): void {
    const { exclusive, isAllowed, queue, now, writeKey } = this.#options;
    exclusive.release();
    if (this.#pausedUntil > now() || !isAllowed()) return;
    const limits = { events: LIMITS.maxBodyEvents, bytes: LIMITS.maxKeepaliveBytes };
    const events = queue.peek(limits, (key) => !this.#own.has(key) || this.#inFlight.has(key));
    if (events.length === 0) return;
    if ('keepalive' in Request.prototype) void this.#send(events);
    else navigator.sendBeacon(this.#endpoint, bodyOf(events, writeKey, now()));
  }

  /** The network is back. */
  wake(): void {
    this.#backOffUntil = 0;
    void this.#pump();
  }

  clear(): void {
    this.#options.queue.clear();
    this.#own.clear();
  }

  stats(): DeliveryStats {
    return { sent: this.#sent, dropped: this.#dropped, queued: this.#options.queue.size().events };
  }

  #schedule(delayMs: number): void {
    this.#callOff?.();
    this.#callOff = this.#options.later(
      () => {
        this.#callOff = null;
        void this.#pump();
      },
      Math.max(delayMs, this.#waitMs()),
    );
  }

  #waitMs(): number {
    return Math.max(this.#pausedUntil, this.#backOffUntil) - this.#options.now();
  }

  /** One round at a time in this page; what is still there after it is tried again when its time has come. */
  #pump(): Promise<void> {
    const { exclusive, queue, isAllowed, flushDelayMs } = this.#options;
    if (!isAllowed() || queue.size().events === 0) return Promise.resolve();
    if (this.#waitMs() > 0) {
      this.#schedule(0);
      return Promise.resolve();
    }
    this.#running ??= exclusive
      .run(() => this.#drain())
      .then((isOurs) => {
        this.#running = null;
        if (queue.size().events > 0) this.#schedule(isOurs ? flushDelayMs : BUSY_MS);
      });
    return this.#running;
  }

  async #drain(): Promise<void> {
    const { queue, isAllowed } = this.#options;
    const limits = { events: LIMITS.maxBodyEvents, bytes: LIMITS.maxBodyBytes };
    for (;;) {
      const batch = queue.peek(limits, (key) => this.#inFlight.has(key));
      if (!isAllowed() || batch.length === 0 || !(await this.#send(batch))) return;
    }
  }

  /** @returns whether to go on */
  async #send(events: readonly QueuedEvent[]): Promise<boolean> {
    const { exclusive, now, random, later, writeKey, onProblem, onToken } = this.#options;
    exclusive.renew();
    for (const { key } of events) this.#inFlight.add(key);
    const outcome = await postBatch(this.#endpoint, bodyOf(events, writeKey, now()), now, later);
    for (const { key } of events) this.#inFlight.delete(key);
    switch (outcome.kind) {
      case 'taken':
        this.#failures = 0;
        this.#done(events);
        this.#sent += events.length - outcome.refused;
        this.#drop(outcome.refused, 'REFUSED', "refused events are among Weft's dead letters");
        if (outcome.token !== undefined) onToken(outcome.token);
        return true;
      case 'split': {
        const middle = Math.ceil(events.length / 2);
        if (events.length > 1) return (await this.#send(events.slice(0, middle))) && this.#send(events.slice(middle));
        this.#done(events);
        this.#drop(1, 'REFUSED', `Weft answered ${outcome.status}`);
        return true;
      }
      case 'retry':
        this.#failures += 1;
        this.#backOffUntil = now() + backoffMs(this.#failures, random());
        this.#pausedUntil = now() + (outcome.afterMs ?? 0);
        return false;
      case 'misdirected':
        this.#pausedUntil = now() + MISDIRECTED_MS;
        onProblem({
          code: 'KEY_REFUSED',
          message: `Weft answered ${outcome.status}: url or writeKey is wrong`,
        });
        return false;
    }
  }

  #done(events: readonly QueuedEvent[]): void {
    this.#options.queue.remove(events);
    for (const { key } of events) this.#own.delete(key);
  }

  #drop(count: number, code: Problem['code'], message: string): void {
    if (count === 0) return;
    this.#dropped += count;
    this.#options.onProblem({ code, message, events: count });
  }
}

function toJson(event: object): string | null {
  try {
    return JSON.stringify(event);
  } catch {
    return null;
  }
}
