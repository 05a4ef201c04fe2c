import type { Clock } from '../platform/clock.js';
import { DeltaWriter } from '../platform/delta-writer.js';
import { MAX_TARGETS, WEFT, type AuditActor, type AuditEvent } from './audit-entry.model.js';
import type { AuditLogStore } from './audit-log.store.js';

export interface AuditRecorderOptions {
  readonly store: Pick<AuditLogStore, 'append'>;
  readonly clock: Clock;
  /** Time between two writes of what was seen, ms. Default 2 s. */
  readonly flushMs?: number;
  /** What could not be written is kept and written with the next entries. */
  readonly onError: (error: unknown) => void;
  /** Events that were given up, because too many wait to be written. */
  readonly onLost: (events: number) => void;
}

/** What alike accesses have in common. */
export interface AuditAccess {
  readonly actor: AuditActor;
  readonly operation: string;
  readonly fields: readonly string[];
  readonly outcome: string;
}

const FLUSH_MS = 2_000;
const MINUTE_MS = 60_000;
/** Entries that may wait to be written. */
const MAX_WAITING = 5_000;
/** Keys whose page views may be counted at a time. */
const MAX_VIEWERS = 10_000;
/** Of one statement. */
const MAX_APPENDED = 500;

/** Accesses that become one entry. */
export interface GatheredAccess {
  readonly access: AuditAccess;
  readonly targets: Set<string>;
  count: number;
  /** False once it was written, or has as many targets as it may. */
  isOpen: boolean;
}

interface Views {
  readonly actor: AuditActor;
  readonly operation: string;
  readonly minute: number;
  count: number;
}

/**
 * Notes who saw and changed what. Changes are written before they are answered. What was seen is gathered by actor,
 * operation and fields, and written every two seconds, off the path of requests: a process that is killed loses so much.
 * Page views are counted by key and minute. What cannot be kept is counted, and the log itself says how much it was.
 */
export class AuditRecorder {
  readonly writes: DeltaWriter<AuditEvent>;
  readonly #options: AuditRecorderOptions;
  #gathered = new Map<string, GatheredAccess>();
  #full: GatheredAccess[] = [];
  #views = new Map<string, Views>();
  #kept: AuditEvent[] = [];
  #lost = 0;
  #isStopping = false;

  constructor(options: AuditRecorderOptions) {
    this.#options = options;
    this.writes = new DeltaWriter({
      take: () => this.#take(),
      putBack: (event) => {
        this.#keep(event);
      },
      write: (events) => options.store.append(events),
      maxDeltas: MAX_APPENDED,
      flushMs: options.flushMs ?? FLUSH_MS,
      onError: options.onError,
    });
  }

  /**
   * Something was administered, or somebody tried to. Resolves once it is in the log; where it cannot be written now, it
   * is kept for later.
   */
  async change(event: Omit<AuditEvent, 'kind' | 'count'>): Promise<void> {
    const whole: AuditEvent = { ...event, kind: 'change', count: 1, targets: event.targets.slice(0, MAX_TARGETS) };
    try {
      await this.#options.store.append([whole]);
    } catch (error) {
      this.#options.onError(error);
      this.#keep(whole);
    }
  }

  /**
   * Personal data was shown.
   * @param target of whom; null where that is not one profile
   * @param before what an alike access of the same request was gathered in
   * @param accesses to how many at once
   */
  seen(
    access: AuditAccess,
    target: string | null,
    before: GatheredAccess | null = null,
    accesses = 1,
  ): GatheredAccess | null {
    const gathered = before?.isOpen === true ? before : this.#gatheredFor(access);
    if (gathered === null) {
      this.#lose(accesses);
      return null;
    }
    gathered.count += accesses;
    if (target !== null) gathered.targets.add(target);
    if (gathered.targets.size >= MAX_TARGETS) this.#close(gathered);
    return gathered;
  }

  /** A page was told of its visitor. */
  viewed(operation: string, actorId: string, actorOf: () => AuditActor): void {
    const views = this.#views.get(actorId);
    if (views !== undefined) views.count += 1;
    else if (this.#views.size < MAX_VIEWERS) {
      const minute = this.#minuteNow();
      this.#views.set(actorId, { actor: actorOf(), operation, minute, count: 1 });
    } else this.#lose(1);
  }

  start(): void {
    this.writes.start();
  }

  /** Writes what is left. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    await this.writes.stop();
  }

  #minuteNow(): number {
    return Math.floor(this.#options.clock.now() / MINUTE_MS);
  }

  #gatheredFor(access: AuditAccess): GatheredAccess | null {
    const { actor, operation, fields, outcome } = access;
    const key = [actor.id, operation, outcome, ...fields].join('\0');
    const known = this.#gathered.get(key);
    if (known !== undefined) return known;
    if (this.#gathered.size + this.#full.length + this.#kept.length >= MAX_WAITING) return null;
    const gathered = { access, targets: new Set<string>(), count: 0, isOpen: true };
    this.#gathered.set(key, gathered);
    return gathered;
  }

  #close(gathered: GatheredAccess): void {
    const { actor, operation, fields, outcome } = gathered.access;
    gathered.isOpen = false;
    this.#gathered.delete([actor.id, operation, outcome, ...fields].join('\0'));
    this.#full.push(gathered);
  }

  #keep(event: AuditEvent): void {
    if (this.#kept.length < MAX_WAITING) this.#kept.push(event);
    else this.#lose(event.count);
  }

  #lose(events: number): void {
    this.#lost += events;
    this.#options.onLost(events);
  }

  #take(): AuditEvent[] {
    const gathered = [...this.#full, ...this.#gathered.values()];
    for (const each of gathered) each.isOpen = false;
    const events = [...this.#kept, ...gathered.map(eventOf), ...this.#pastViews()];
    this.#gathered = new Map();
    this.#full = [];
    this.#kept = [];
    if (this.#lost > 0) {
      const what = { kind: 'access', actor: WEFT, operation: 'audit entries lost', fields: [], targets: [] } as const;
      events.push({ ...what, count: this.#lost, outcome: 'OVERLOADED' });
      this.#lost = 0;
    }
    return events;
  }

  /** Of minutes that are over; of all when nothing more comes. */
  #pastViews(): AuditEvent[] {
    const minute = this.#minuteNow();
    const past = [...this.#views].filter(([, views]) => this.#isStopping || views.minute < minute);
    return past.map(([actorId, { actor, operation, count }]) => {
      this.#views.delete(actorId);
      return { kind: 'access', actor, operation, fields: [], targets: [], count, outcome: 'OK' };
    });
  }
}

function eventOf({ access, targets, count }: GatheredAccess): AuditEvent {
  return { ...access, kind: 'access', targets: [...targets], count };
}
