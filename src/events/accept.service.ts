import type { Clock } from '../platform/clock.js';
import { WeftError } from '../platform/errors.js';
import { newId, type Uuid } from '../platform/ids.js';
import type { Queryable } from '../platform/postgres.js';
import type {
  AcceptOptions,
  EventAcceptor,
  EventChecker,
  EventSource,
  IncomingItem,
  Refusal,
  SettledAccept,
} from './accept.model.js';
import { deadLetterText, type DeadLetter, type RawInput } from './dead-letter.model.js';
import type { DeadLetterStore } from './dead-letter.store.js';
import type { EventLog, PreparedEvent } from './event-log.model.js';
import type { EventPlan, EventPlans } from './event-plan.model.js';
import { hasAddress, withoutAddress, type EventEnrichers } from './enrichment.model.js';
import type { AcceptResult, DroppedIdentifier, IdentifierPolicy, IncomingEvent } from './event.model.js';
import { SeenNameStore } from './seen-name.store.js';
import { SUPPRESSED } from './suppression.model.js';
import { validateEvent, type Enrichment, type Validated } from './validate-event.js';

/** Told of every outcome, to count it. */
export interface AcceptObserver {
  accepted(source: EventSource, count: number): void;
  duplicates(source: EventSource, count: number): void;
  refused(source: EventSource, code: string): void;
  /** Identifiers that events were taken without; absent where nobody counts them. */
  identifiersDropped?(source: EventSource, dropped: readonly DroppedIdentifier[]): void;
  /** Traits under reserved names that events were taken without; absent where nobody counts them. */
  traitsStripped?(source: EventSource, count: number): void;
  /** Events were taken without the facts that were found out about them, with which they would be too large. */
  factsLeftOut?(source: EventSource, count: number): void;
  /** Names that events carried could not be noted; they are when they are met again. */
  namesLost?(source: EventSource, error: unknown): void;
  /** Told of each call once all is settled; absent where nobody looks at single events. */
  settled?(call: SettledAccept): void;
  /** Dead letters could not be written; the events' outcome stands. */
  deadLettersLost(source: EventSource, count: number, error: unknown): void;
}

export interface AcceptDependencies {
  readonly log: EventLog;
  readonly policy: IdentifierPolicy;
  /** Brings the policy up to the rules in force; default: they never change. */
  readonly renewPolicy?: () => Promise<void>;
  readonly deadLetters: DeadLetterStore;
  readonly db: Queryable;
  readonly clock: Clock;
  readonly observer: AcceptObserver;
  /** Default: no source has one. */
  readonly plans?: EventPlans;
  /** Default: nothing is found out about events, whatever sources ask for. */
  readonly enrichers?: EventEnrichers;
}

/** The one way into the event log: validate, append durably, report each event. */
export class AcceptService implements EventAcceptor, EventChecker {
  readonly #names: SeenNameStore;

  constructor(private readonly deps: AcceptDependencies) {
    this.#names = new SeenNameStore(deps.db);
  }

  accept(source: EventSource, items: readonly IncomingItem[], options: AcceptOptions): Promise<AcceptResult[]> {
    return this.#accept(source, items, options, MAX_RENEWALS);
  }

