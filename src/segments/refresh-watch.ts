import type { Clock } from '../platform/clock.js';
import { Periodic } from '../platform/periodic.js';
import type { Database } from '../platform/postgres.js';
import { RefreshReader } from './refresh.reader.js';
import { RefreshStore } from './refresh.store.js';
import type { SegmentAlertObserver } from './segment-watch.js';
import { SegmentHistoryStore } from './segment-history.store.js';
import { SegmentReader } from './segment.reader.js';

/** Changes that one measurement reads, about: less than a minute of one core of PostgreSQL. */
const MAX_MEASURED_CHANGES = 5_000_000;
const LOOK_EVERY_MS = 60_000;

export interface RefreshWatchOptions {
  readonly db: Database;
  readonly clock: Clock;
  /** A smaller Jaccard index is told of; 0: none is. */
  readonly minJaccard: number;
  readonly observer: SegmentAlertObserver;
  /** It is tried again with the next look. */
  readonly onError: (error: unknown) => void;
  readonly maxChanges?: number;
}

/** What metrics tell of the latest refresh of a live segment. */
export type LatestRefresh = Awaited<ReturnType<RefreshReader['latest']>>[number];

/**
 * Measures how many of their members segments keep when what decides changes, and tells where that is few. Several
 * processes may look: what one has measured or noticed, the others leave alone.
 */
export class RefreshWatch {
  readonly #options: RefreshWatchOptions;
  readonly #looks: Periodic;
  readonly #store: RefreshStore;
  readonly #reader: RefreshReader;
  readonly #alerts: SegmentHistoryStore;
  #latest: readonly LatestRefresh[] = [];

  constructor(options: RefreshWatchOptions) {
    this.#options = options;
    this.#store = new RefreshStore(options.db);
    this.#reader = new RefreshReader(options.db);
    this.#alerts = new SegmentHistoryStore(options.db);
    this.#looks = new Periodic(() => this.#look(), LOOK_EVERY_MS, options.onError);
  }

  /** As of the last look, by key. */
  get latest(): readonly LatestRefresh[] {
    return this.#latest;
  }

  start(): void {
    this.#looks.start();
  }

  stop(): Promise<void> {
    return this.#looks.stop();
  }

  /** One look. */
  look(): Promise<void> {
    return this.#looks.run();
  }

  async #look(): Promise<void> {
    const { db, clock, minJaccard, observer, maxChanges = MAX_MEASURED_CHANGES } = this.#options;
    await this.#store.measureIfDue({ nowMs: clock.now(), maxChanges });
    this.#latest = await this.#reader.latest();
    const unstable = await this.#reader.unstable(minJaccard, clock.now());
    for (const { segmentId, key, since, either, both } of unstable) {
      const alert = { kind: 'refresh_unstable', since, expected: either, seen: both } as const;
      if (await this.#alerts.open(segmentId, alert)) observer.began(key, alert);
    }
    const standing = unstable.map(({ segmentId }) => ({ segmentId, kind: 'refresh_unstable' as const }));
    const ended = await this.#alerts.close(['refresh_unstable'], standing, clock.now());
    const segments = await new SegmentReader(db).byIds(ended.map(({ segmentId }) => segmentId));
    for (const { key } of segments) observer.ended(key, 'refresh_unstable');
  }
}
