import type { FeatureExpectation } from './features/expectation.model.js';
import {
  violationsOf,
  type FeatureAlert,
  type FeatureAlertKind,
  type FeatureFinding,
} from './monitoring/feature-alert.model.js';
import { FeatureAlertReader } from './monitoring/feature-alert.reader.js';
import { FeatureAlertStore } from './monitoring/feature-alert.store.js';
import { driftOf, type ReferenceOfFeature } from './monitoring/feature-drift.model.js';
import { FeatureReferenceReader } from './monitoring/feature-reference.reader.js';
import { FeatureStatisticsReader } from './monitoring/feature-statistics.reader.js';
import type { TalliedFeature } from './features/feature-statistics.model.js';
import { FeatureStatisticsStore } from './monitoring/feature-statistics.store.js';
import type { Clock } from './platform/clock.js';
import { Periodic } from './platform/periodic.js';
import type { Database, Queryable } from './platform/postgres.js';
import type { StatisticsRun } from './statistics-run.js';

export interface StatisticsWatchOptions {
  readonly db: Database;
  readonly clock: Clock;
  readonly run: Pick<StatisticsRun, 'tally' | 'itemFeatures'>;
  /** What is expected of values, by name of the feature. */
  readonly expectations: () => Promise<ReadonlyMap<string, FeatureExpectation>>;
  readonly observer: FeatureAlertObserver;
  /** It is tried again with the next look. */
  readonly onError: (error: unknown) => void;
}

export interface FeatureAlertObserver {
  /** As of this look; also those that were known. */
  violated(finding: FeatureFinding): void;
  began(finding: FeatureFinding): void;
  ended(feature: string, kind: FeatureAlertKind): void;
}

const LOOK_EVERY_MS = 60_000;
const COMPUTE_EVERY_MS = 60 * 60_000;
/** For some thousand features, three statements each. */
const SAVE_TIMEOUT_MS = 5 * 60_000;
/** Open at once, as far as metrics tell. */
const MAX_OPEN = 500;

/** Keeps statistics of features no older than an hour or so, and tells where they are not as expected. */
export class StatisticsWatch {
  readonly #options: StatisticsWatchOptions;
  readonly #looks: Periodic;
  readonly #stop = new AbortController();
  #open: readonly Pick<FeatureAlert, 'feature' | 'kind'>[] = [];

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

  /** Alerts that are not over as of the last look, whichever process noticed them. */
  get open(): readonly Pick<FeatureAlert, 'feature' | 'kind'>[] {
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
    await this.#compute();
    this.#open = await new FeatureAlertReader(this.#options.db).open(MAX_OPEN);
  }

  async #compute(): Promise<void> {
    const { db, clock, run, observer } = this.#options;
    const newest = await new FeatureStatisticsReader(db).newest();
    if (newest !== null && clock.now() - newest < COMPUTE_EVERY_MS) return;
    const tallied = await run.tally(this.#stop.signal);
    const names = [...tallied.map(({ statistics }) => statistics.feature), ...(await run.itemFeatures())];
    // At once: statistics that are kept are not compared again until the next ones are.
    const changes = await db.transaction(
      async (tx) => {
        const store = new FeatureStatisticsStore(tx);
        await store.save(tallied, clock.now());
        await store.sweep(names, clock.now());
        return this.#compare(tx, tallied, names);
      },
      { timeoutMs: SAVE_TIMEOUT_MS },
    );
    for (const finding of changes.found) observer.violated(finding);
    for (const finding of changes.began) observer.began(finding);
    for (const { feature, kind } of changes.ended) observer.ended(feature, kind);
  }

  async #compare(db: Queryable, tallied: readonly TalliedFeature[], names: readonly string[]): Promise<Changes> {
    const { clock, expectations } = this.#options;
    const [reader, store] = [new FeatureAlertReader(db), new FeatureAlertStore(db)];
    const expected = await expectations();
    const trained = new TrainedOn(db);
    const found: FeatureFinding[] = [];
    for (const { statistics } of tallied) {
      this.#stop.signal.throwIfAborted();
      const { against } = expected.get(statistics.feature) ?? {};
      const reference = against === undefined ? null : await trained.of(against, statistics.feature);
      // Without the training set nothing can be told of the change; what `steady` says follows from the days alone.
      const drift = driftOf(await reader.days(statistics.feature), reference);
      if (drift !== null) await store.saveDrift(drift, clock.now());
      found.push(
        ...violationsOf(tellable(expected.get(statistics.feature) ?? {}, reference), statistics, drift, clock.now()),
      );
    }
    const began: FeatureFinding[] = [];
    for (const finding of found) if (await store.open(finding, clock.now())) began.push(finding);
    const seen = new Set(tallied.map(({ statistics }) => statistics.feature));
    const unseen = names.filter((name) => !seen.has(name));
    const ended = await store.close(found, unseen, clock.now());
    await store.sweep(names, clock.now());
    return { found, began, ended };
  }
}

/** What a look found, to be told once it is kept. */
interface Changes {
  readonly found: readonly FeatureFinding[];
  readonly began: readonly FeatureFinding[];
  readonly ended: readonly Pick<FeatureAlert, 'feature' | 'kind'>[];
}

/** Training sets that features are held against, each read once. */
class TrainedOn {
  readonly #reader: FeatureReferenceReader;
  readonly #read = new Map<string, Promise<ReadonlyMap<string, ReferenceOfFeature>>>();

  constructor(db: Queryable) {
    this.#reader = new FeatureReferenceReader(db);
  }

  /** Null: there is no such training set, or it is without the feature. */
  async of(name: string, feature: string): Promise<ReferenceOfFeature | null> {
    let read = this.#read.get(name);
    if (read === undefined) this.#read.set(name, (read = this.#reader.features(name)));
    return (await read).get(feature) ?? null;
  }
}

/** What is expected, without what cannot be told because the training set is not there. */
function tellable(expected: FeatureExpectation, reference: ReferenceOfFeature | null): FeatureExpectation {
  if (expected.against === undefined || reference !== null) return expected;
  const { psi: _psi, ks: _ks, ...others } = expected;
  return others;
}