  async #accept(
    source: EventSource,
    items: readonly IncomingItem[],
    options: AcceptOptions,
    renewals: number,
  ): Promise<AcceptResult[]> {
    const receivedAtMs = options.receivedAtMs ?? this.deps.clock.now();
    const results = new Array<AcceptResult>(items.length);
    const prepared: PreparedEvent[] = [];
    const preparedAt: number[] = [];
    const letters: DeadLetter[] = [];
    const plan = this.deps.plans?.of(source) ?? null;
    const settings = source.enrichment ?? null;
    const enricher = settings === null ? null : await this.deps.enrichers?.of(settings);
    for (const [index, item] of items.entries()) {
      const enrichment = enricher == null ? null : { enricher, client: options.clientOf?.(index) ?? null };
      const outcome = this.#prepare(source, item, { plan, historical: options.historical, receivedAtMs, enrichment });
      if (outcome.ok) {
        prepared.push(options.loadId === undefined ? outcome.event : { ...outcome.event, loadId: options.loadId });
        preparedAt.push(index);
        if (!('refusal' in item)) this.#names.note(item);
        const { dropped, strippedTraits } = outcome;
        if (outcome.isBare === true) this.deps.observer.factsLeftOut?.(source, 1);
        if (strippedTraits > 0) this.deps.observer.traitsStripped?.(source, strippedTraits);
        if (dropped.length === 0 && outcome.violations.length === 0) continue;
        // The status is settled by the log.
        results[index] = acceptedWith(outcome);
        if (dropped.length > 0) this.deps.observer.identifiersDropped?.(source, dropped);
        continue;
      }
      const { refusal } = outcome;
      results[index] = refusedWith(outcome);
      this.deps.observer.refused(source, refusal.code);
      if (options.deadLetters === false) continue;
      letters.push(deadLetterOf(source, item, refusal, receivedAtMs, options.rawOf?.(index)));
    }
    const outcomes = await this.deps.log.append(prepared);
    if (outcomes.includes('load_reverted')) throw loadReverted(options.loadId);
    if (outcomes.includes('withheld')) throw withheld();
    if (outcomes.includes('outdated')) {
      const outdated = preparedAt.filter((_, i) => outcomes[i] === 'outdated');
      await this.#acceptAnew(source, items, { ...options, receivedAtMs }, { outdated, results, renewals });
    }
    let accepted = 0;
    let suppressed = 0;
    let outdated = 0;
    for (const [i, outcome] of outcomes.entries()) {
      const isNew = outcome === 'appended';
      const index = preparedAt[i] ?? 0;
      if (outcome === 'outdated') {
        outdated += 1;
        continue;
      }
      if (outcome === 'suppressed') {
        results[index] = { status: 'refused', ...SUPPRESSED };
        this.deps.observer.refused(source, SUPPRESSED.code);
        suppressed += 1;
        continue;
      }
      if (isNew) accepted += 1;
      const withDetails = results[index];
      const result = isNew ? ACCEPTED : DUPLICATE;
      results[index] = withDetails === undefined ? result : { ...withDetails, ...result };
    }
    if (accepted > 0) this.deps.observer.accepted(source, accepted);
    const duplicates = outcomes.length - accepted - suppressed - outdated;
    if (duplicates > 0) this.deps.observer.duplicates(source, duplicates);
    if (renewals === MAX_RENEWALS) {
      this.deps.observer.settled?.({ source, items, results, historical: options.historical });
    }
    if (letters.length > 0) await this.#keep(source, letters);
    if (this.#names.hasUnsaved) await this.#saveNames(source);
    return results;
  }

  check(
    source: EventSource,
    items: readonly IncomingItem[],
    options: AcceptOptions,
    onPrepared?: (event: PreparedEvent, index: number) => void,
  ): AcceptResult[] {
    const receivedAtMs = options.receivedAtMs ?? this.deps.clock.now();
    const plan = this.deps.plans?.of(source) ?? null;
    const how = { plan, historical: options.historical, receivedAtMs, enrichment: null };
    return items.map((item, index) => {
      const outcome = this.#prepare(source, item, how);
      if (outcome.ok) onPrepared?.(outcome.event, index);
      return outcome.ok ? acceptedWith(outcome) : refusedWith(outcome);
    });
  }

  /** Those whose identifiers were resolved by rules that are not in force any more, resolved by those that are. */
  async #acceptAnew(
    source: EventSource,
    items: readonly IncomingItem[],
    options: AcceptOptions,
    { outdated, results, renewals }: Outdated,
  ): Promise<void> {
    if (renewals === 0 || this.deps.renewPolicy === undefined) throw rulesChange();
    await this.deps.renewPolicy();
    const indexes = [...outdated];
    const { rawOf, clientOf } = options;
    const anew = await this.#accept(
      source,
      indexes.flatMap((index) => items[index] ?? []),
      {
        ...options,
        ...(rawOf === undefined ? undefined : { rawOf: (i: number) => rawOf(indexes[i] ?? 0) }),
        ...(clientOf === undefined ? undefined : { clientOf: (i: number) => clientOf(indexes[i] ?? 0) }),
      },
      renewals - 1,
    );
    for (const [i, index] of indexes.entries()) {
      const result = anew[i];
      if (result !== undefined) results[index] = result;
    }
  }

  #prepare(source: EventSource, item: IncomingItem, { plan, historical, receivedAtMs, enrichment }: How): Validated {
    if ('refusal' in item) return { ok: false, refusal: item.refusal };
    return validateEvent(item, {
      sourceId: source.id,
      receivedAtMs,
      historical,
      enrichment,
      earliestMs: source.retentionMs == null ? 0 : receivedAtMs - source.retentionMs,
      policy: this.deps.policy,
      origin: source,
      newMessageId: () => newId(receivedAtMs),
      plan,
    });
  }

  /** The events are durable by now: whatever becomes of their names, the sender must not send them again. */
  async #saveNames(source: EventSource): Promise<void> {
    try {
      await this.#names.save();
    } catch (error) {
      this.deps.observer.namesLost?.(source, error);
    }
  }

  async #keep(source: EventSource, letters: readonly DeadLetter[]): Promise<void> {
    try {
      await this.deps.deadLetters.insert(this.deps.db, letters);
    } catch (error) {
      this.deps.observer.deadLettersLost(source, letters.length, error);
    }
  }
}

