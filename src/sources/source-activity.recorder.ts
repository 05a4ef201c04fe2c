import type { IncomingItem, SettledAccept } from '../events/accept.model.js';
import type { Clock } from '../platform/clock.js';
import { DeltaWriter } from '../platform/delta-writer.js';
import { hourOf, MAX_ACTIVITY_NAMES } from './source-activity.model.js';
import type { ActivityDelta, SourceActivityStore } from './source-activity.store.js';

export interface ActivityRecorderOptions {
  readonly store: Pick<SourceActivityStore, 'add'>;
  readonly clock: Clock;
  /** Time between two writes, ms. Default 5 s. */
  readonly flushMs?: number;
  /** The counts are kept and written with the next ones. */
  readonly onError: (error: unknown) => void;
  /** Events whose counts were given up, because too many wait to be written. */
  readonly onLost: (events: number) => void;
}

/** Names and hours that may wait to be written, of all sources together. */
const MAX_ENTRIES = 20_000;
/** Of one statement. */
const MAX_DELTAS = 2_000;

interface Counts {
  accepted: number;
  duplicates: number;
  refused: number;
  flagged: number;
  loaded: number;
}

/** What came in from one source within one hour and is not written yet. */
interface Pending {
  readonly sourceId: number;
  readonly hour: number;
  lastSeenAt: number;
  readonly names: Map<string, Counts>;
}

/**
 * Counts in memory what each source sends, and adds it to the stored counts every few seconds: an event costs a look-up
 * and an increment.
 */
export class SourceActivityRecorder {
  readonly writes: DeltaWriter<ActivityDelta>;
  readonly #options: ActivityRecorderOptions;
  #pending = new Map<number, Pending>();
  /** Of hours that are over, and of writes that failed. */
  #past = new Map<string, Pending>();
  #entries = 0;

  constructor(options: ActivityRecorderOptions) {
    this.#options = options;
    this.writes = new DeltaWriter({
      take: () => this.#take(),
      putBack: (delta) => {
        this.#putBack(delta);
      },
      write: (deltas) => options.store.add(deltas),
      maxDeltas: MAX_DELTAS,
      flushMs: options.flushMs,
      onError: options.onError,
    });
  }

  /** As part of an `AcceptObserver`. */
  readonly settled = ({ source, items, results, historical }: SettledAccept): void => {
    const nowMs = this.#options.clock.now();
    const pending = this.#pendingOf(source.id, hourOf(nowMs));
    pending.lastSeenAt = Math.max(pending.lastSeenAt, nowMs);
    for (let i = 0; i < items.length; i++) {
      const item = items[i];
      const result = results[i];
      if (item === undefined || result === undefined) continue;
      const counts = this.#countsOf(pending, nameOf(item));
      if (counts === null) continue;
      if (result.status === 'refused') counts.refused++;
      else if (result.status === 'duplicate') counts.duplicates++;
      else {
        counts.accepted++;
        if (historical) counts.loaded++;
        if (result.violations !== undefined) counts.flagged++;
      }
    }
  };

  #take(): ActivityDelta[] {
    const taken = [...this.#past.values(), ...this.#pending.values()];
    this.#pending = new Map();
    this.#past = new Map();
    this.#entries = 0;
    return taken.flatMap(deltasOf);
  }

  #putBack({ sourceId, hour, event, lastSeenAt, ...delta }: ActivityDelta): void {
    const pending = this.#keptOf(sourceId, hour);
    pending.lastSeenAt = Math.max(pending.lastSeenAt, lastSeenAt);
    const counts = this.#countsOf(pending, event, delta.accepted + delta.duplicates + delta.refused);
    if (counts === null) return;
    for (const name of COUNTED) counts[name] += delta[name];
  }

  #pendingOf(sourceId: number, hour: number): Pending {
    const known = this.#pending.get(sourceId);
    if (known?.hour === hour) return known;
    if (known !== undefined) for (const delta of deltasOf(known)) this.#putBack(delta);
    const pending = { sourceId, hour, lastSeenAt: 0, names: new Map<string, Counts>() };
    this.#pending.set(sourceId, pending);
    return pending;
  }

  #keptOf(sourceId: number, hour: number): Pending {
    const key = `${String(sourceId)}:${String(hour)}`;
    let pending = this.#past.get(key);
    if (pending === undefined) {
      pending = { sourceId, hour, lastSeenAt: 0, names: new Map() };
      this.#past.set(key, pending);
    }
    return pending;
  }

  #countsOf(pending: Pending, name: string, events = 1): Counts | null {
    const known = pending.names.get(name);
    if (known !== undefined) return known;
    if (name !== '' && (pending.names.size >= MAX_ACTIVITY_NAMES || this.#entries >= MAX_ENTRIES)) {
      return this.#countsOf(pending, '', events);
    }
    // Room for what has no name of its own is left to as many sources again.
    if (this.#entries >= 2 * MAX_ENTRIES) {
      this.#options.onLost(events);
      return null;
    }
    this.#entries++;
    const counts = { accepted: 0, duplicates: 0, refused: 0, flagged: 0, loaded: 0 };
    pending.names.set(name, counts);
    return counts;
  }
}

const COUNTED = ['accepted', 'duplicates', 'refused', 'flagged', 'loaded'] as const;

/** As features match on it; '' for what is no event. */
function nameOf(item: IncomingItem): string {
  if ('refusal' in item) return '';
  const name: unknown = item.type === 'track' ? item.name : item.type;
  return typeof name === 'string' ? name : '';
}

const MAX_NAME_LENGTH = 200;

function deltasOf({ sourceId, hour, lastSeenAt, names }: Pending): ActivityDelta[] {
  return [...names].map(([name, counts]) => ({ sourceId, hour, lastSeenAt, event: storableName(name), ...counts }));
}

/** The log repairs names likewise; what is too long was refused, and is nobody's name. */
function storableName(name: string): string {
  return name.length > MAX_NAME_LENGTH ? '' : name.replaceAll(/[\0\p{Surrogate}]/gu, '\ufffd');
}
