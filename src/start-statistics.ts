import { setTimeout as sleep } from 'node:timers/promises';
import { AnchorStateStore } from './features/anchor-state.store.js';
import type { Lifecycle } from './platform/lifecycle.js';
import type { RepeatedLog } from './platform/repeated-log.js';
import type { SamplerParts } from './start-parity.js';
import { StatisticsRun } from './statistics-run.js';
import { StatisticsWatch } from './statistics-watch.js';

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
  readonly log: RepeatedLog;
}

/** Starts to compute statistics of features, every hour. */
export async function startStatistics({ lifecycle, log, ...parts }: StatisticsParts): Promise<void> {
  const watch = new StatisticsWatch({
    ...parts,
    run: createStatisticsRun(parts),
    onError: (error) => {
      log.warn(error, 'statistics of features could not be computed; it is tried again');
    },
  });
  await lifecycle.start(
    'feature statistics',
    () => {
      watch.start();
    },
    { drain: () => watch.stop() },
  );
}