interface How {
  readonly plan: EventPlan | null;
  readonly historical: boolean;
  readonly receivedAtMs: number;
  readonly enrichment: Enrichment | null;
}

/** Times that one call resolves identifiers anew because rules changed meanwhile. */
const MAX_RENEWALS = 5;
const RENEWAL_RETRY_MS = 500;
const WITHHELD_RETRY_MS = 2_000;

interface Outdated {
  /** Indexes of the items concerned. */
  readonly outdated: readonly number[];
  readonly results: AcceptResult[];
  readonly renewals: number;
}

function rulesChange(): WeftError {
  return new WeftError('UNAVAILABLE', 'the rules of identity are changing', {
    hint: 'send the same again a little later',
    retryAfterMs: RENEWAL_RETRY_MS,
  });
}

function withheld(): WeftError {
  return new WeftError('UNAVAILABLE', 'an event with the same message id is being taken back', {
    where: 'messageId',
    hint: 'send the same again a little later; what was taken already is not taken twice',
    retryAfterMs: WITHHELD_RETRY_MS,
  });
}

function loadReverted(loadId: Uuid | undefined): WeftError {
  return new WeftError('CONFLICT', 'the load is being reverted, or was: nothing of it is taken any more', {
    ...(loadId === undefined ? undefined : { where: loadId }),
    hint: 'load the file again once weft load list shows it reverted',
  });
}

const ACCEPTED = { status: 'accepted' } as const;
const DUPLICATE = { status: 'duplicate' } as const;

function acceptedWith({ dropped, violations }: Extract<Validated, { ok: true }>): AcceptResult {
  if (dropped.length === 0 && violations.length === 0) return ACCEPTED;
  return {
    ...ACCEPTED,
    ...(dropped.length === 0 ? undefined : { dropped }),
    ...(violations.length === 0 ? undefined : { violations }),
  };
}

function refusedWith({ refusal, violations }: Extract<Validated, { ok: false }>): AcceptResult {
  return { status: 'refused', ...refusal, ...(violations === undefined ? undefined : { violations }) };
}

function deadLetterOf(
  source: EventSource,
  item: IncomingItem,
  refusal: Refusal,
  receivedAt: number,
  raw: RawInput | undefined,
): DeadLetter {
  const isUnmapped = 'refusal' in item;
  return {
    sourceId: source.id,
    stage: 'accept',
    code: refusal.code,
    reason: refusal.reason,
    messageId: !isUnmapped && typeof item.messageId === 'string' ? item.messageId : null,
    receivedAt,
    form: raw?.form ?? { kind: 'event' },
    payload: deadLetterText(raw === undefined ? (isUnmapped ? item.raw : withoutItsAddress(item)) : raw.input),
  };
}

function withoutItsAddress(event: IncomingEvent): IncomingEvent {
  const context: unknown = event.context;
  return hasAddress(context) ? { ...event, context: withoutAddress(context) } : event;
}
