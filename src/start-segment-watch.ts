import type { Config } from './config.js';
import type { Clock } from './platform/clock.js';
import type { Lifecycle } from './platform/lifecycle.js';
import type { Logger } from './platform/logger.js';
import type { Metrics } from './platform/metrics.js';
import type { Database } from './platform/postgres.js';
import type { RepeatedLog } from './platform/repeated-log.js';
import { OverlapWatch } from './segments/overlap-watch.js';
import { RefreshWatch, type LatestRefresh } from './segments/refresh-watch.js';
import { changedShare, refreshJaccard } from './segments/refresh.model.js';
import { SegmentWatch } from './segments/segment-watch.js';

export interface SegmentWatchParts {
  readonly config: Pick<Config, 'minSegmentJaccard'>;
  readonly lifecycle: Lifecycle;
  readonly db: Database;
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly logger: Logger;
  readonly log: RepeatedLog;
}

/** Starts to keep how large segments are, and to look whether their changes are usual and how alike they are. */
export async function startSegmentWatch(parts: SegmentWatchParts): Promise<void> {
  await startHistory(parts);
  await startOverlaps(parts);
  await startRefreshes(parts);
}

async function startHistory({ lifecycle, db, clock, metrics, logger, log }: SegmentWatchParts) {
  const watch = new SegmentWatch({
    db,
    clock,
    observer: {
      began: (segment, alert) => {
        logger.warn({ segment, ...alert }, 'unusually many or few people enter and leave a segment');
      },
      ended: (segment, kind) => {
        logger.info({ segment, kind }, 'as many people enter and leave a segment as use to');
      },
    },
    onError: (error) => {
      log.warn(error, 'changes of segments could not be counted; it is tried again');
    },
  });
  const help = 'Segments with unusually many or few changes, 1 for each kind; as of the last look.';
  metrics.gauges('segment_alert', help, ['segment', 'kind'], () =>
    watch.open.map(({ segmentKey, kind }) => [[segmentKey, kind], 1] as const),
  );
  await lifecycle.start(
    'segment history',
    () => {
      watch.start();
    },
    { drain: () => watch.stop() },
  );
}

async function startOverlaps({ lifecycle, db, clock, log }: SegmentWatchParts) {
  const overlaps = new OverlapWatch(db, clock, (error) => {
    log.warn(error, 'what segments have in common could not be measured; it is tried again');
  });
  await lifecycle.start(
    'segment overlaps',
    () => {
      overlaps.start();
    },
    { drain: () => overlaps.stop() },
  );
}

async function startRefreshes({ lifecycle, db, clock, config, metrics, logger, log }: SegmentWatchParts) {
  const refreshes = new RefreshWatch({
    ...{ db, clock, minJaccard: config.minSegmentJaccard },
    observer: {
      began: (segment, alert) => {
        logger.warn({ segment, ...alert }, 'most members of a segment were others once what decides had changed');
      },
      ended: (segment, kind) => {
        logger.info({ segment, kind }, 'a segment is refreshed as it should be, or its last refresh is long ago');
      },
    },
    onError: (error) => {
      log.warn(error, 'what segments kept of their members could not be measured; it is tried again');
    },
  });
  const latest = 'Of the latest refresh of each active segment, measured within some minutes: ';
  const labels = ['segment', 'kind'];
  const each = (value: (refresh: LatestRefresh) => number | null) => () =>
    refreshes.latest.flatMap((refresh) => {
      const [{ key, kind }, known] = [refresh, value(refresh)];
      return known === null ? [] : [[[key, kind], known] as const];
    });
  metrics.gauges(
    'segment_refresh_jaccard',
    `${latest}the Jaccard index of its members with and without it, 0 to 1.`,
    labels,
    each(refreshJaccard),
  );
  metrics.gauges(
    'segment_refresh_changed_ratio',
    `${latest}who entered and left, for each member without it.`,
    labels,
    each(changedShare),
  );
  metrics.gauges(
    'segment_refresh_adjusted_rand',
    `${latest}the adjusted Rand index of all segments of the same model's clusters, of which it is one.`,
    labels,
    each(({ adjustedRand }) => adjustedRand),
  );
  await lifecycle.start(
    'segment refreshes',
    () => {
      refreshes.start();
    },
    { drain: () => refreshes.stop() },
  );
}
