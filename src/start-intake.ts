import { Enrichers } from './enrichment/enrichers.js';
import { GeoDatabase } from './enrichment/geo-database.js';
import type { SettledAccept } from './events/accept.model.js';
import { VIOLATION_RULES } from './events/plan-violation.model.js';
import type { Clock } from './platform/clock.js';
import type { Lifecycle } from './platform/lifecycle.js';
import type { Logger } from './platform/logger.js';
import type { Metrics } from './platform/metrics.js';
import type { Database } from './platform/postgres.js';
import type { RepeatedLog } from './platform/repeated-log.js';
import { loadTextReader } from './platform/text-reader.js';
import { PlanWatch } from './plans/plan-watch.js';
import { ViolationRecorder } from './plans/violation.recorder.js';
import { ViolationStore } from './plans/violation.store.js';
import { AnomalyWatch } from './sources/anomaly-watch.js';
import { ACTIVITY_KEPT_HOURS, HOUR_MS, hourOf } from './sources/source-activity.model.js';
import { SourceActivityRecorder } from './sources/source-activity.recorder.js';
import { SourceActivityStore } from './sources/source-activity.store.js';
import type { SourceService } from './sources/source.service.js';

const MAX_SOURCE_LABELS = 100;

export interface IntakeParts {
  readonly lifecycle: Lifecycle;
  readonly db: Database;
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly log: RepeatedLog;
}

/** What goes along with taking events in. */
export interface Intake {
  readonly plans: PlanWatch;
  readonly enrichers: Enrichers;
  /** As part of an `AcceptObserver`. */
  readonly settled: (call: SettledAccept) => void;
}

export interface StartedIntakeParts extends IntakeParts {
  /** Path of an mmdb file; null: nothing tells where addresses are. */
  readonly geoDatabase: string | null;
}

/**
 * Starts the counts of what sources send and of what that violates, and the plans that it is held against. They stop
 * after everything that takes events in, so that what was counted last is written, too.
 */
export async function startIntake({
  lifecycle,
  db,
  clock,
  metrics,
  log,
  geoDatabase,
}: StartedIntakeParts): Promise<Intake> {
  const lost = metrics.counter('source_activity_lost_total', 'Events missing from the counts of their sources.');
  const violated = metrics.counter('plan_violations_total', 'Violations of tracking plans, by source and rule.', {
    source: MAX_SOURCE_LABELS,
    rule: VIOLATION_RULES,
  });
  const activity = new SourceActivityRecorder({
    store: new SourceActivityStore(db),
    clock,
    onError: (error) => {
      log.warn(error, 'the activity of sources could not be written; it is tried again');
    },
    onLost: (events) => {
      lost.add(events);
    },
  });
  const violations = new ViolationRecorder({
    store: new ViolationStore(db),
    clock,
    onError: (error) => {
      log.warn(error, 'violations of tracking plans could not be counted; it is tried again');
    },
    onViolation: (source, rule) => {
      violated.add(1, source, rule);
    },
  });
  const plans = new PlanWatch({
    db,
    onError: (error) => {
      log.warn(error, 'tracking plans could not be read; those in force stay');
    },
  });
  for (const [name, writes] of [
    ['source activity', activity.writes],
    ['plan violations', violations.writes],
  ] as const) {
    await lifecycle.start(
      name,
      () => {
        writes.start();
      },
      { drain: () => writes.stop() },
    );
  }
  await lifecycle.start('tracking plans', () => plans.start(), { drain: () => plans.stop() });
  const places = geoDatabase === null ? null : createPlaces(geoDatabase, log);
  if (places !== null) await lifecycle.start('places', () => places, { stop: (started) => started.stop() });
  return {
    plans,
    enrichers: new Enrichers(places, loadTextReader),
    settled: (call) => {
      activity.settled(call);
      violations.settled(call);
    },
  };
}

/** Read when the first event needs it. */
function createPlaces(path: string, log: RepeatedLog): GeoDatabase {
  return new GeoDatabase({
    path,
    onError: (error) => {
      log.warn(
        error,
        'the database of places could not be read; what was read before counts on, and it is tried again',
      );
    },
  });
}

export interface AnomalyParts extends IntakeParts {
  readonly logger: Logger;
  readonly sources: SourceService;
  /** False: what other processes notice is only shown. */
  readonly detects: boolean;
}

/** Starts to look whether sources send what they use to, and to remove counts that are too old. */
export async function watchSources(parts: AnomalyParts): Promise<void> {
  const { lifecycle, db, clock, metrics, log, logger, sources, detects } = parts;
  const [activity, violations] = [new SourceActivityStore(db), new ViolationStore(db)];
  const watch = new AnomalyWatch({
    db,
    clock,
    sources,
    detects,
    observer: {
      began: (source, kind, expected, seen) => {
        logger.warn({ source, kind, expected, seen }, 'a source sends what is unusual');
      },
      ended: (source, kind) => {
        logger.info({ source, kind }, 'a source sends what is usual again');
      },
    },
    sweep: async () => {
      await activity.sweep(clock.now());
      await violations.sweep(hourOf(clock.now()) - ACTIVITY_KEPT_HOURS * HOUR_MS);
    },
    onError: (error) => {
      log.warn(error, 'it could not be looked whether sources send what is usual; it is tried again');
    },
  });
  const help = 'What is unusual about what a source sends, 1 for each kind; as of a look some minutes ago.';
  metrics.gauges('source_anomaly', help, ['source', 'kind'], () =>
    watch.open.map(({ sourceKey, kind }) => [[sourceKey, kind], 1] as const),
  );
  await lifecycle.start(
    'source anomalies',
    () => {
      watch.start();
    },
    { drain: () => watch.stop() },
  );
}
