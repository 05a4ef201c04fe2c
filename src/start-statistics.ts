import { setTimeout as sleep } from 'node:timers/promises';
import { AnchorStateStore } from './features/anchor-state.store.js';
import { FEATURE_ALERT_KINDS } from './monitoring/feature-alert.model.js';
import type { Lifecycle } from './platform/lifecycle.js';
import type { Logger } from './platform/logger.js';
import type { Metrics } from './platform/metrics.js';
import type { RepeatedLog } from './platform/repeated-log.js';
import type { SamplerParts } from './start-parity.js';
import { StatisticsRun } from './statistics-run.js';
import { StatisticsWatch } from './statistics-watch.js';

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

interface StatisticsParts extends Omit<SamplerParts, 'onlineStore'> {
  readonly lifecycle: Lifecycle;
  readonly metrics: Metrics;
  readonly logger: Logger;
  readonly log: RepeatedLog;
}

/** Starts to compute statistics of features, every hour. */
export async function startStatistics({ lifecycle, metrics, logger, log, ...parts }: StatisticsParts): Promise<void> {
  const labels = { feature: MAX_FEATURE_LABELS, kind: FEATURE_ALERT_KINDS };
  const violations = metrics.counter(
    'feature_expectation_violations_total',
    'Looks that found a feature other than expected, by feature and expectation.',
    labels,
  );
  const watch = new StatisticsWatch({
    ...parts,
    run: createStatisticsRun(parts),
    expectations: async () => {
      const { views } = await parts.engine.definitions.current();
      return new Map([...views.values()].flatMap(({ expect = {} }) => Object.entries(expect)));
    },
    observer: {
      violated: ({ feature, kind }) => {
        violations.add(1, feature, kind);
      },
      began: (finding) => {
        logger.warn(finding, 'a feature is not as expected');
      },
      ended: (feature, kind) => {
        logger.info({ feature, kind }, 'a feature is as expected again');
      },
    },
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
}
