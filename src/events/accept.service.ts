import type { Clock } from '../platform/clock.js';
import { newId } from '../platform/ids.js';
import type { Queryable } from '../platform/postgres.js';
import { MAX_DEAD_LETTER_BYTES } from './dead-letter.store.js';
import type { DeadLetter, DeadLetterStore } from './dead-letter.store.js';
import type { EventLog, PreparedEvent } from './event-log.model.js';
import type { AcceptResult, IdentifierPolicy, IncomingEvent } from './event.model.js';
import { validateEvent } from './validate-event.js';
import type { Refusal } from './validate-event.js';

/** Where events come from, as far as accepting them goes. A `Source` of `sources/` is one. */
export interface EventSource {
  readonly id: number;
  readonly key: string;
}

/** An item of which an adapter could make no event; it is refused and kept as a dead letter like any other. */
export interface UnmappedItem {
  readonly refusal: Refusal;
  /** What came in. */
  readonly raw: unknown;
}

export type IncomingItem = IncomingEvent | UnmappedItem;

export interface AcceptOptions {
  /** Loaded history: sets state, emits no changes. */
  readonly historical: boolean;
  /** Our clock when the events were received, ms; default: now. */
  readonly receivedAtMs?: number;
  /** False where the adapter keeps refused rows itself, as a batch load does with their row numbers. Default true. */
  readonly deadLetters?: boolean;
}

/** Told of every outcome; counts it, logs it. Codes are the refusal codes, '' for events that were taken. */
export interface AcceptObserver {
  accepted(source: EventSource, count: number): void;
  duplicates(source: EventSource, count: number): void;
  refused(source: EventSource, code: string): void;
  /** Dead letters could not be written; the events' outcome stands. */
  deadLettersLost(source: EventSource, count: number, error: unknown): void;
}

export interface AcceptDependencies {
  readonly log: EventLog;
  readonly policy: IdentifierPolicy;
  readonly deadLetters: DeadLetterStore;
  readonly db: Queryable;
  readonly clock: Clock;
  readonly observer: AcceptObserver;
}

/** The one way into the event log: validate, append durably, report each event. */
export class AcceptService {
  constructor(private readonly deps: AcceptDependencies) {}

  /**
   * The outcome of every item, at its index. One bad event is refused and kept as a dead letter; the others are taken.
   * When this resolves, the events it calls accepted are durable.
   *
   * @throws WeftError OVERLOADED or UNAVAILABLE: nothing is known to be accepted; sending all again is right.
   */
  async accept(source: EventSource, items: readonly IncomingItem[], options: AcceptOptions): Promise<AcceptResult[]> {
    const receivedAtMs = options.receivedAtMs ?? this.deps.clock.now();
    const results = new Array<AcceptResult>(items.length);
    const prepared: PreparedEvent[] = [];
    const preparedAt: number[] = [];
    const letters: DeadLetter[] = [];
    for (const [index, item] of items.entries()) {
      const outcome = this.#prepare(source, item, options.historical, receivedAtMs);
      if ('payload' in outcome) {
        prepared.push(outcome);
        preparedAt.push(index);
        continue;
      }
      results[index] = { status: 'refused', ...outcome };
      this.deps.observer.refused(source, outcome.code);
      if (options.deadLetters !== false) letters.push(deadLetterOf(source, item, outcome, receivedAtMs));
    }
    const outcomes = await this.deps.log.append(prepared);
    let accepted = 0;
    for (const [i, outcome] of outcomes.entries()) {
      const isNew = outcome === 'appended';
      if (isNew) accepted += 1;
      results[preparedAt[i] ?? 0] = isNew ? ACCEPTED : DUPLICATE;
    }
    if (accepted > 0) this.deps.observer.accepted(source, accepted);
    if (accepted < outcomes.length) this.deps.observer.duplicates(source, outcomes.length - accepted);
    if (letters.length > 0) await this.#keep(source, letters);
    return results;
  }

  #prepare(
    source: EventSource,
    item: IncomingItem,
    historical: boolean,
    receivedAtMs: number,
  ): PreparedEvent | Refusal {
    if ('refusal' in item) return item.refusal;
    const result = validateEvent(item, {
      sourceId: source.id,
      receivedAtMs,
      historical,
      policy: this.deps.policy,
      newMessageId: () => newId(receivedAtMs),
    });
    return result.ok ? result.event : result.refusal;
  }

  async #keep(source: EventSource, letters: readonly DeadLetter[]): Promise<void> {
    try {
      await this.deps.deadLetters.insert(this.deps.db, letters);
    } catch (error) {
      this.deps.observer.deadLettersLost(source, letters.length, error);
    }
  }
}

const ACCEPTED: AcceptResult = { status: 'accepted' };
const DUPLICATE: AcceptResult = { status: 'duplicate' };

function deadLetterOf(source: EventSource, item: IncomingItem, refusal: Refusal, receivedAt: number): DeadLetter {
  const isUnmapped = 'refusal' in item;
  return {
    sourceId: source.id,
    stage: 'accept',
    code: refusal.code,
    reason: refusal.reason,
    messageId: !isUnmapped && typeof item.messageId === 'string' ? item.messageId : null,
    receivedAt,
    payload: jsonOf(isUnmapped ? item.raw : item),
  };
}

/** JSON, cut, of what may be no JSON: undefined, too deep, cyclic, with a BigInt. */
function jsonOf(item: unknown): string {
  try {
    return String(JSON.stringify(item)).slice(0, MAX_DEAD_LETTER_BYTES);
  } catch {
    return 'null';
  }
}
