import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from './config.js';
import type { LoadedDefinitions } from './definitions.js';
import type { Engine } from './engine.js';
import { EventHistoryReader } from './events/event-history.reader.js';
import { AnchorStateStore } from './features/anchor-state.store.js';
import { ParitySampler } from './parity-sampler.js';
import { ItemParitySampler } from './item-parity-sampler.js';
import { ItemWalk } from './item-walk.js';
import { ParityWatch, ProfileWalk, type ParityObserver } from './parity-watch.js';
import type { Clock } from './platform/clock.js';
import type { Lifecycle } from './platform/lifecycle.js';
import type { Logger } from './platform/logger.js';
import type { Metrics } from './platform/metrics.js';
import type { Database } from './platform/postgres.js';
import type { RepeatedLog } from './platform/repeated-log.js';
import type { OnlineStore } from './profiles/online-store.model.js';

const MAX_FEATURE_LABELS = 500;

export interface SamplerParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly engine: Pick<Engine, 'definitions' | 'sealer'>;
  readonly onlineStore: () => OnlineStore;
}

/** @param maxEvents of one profile; default: as the standing job takes */
export function createParitySampler(
  { db, clock, engine, onlineStore }: SamplerParts,
  maxEvents?: number,
): ParitySampler {
  return new ParitySampler({
    db,
    clock,
    definitions: () => currentDefinitions(engine),
    store: onlineStore,
    anchors: new AnchorStateStore(),
    events: new EventHistoryReader(engine.sealer),
    sleep: (ms) => sleep(ms),
    maxEvents,
  });
}

/** @param maxEvents of one item of one view; default: as the standing job takes */
export function createItemParitySampler(
  { db, clock, engine }: Omit<SamplerParts, 'onlineStore'>,
  maxEvents?: number,
): ItemParitySampler {
  return new ItemParitySampler({
    db,
    clock,
    definitions: () => currentDefinitions(engine),
    events: new EventHistoryReader(engine.sealer),
    maxEvents,
  });
}

async function currentDefinitions({ definitions }: Pick<Engine, 'definitions'>): Promise<LoadedDefinitions> {
  if (!(await definitions.isCurrent())) definitions.invalidate();
  return definitions.current();
}

export interface ParityParts extends SamplerParts {
  readonly lifecycle: Lifecycle;
  readonly config: Config;
  readonly metrics: Metrics;
  readonly logger: Logger;
  readonly log: RepeatedLog;
}

/** Starts to compare served features with the log, unless no profile is to be compared. */
export async function startParity(parts: ParityParts): Promise<void> {
  const { lifecycle, config, db, clock, metrics, logger, log } = parts;
  const { parityShare: share, parityProfilesPerMinute: perMinute } = config;
  if (share === 0 || perMinute === 0) return;
  const observer = observeParity(metrics, logger);
  const onError = (error: unknown): void => {
    log.warn(error, 'served features could not be compared with the log; it is tried again');
  };
  const shared = { db, clock, share, perMinute, observer, onError };
  // Another share with each start.
  const pass = clock.now();
  const people = new ParityWatch({ ...shared, walk: new ProfileWalk(db, pass), sampler: createParitySampler(parts) });
  const items = new ParityWatch({ ...shared, walk: new ItemWalk(db, pass), sampler: createItemParitySampler(parts) });
  for (const [name, watch] of [
    ['feature parity', people],
    ['feature parity of items', items],
  ] as const) {
    await lifecycle.start(
      name,
      () => {
        watch.start();
      },
      { drain: () => watch.stop() },
    );
  }
}

/** One series for each feature, whatever it is of. */
function observeParity(metrics: Metrics, logger: Logger): ParityObserver {
  const labels = { feature: MAX_FEATURE_LABELS };
  const compared = metrics.counter('feature_parity_compared_total', 'Served values compared with the log.', labels);
  const mismatched = metrics.counter('feature_parity_mismatched_total', 'Served values that differ from it.', labels);
  const missing = metrics.counter(
    'feature_parity_missing_total',
    'Values that are there only as served, or only by the log.',
    labels,
  );
  const skipped = metrics.counter('feature_parity_skipped_total', 'Profiles and items that could not be compared.');
  const tooBig = metrics.counter(
    'feature_parity_too_big_total',
    'Values that were not compared, as more events are behind them than are read.',
    labels,
  );
  const deltas = new Map<string, number>();
  metrics.gauges(
    'feature_parity_max_delta',
    'The greatest difference between a served number and the one by the log, since the process began.',
    ['feature'],
    () => [...deltas].map(([feature, delta]) => [[feature], delta] as const),
  );
  return {
    compared: (round) => {
      skipped.add(round.skipped);
      for (const figures of round.figures) {
        compared.add(figures.compared, figures.feature);
        mismatched.add(figures.mismatched, figures.feature);
        missing.add(figures.missing, figures.feature);
        tooBig.add(figures.tooBig, figures.feature);
        const isKept = deltas.has(figures.feature) || deltas.size < MAX_FEATURE_LABELS;
        if (isKept) deltas.set(figures.feature, Math.max(deltas.get(figures.feature) ?? 0, figures.maxDelta));
      }
      const wrong = round.figures.filter((figures) => figures.mismatched + figures.missing > 0);
      if (wrong.length === 0) return;
      logger.warn({ features: wrong.slice(0, 20) }, 'served features are not what the log gives');
    },
  };
}
