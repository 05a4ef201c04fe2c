import { FeatureStatisticsReader } from './monitoring/feature-statistics.reader.js';
import { FeatureStatisticsStore } from './monitoring/feature-statistics.store.js';
import type { Clock } from './platform/clock.js';
import { Periodic } from './platform/periodic.js';
import type { Queryable } from './platform/postgres.js';
import type { StatisticsRun } from './statistics-run.js';

export interface StatisticsWatchOptions {
  readonly db: Queryable;
  readonly clock: Clock;
  readonly run: Pick<StatisticsRun, 'tally'>;
  /** It is tried again with the next look. */
  readonly onError: (error: unknown) => void;
}

const LOOK_EVERY_MS = 60_000;
const COMPUTE_EVERY_MS = 60 * 60_000;

/** Keeps statistics of features no older than an hour or so. */
export class StatisticsWatch {
  readonly #options: StatisticsWatchOptions;
  readonly #looks: Periodic;
  readonly #stop = new AbortController();

  constructor(options: StatisticsWatchOptions) {
    this.#options = options;
    this.#looks = new Periodic(
      () => this.#look(),
      LOOK_EVERY_MS,
      (error) => {
        if (!this.#stop.signal.aborted) options.onError(error);
      },
    );
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
    const { db, clock, run } = this.#options;
    const newest = await new FeatureStatisticsReader(db).newest();
    if (newest !== null && clock.now() - newest < COMPUTE_EVERY_MS) return;
    const tallied = await run.tally(this.#stop.signal);
    const store = new FeatureStatisticsStore(db);
    await store.save(tallied, clock.now());
    await store.sweep(
      tallied.map(({ statistics }) => statistics.feature),
      clock.now(),
    );
  }
}
