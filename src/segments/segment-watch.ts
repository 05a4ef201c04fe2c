import type { Clock } from '../platform/clock.js';
import { Periodic } from '../platform/periodic.js';
import type { Database } from '../platform/postgres.js';
import { unusualVolume, VOLUME_HOURS } from '../platform/unusual-volume.js';
import {
  SEGMENT_STEPS,
  startOf,
  STEP_MS,
  VOLUME_ALERT_KINDS,
  type SegmentAlert,
  type SegmentAlertKind,
  type SegmentPeriod,
} from './segment-history.model.js';
import { SegmentHistoryReader, type OpenSegmentAlert } from './segment-history.reader.js';
import { SegmentHistoryStore } from './segment-history.store.js';
import { SegmentReader } from './segment.reader.js';

export interface SegmentAlertObserver {
  began(segmentKey: string, alert: SegmentAlert): void;
  ended(segmentKey: string, kind: SegmentAlertKind): void;
}

export interface SegmentWatchOptions {
  readonly db: Database;
  readonly clock: Clock;
  readonly observer: SegmentAlertObserver;
  /** It is tried again with the next look. */
  readonly onError: (error: unknown) => void;
}

const LOOK_EVERY_MS = 60_000;
/** Open at once, as far as metrics tell. */
const MAX_OPEN = 300;

/**
 * Keeps how large segments are and how many enter and leave, by hour and by day, and tells where that is unusual. Several
 * processes may look: what one has counted, measured or noticed, the others leave alone.
 */
export class SegmentWatch {
  readonly #options: SegmentWatchOptions;
  readonly #looks: Periodic;
  readonly #store: SegmentHistoryStore;
  readonly #reader: SegmentHistoryReader;
  readonly #stop = new AbortController();
  /** The end of the last hour that was held against those before, ms. */
  #examinedUntil = Number.NEGATIVE_INFINITY;
  #open: readonly OpenSegmentAlert[] = [];

  constructor(options: SegmentWatchOptions) {
    this.#options = options;
    this.#store = new SegmentHistoryStore(options.db);
    this.#reader = new SegmentHistoryReader(options.db);
    this.#looks = new Periodic(
      () => this.#look(),
      LOOK_EVERY_MS,
      (error) => {
        if (!this.#stop.signal.aborted) options.onError(error);
      },
    );
  }

  /** As of the last look. */
  get open(): readonly OpenSegmentAlert[] {
    return this.#open;
  }

  start(): void {
    this.#looks.start();
  }

  stop(): Promise<void> {
    this.#stop.abort();
    return this.#looks.stop();
  }

  /** One look. */
  look(): Promise<void> {
    return this.#looks.run();
  }

  async #look(): Promise<void> {
    const { clock } = this.#options;
    // Of the hours that are looked at below nothing is missing: what was applied before this has come into the feed.
    const hour = startOf('hour', clock.now());
    const isComplete = hour > this.#examinedUntil && (await this.#reader.isAppliedUntil(hour));
    while (!(await this.#store.count(clock.now()))) this.#stop.signal.throwIfAborted();
    for (const step of SEGMENT_STEPS) {
      while ((await this.#store.sample(step, clock.now())) > 0) this.#stop.signal.throwIfAborted();
    }
    if (isComplete) {
      await this.#examine(hour);
      await this.#store.sweep(clock.now());
      this.#examinedUntil = hour;
    }
    this.#open = await this.#reader.openAlerts(MAX_OPEN);
  }

  /** @param endMs of the last full hour */
  async #examine(endMs: number): Promise<void> {
    const { db, clock, observer } = this.#options;
    const keys = new Map((await new SegmentReader(db).active()).map(({ id, key }) => [id, key]));
    const standing: { segmentId: number; kind: SegmentAlertKind }[] = [];
    for (const [segmentId, key] of keys) {
      this.#stop.signal.throwIfAborted();
      const hours = await this.#reader.periods(segmentId, 'hour', endMs - VOLUME_HOURS * STEP_MS.hour);
      const alert = alertOf(hours, endMs);
      if (alert === null) continue;
      standing.push({ segmentId, kind: alert.kind });
      if (await this.#store.open(segmentId, alert)) observer.began(key, alert);
    }
    for (const { segmentId, kind } of await this.#store.close(VOLUME_ALERT_KINDS, standing, clock.now())) {
      const key = keys.get(segmentId) ?? (await new SegmentReader(db).byIds([segmentId]))[0]?.key;
      if (key !== undefined) observer.ended(key, kind);
    }
  }
}

/**
 * What is unusual about the changes of a segment by behaviour and time. From the last edit on that made any: what was
 * usual before is not any more.
 * @param hours by rising start
 * @param endMs of the last full hour
 */
export function alertOf(hours: readonly SegmentPeriod[], endMs: number): SegmentAlert | null {
  const full = hours.filter(({ start }) => start < endMs);
  const known = full.slice(full.findLastIndex(({ edited }) => edited > 0) + 1);
  const first = known[0]?.start;
  if (first === undefined) return null;
  const counts = new Array<number>((endMs - first) / STEP_MS.hour).fill(0);
  for (const { start, entered, left } of known) counts[(start - first) / STEP_MS.hour] = entered + left;
  const unusual = unusualVolume({ counts, endMs });
  if (unusual === null) return null;
  const { direction, ...volume } = unusual;
  return { kind: direction === 'low' ? 'changes_low' : 'changes_high', ...volume };
}
