import { setTimeout as sleep } from 'node:timers/promises';
import type { LoadedDefinitions } from './definitions.js';
import { AnchorStateStore } from './features/anchor-state.store.js';
import type { FeatureExpectation } from './features/expectation.model.js';
import { FEATURE_ALERT_KINDS } from './monitoring/feature-alert.model.js';
import type { Lifecycle } from './platform/lifecycle.js';
import type { Logger } from './platform/logger.js';
import type { Metrics } from './platform/metrics.js';
import type { RepeatedLog } from './platform/repeated-log.js';
import type { SamplerParts } from './start-parity.js';
import { StatisticsRun } from './statistics-run.js';
import { LiveDriftWatch } from './live-drift-watch.js';
import { LiveSample } from './live-sample.js';
import type { BatchResult } from './pipeline-transaction.js';
import { StatisticsWatch, type FeatureAlertObserver } from './statistics-watch.js';

const MAX_FEATURE_LABELS = 500;
/** Between two pages of people, ms: what is read aside is in nobody's way. */
const PAUSE_MS = 20;

export function createStatisticsRun({ db, clock, engine }: Omit<SamplerParts, 'onlineStore'>): StatisticsRun {
  return new StatisticsRun({
    db,
    clock,
    definitions: async () => {
      if (!(await engine.definitions.isCurrent())) engine.definitions.invalidate();
      return engine.definitions.current();
    },
    anchors: new AnchorStateStore(),
    pause: () => sleep(PAUSE_MS),
  });
}

export interface StatisticsParts extends Omit<SamplerParts, 'onlineStore'> {
  /** Told what batches write through. */
  readonly listen: (listener: (batch: Pick<BatchResult, 'published' | 'loadedIds'>) => void) => void;
  readonly lifecycle: Lifecycle;
  readonly metrics: Metrics;
  readonly logger: Logger;
  readonly log: RepeatedLog;
}

/** Starts to compute statistics of features, every hour. */
export async function startStatistics({
  lifecycle,
  metrics,
  logger,
  log,
  listen,
  ...parts
}: StatisticsParts): Promise<void> {
  const labels = { feature: MAX_FEATURE_LABELS, kind: FEATURE_ALERT_KINDS };
  const violations = metrics.counter(
    'feature_expectation_violations_total',
    'Looks that found a feature other than expected, by feature and expectation.',
    labels,
  );
  const observer: FeatureAlertObserver = {
    violated: ({ feature, kind }) => {
      violations.add(1, feature, kind);
    },
    began: (finding) => {
      logger.warn(finding, 'a feature is not as expected');
    },
    ended: (feature, kind) => {
      logger.info({ feature, kind }, 'a feature is as expected again');
    },
  };
  const watch = new StatisticsWatch({
    ...parts,
    run: createStatisticsRun(parts),
    expectations: async () => expectationsOf(await parts.engine.definitions.current()),
    observer,
    onError: (error) => {
      log.warn(error, 'statistics of features could not be computed; it is tried again');
    },
  });
  const help = 'Features that are not as expected, 1 for each expectation, as of the last look.';
  metrics.gauges('feature_alert', help, ['feature', 'kind'], () =>
    watch.open.map(({ feature, kind }) => [[feature, kind], 1] as const),
  );
  await lifecycle.start(
    'feature statistics',
    () => {
      watch.start();
    },
    { drain: () => watch.stop() },
  );
  await startLive({ lifecycle, metrics, log, listen, observer, ...parts });
}

/** What views of people and of other entities expect, by name of the feature. */
export function expectationsOf({
  views,
  entities,
}: Pick<LoadedDefinitions, 'views' | 'entities'>): Map<string, FeatureExpectation> {
  const all = [...views.values(), ...[...entities.values()].flatMap((entity) => entity.views)];
  return new Map(all.flatMap(({ expect = {} }) => Object.entries(expect)));
}

interface LiveParts extends Omit<StatisticsParts, 'logger'> {
  readonly observer: FeatureAlertObserver;
}

/** Starts to follow values as live traffic changes them. */
async function startLive({ lifecycle, metrics, log, listen, observer, db, clock, engine }: LiveParts): Promise<void> {
  const values = metrics.counter(
    'feature_live_values_total',
    'Values of live traffic that were held against those before.',
  );
  const missed = metrics.counter(
    'feature_live_missed_batches_total',
    'Batches of which no value was looked at, as there was no room.',
  );
  const sample = new LiveSample(() => clock.now());
  listen(({ published = [], loadedIds }) => {
    sample.offer(published, loadedIds);
  });
  const watch = new LiveDriftWatch({
    ...{ db, clock, sample, definitions: () => engine.definitions.current() },
    observer: {
      ...observer,
      looked: (count, left) => {
        values.add(count);
        missed.add(left);
      },
    },
    onError: (error) => {
      log.warn(error, 'values of live traffic could not be looked at; later ones are');
    },
  });
  metrics.gauge(
    'feature_live_left_out',
    'Features that ask to be followed in live traffic beyond the greatest number.',
    () => watch.left,
  );
  await lifecycle.start(
    'live features',
    () => {
      watch.start();
    },
    { drain: () => watch.stop() },
  );
}
