import type { Clock } from '../platform/clock.js';
import { newId } from '../platform/ids.js';
import type { Queryable } from '../platform/postgres.js';
import type { AcceptOptions, EventAcceptor, EventSource, IncomingItem, Refusal } from './accept.model.js';
import { MAX_DEAD_LETTER_BYTES } from './dead-letter.store.js';
import type { DeadLetter, DeadLetterStore } from './dead-letter.store.js';
import type { EventLog, PreparedEvent } from './event-log.model.js';
import type { AcceptResult, IdentifierPolicy } from './event.model.js';
import { validateEvent } from './validate-event.js';

/** Told of every outcome, to count it. */
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
export class AcceptService implements EventAcceptor {
  constructor(private readonly deps: AcceptDependencies) {}

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
    const text = JSON.stringify(item) as string | undefined;
    return (text ?? 'null').slice(0, MAX_DEAD_LETTER_BYTES);
  } catch {
    return 'null';
  }
}
