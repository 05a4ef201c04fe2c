import { parseTimestamp } from './api/parse-timestamp.js';
import type { Config } from './config.js';
import type { Engine } from './engine.js';
import { EventHistoryReader } from './events/event-history.reader.js';
import { ExportFolder } from './features/export-folder.js';
import { LabelFileService } from './features/label-file.service.js';
import { JOB_STATUSES } from './features/training-set-job.model.js';
import { TrainingSetJobService } from './features/training-set-job.service.js';
import { TrainingSetRunner, type TrainingSetObserver } from './features/training-set-runner.js';
import type { LabelRow } from './features/training-set.model.js';
import { TrainingSetService } from './features/training-set.service.js';
import { knownIds } from './identity/identifier-forms.model.js';
import { IdentityHistoryReader } from './identity/identity-history.reader.js';
import type { Clock } from './platform/clock.js';
import type { Lifecycle } from './platform/lifecycle.js';
import type { Logger } from './platform/logger.js';
import type { Metrics } from './platform/metrics.js';
import type { Database } from './platform/postgres.js';
import type { RepeatedLog } from './platform/repeated-log.js';
import { FEATURE_EXPRESSIONS } from './segments/feature-expression.js';
import { storeLabels } from './store-labels.js';

export interface TrainingSetExportParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly engine: Pick<Engine, 'policy' | 'sealer' | 'suppressions'>;
  readonly config: Pick<Config, 'exportsPath' | 'exportsMaxBytes' | 'exportsKeptMs'>;
  readonly observer: TrainingSetObserver;
  readonly onError: (error: unknown) => void;
  /** Rows that are kept at a time, to go on with after a kill; default: those of the command. */
  readonly keptBlockRows?: number;
}

/** Training sets for those who ask over the API. */
export interface TrainingSetExports {
  readonly folder: ExportFolder;
  readonly labels: LabelFileService;
  readonly jobs: TrainingSetJobService;
  readonly runner: TrainingSetRunner;
}

/** Wires them over one database; starts nothing. */
export function createTrainingSetExports(parts: TrainingSetExportParts): TrainingSetExports {
  const { db, clock, engine, config, observer, onError, keptBlockRows } = parts;
  const { policy, sealer, suppressions } = engine;
  const { exportsMaxBytes: maxBytes, exportsKeptMs: keptMs } = config;
  const folder = new ExportFolder(config.exportsPath, db);
  const sets = (): TrainingSetService => {
    const events = new EventHistoryReader(sealer);
    const identity = new IdentityHistoryReader({ rules: policy.rules, events });
    return new TrainingSetService({ db, clock, policy, language: FEATURE_EXPRESSIONS, events, identity });
  };
  const isErased = ({ ns, value, cells }: LabelRow): boolean =>
    suppressions.isSuppressed([], knownIds(policy, { ns, value })) ||
    suppressions.isNamedIn(JSON.stringify([value, ...cells]));
  const runner = new TrainingSetRunner({
    ...{ db, clock, folder, sets, maxBytes, keptMs, observer, onError },
    parseTime: parseTimestamp,
    ...(keptBlockRows === undefined ? {} : { keptBlockRows }),
  });
  const onRequested = (): void => {
    runner.wake();
  };
  return {
    folder,
    runner,
    labels: new LabelFileService({
      ...{ db, clock, folder, maxBytes, keptMs },
      onLeaving: onRequested,
      store: async (received, to) => {
        // Since the file is told of in the database, whoever is erased waits for it; whoever was before is on the list.
        await suppressions.refresh();
        const times = { parseTime: parseTimestamp, nowMs: clock.now() };
        return storeLabels(received, to, { ...times, isErased: suppressions.isEmpty ? null : isErased });
      },
    }),
    jobs: new TrainingSetJobService({ db, clock, folder, sets, keptMs, onRequested }),
  };
}

export interface TrainingSetExportStart extends Omit<TrainingSetExportParts, 'observer' | 'onError'> {
  readonly metrics: Metrics;
  readonly logger: Logger;
  readonly log: RepeatedLog;
}

/** @param runs where sets are made for as long as the program runs; null: elsewhere */
export async function startTrainingSetExports(
  { metrics, logger, log, ...parts }: TrainingSetExportStart,
  runs: Lifecycle | null,
): Promise<TrainingSetExports> {
  const attempts = metrics.counter(
    'training_set_attempts_total',
    'Attempts to make training sets that were asked for over the API, by how they ended.',
    { status: JOB_STATUSES },
  );
  const evicted = metrics.counter(
    'training_sets_evicted_total',
    'Training sets that were removed before their time, to make room for others.',
  );
  const made = createTrainingSetExports({
    ...parts,
    observer: {
      ended: (id, status, failure) => {
        attempts.add(1, status);
        if (failure === null) logger.info({ trainingSet: id, status }, 'an attempt to make a training set ended');
        else logger.warn({ trainingSet: id, status, ...failure }, 'an attempt to make a training set failed');
      },
      defect: (error) => {
        log.error(error, 'a training set failed by a defect');
      },
      evicted: (id) => {
        evicted.add(1);
        logger.warn({ trainingSet: id }, 'a training set was removed to make room: see WEFT_EXPORTS_MAX_MB');
      },
      foldersDiffer: () => {
        const what = 'training sets wait: their labels are in a folder that this process does not have';
        log.warn(new Error('give all processes the same WEFT_EXPORTS_DIR'), what);
      },
    },
    onError: (error) => {
      log.warn(error, 'training sets that are asked for could not be looked at; it is tried again');
    },
  });
  if (runs === null) return made;
  await runs.start(
    'training sets',
    () => {
      made.runner.start();
    },
    { drain: () => made.runner.stop() },
  );
  return made;
}
