import { WeftError } from '../platform/errors.js';
import type { AppendOutcome, PreparedEvent } from './event-log.model.js';

export interface AppendQueueLimits {
  /** Most events of one transaction. */
  readonly maxBatchEvents: number;
  /** Most payload bytes of one transaction; one larger event goes alone. */
  readonly maxBatchBytes: number;
  /** Most events waiting; more are refused as OVERLOADED. */
  readonly maxQueuedEvents: number;
  /** Most payload bytes waiting. */
  readonly maxQueuedBytes: number;
}

interface Call {
  readonly events: readonly PreparedEvent[];
  readonly outcomes: AppendOutcome[];
  /** Events handed to a write so far. */
  taken: number;
  readonly resolve: (outcomes: AppendOutcome[]) => void;
  readonly reject: (error: unknown) => void;
}

const RETRY_AFTER_MS = 1_000;

/**
 * Coalesces concurrent appends. While one write runs, calls queue up and the next write takes them together, so the
 * batch grows with the load and a lone call waits for nothing. One write at a time: they would only wait for each other
 * at the log's head.
 *
 * A call may be spread over several writes; its events keep their order.
 */
export class AppendQueue {
  readonly #calls: Call[] = [];
  #queuedEvents = 0;
  #queuedBytes = 0;
  #writing = false;

  constructor(
    private readonly write: (events: readonly PreparedEvent[]) => Promise<readonly AppendOutcome[]>,
    private readonly limits: AppendQueueLimits,
  ) {}

  /** Events that wait for their write. */
  get queuedEvents(): number {
    return this.#queuedEvents;
  }

  /** @throws WeftError OVERLOADED when the queue is full; whatever `write` throws, once no event of the call waits. */
  append(events: readonly PreparedEvent[]): Promise<AppendOutcome[]> {
    if (events.length === 0) return Promise.resolve([]);
    let bytes = 0;
    for (const event of events) bytes += event.payload.length;
    const { maxQueuedEvents, maxQueuedBytes } = this.limits;
    const isFull = this.#queuedEvents + events.length > maxQueuedEvents || this.#queuedBytes + bytes > maxQueuedBytes;
    if (isFull) {
      return Promise.reject(
        new WeftError('OVERLOADED', 'more events arrive than the event log can write', {
          where: 'event log',
          hint: 'send them again later; message ids keep them from counting twice',
          retryAfterMs: RETRY_AFTER_MS,
        }),
      );
    }
    this.#queuedEvents += events.length;
    this.#queuedBytes += bytes;
    return new Promise((resolve, reject) => {
      this.#calls.push({ events, outcomes: [], taken: 0, resolve, reject });
      if (!this.#writing) void this.#writeAll();
    });
  }

  async #writeAll(): Promise<void> {
    this.#writing = true;
    // Calls made in the same turn of the event loop share the first write.
    await Promise.resolve();
    while (this.#calls.length > 0) {
      const { events, parts } = this.#takeBatch();
      try {
        const outcomes = await this.write(events);
        // An event whose fate is not known must not be acknowledged.
        if (outcomes.length !== events.length) throw new Error('the log did not say what became of each event');
        let at = 0;
        for (const { call, count } of parts) {
          call.outcomes.push(...outcomes.slice(at, at + count));
          at += count;
          if (call.outcomes.length === call.events.length) call.resolve(call.outcomes);
        }
      } catch (error) {
        for (const { call } of parts) this.#fail(call, error);
      }
    }
    this.#writing = false;
  }

  #takeBatch(): { events: PreparedEvent[]; parts: { call: Call; count: number }[] } {
    const events: PreparedEvent[] = [];
    const parts: { call: Call; count: number }[] = [];
    let bytes = 0;
    let isFull = false;
    while (!isFull) {
      const call = this.#calls[0];
      if (call === undefined) break;
      const from = call.taken;
      for (let event = call.events[from]; event !== undefined; event = call.events[call.taken]) {
        isFull =
          events.length >= this.limits.maxBatchEvents ||
          (events.length > 0 && bytes + event.payload.length > this.limits.maxBatchBytes);
        if (isFull) break;
        events.push(event);
        bytes += event.payload.length;
        call.taken += 1;
      }
      if (call.taken > from) parts.push({ call, count: call.taken - from });
      if (call.taken === call.events.length) this.#calls.shift();
    }
    this.#queuedEvents -= events.length;
    this.#queuedBytes -= bytes;
    return { events, parts };
  }

  /** Rejects a call and forgets those of its events that still wait. */
  #fail(call: Call, error: unknown): void {
    if (this.#calls[0] === call) this.#calls.shift();
    for (let i = call.taken; i < call.events.length; i += 1) {
      this.#queuedEvents -= 1;
      this.#queuedBytes -= call.events[i]?.payload.length ?? 0;
    }
    call.reject(error);
  }
}
