import type { Clock } from './platform/clock.js';
import type { Lifecycle } from './platform/lifecycle.js';
import type { Logger } from './platform/logger.js';
import type { Metrics } from './platform/metrics.js';
import type { Database } from './platform/postgres.js';
import type { RepeatedLog } from './platform/repeated-log.js';
import { OverlapWatch } from './segments/overlap-watch.js';
import { SegmentWatch } from './segments/segment-watch.js';

export interface SegmentWatchParts {
  readonly lifecycle: Lifecycle;
  readonly db: Database;
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly logger: Logger;
  readonly log: RepeatedLog;
}

/** Starts to keep how large segments are, and to look whether their changes are usual. */
export async function startSegmentWatch({ lifecycle, db, clock, metrics, logger, log }: SegmentWatchParts) {
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
