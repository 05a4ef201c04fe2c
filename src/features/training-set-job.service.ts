import type { Clock } from '../platform/clock.js';
import { WeftError } from '../platform/errors.js';
import { newId, type Uuid } from '../platform/ids.js';
import type { Queryable } from '../platform/postgres.js';
import type { ExportFolder } from './export-folder.js';
import { noSuchLabelFile } from './label-file.service.js';
import type { TrainingSets } from './make-training-set.js';
import { orderOfSpec } from './order-of-spec.js';
import { TRAINING_SET_JOB_LIMITS, type TrainingSetJob, type TrainingSetSpec } from './training-set-job.model.js';
import { TrainingSetJobReader } from './training-set-job.reader.js';
import { TrainingSetJobStore } from './training-set-job.store.js';
import { ENTITY_COLUMNS } from './training-set.model.js';

export interface TrainingSetJobServiceParts {
  readonly db: Queryable;
  readonly clock: Clock;
  readonly folder: Pick<ExportFolder, 'demand'>;
  /** With the rules of identity in force. */
  readonly sets: () => Pick<TrainingSets, 'exportTrainingSet'>;
  /** How long a label file is kept after the last set was asked of it, ms. */
  readonly keptMs: number;
  /** There is something to be made, or to be stopped. */
  readonly onRequested: () => void;
}

/** Use cases of those who want training sets. */
export class TrainingSetJobService {
  readonly #parts: TrainingSetJobServiceParts;
  readonly #store: TrainingSetJobStore;
  readonly #reader: TrainingSetJobReader;

  constructor(parts: TrainingSetJobServiceParts) {
    this.#parts = parts;
    this.#store = new TrainingSetJobStore(parts.db);
    this.#reader = new TrainingSetJobReader(parts.db);
  }

  /**
   * Has a training set made, once those that were asked for before are.
   * @param askedBy the name of a key or the id of a person
   * @throws WeftError NOT_FOUND (labels, service, feature), BAD_REQUEST, OVERLOADED (too many wait), UNAVAILABLE (folder)
   */
  async request(labelFileId: Uuid, spec: TrainingSetSpec, askedBy: string): Promise<TrainingSetJob> {
    const { clock, folder, sets, keptMs, onRequested } = this.#parts;
    // Of a folder that is lost, no request may put off the end of what was in it.
    await folder.demand(() => newId(clock.now()));
    const file = await this.#reader.labelFile(labelFileId);
    if (file === null) throw noSuchLabelFile();
    const { knownAsOf, consentAsOf, service, features, maxAges, fullNames, isImputed } = orderOfSpec(spec);
    // What does not exist, or does not go together, is told now; no row is made.
    await sets().exportTrainingSet({
      ...{ labels: [], knownAsOf, consentAsOf, features, maxAges, fullNames, isImputed },
      ...(service === undefined ? undefined : { service }),
      columns: file.columns.filter((name) => !(ENTITY_COLUMNS as readonly string[]).includes(name)),
    });
    const { maxOpenJobs } = TRAINING_SET_JOB_LIMITS;
    if ((await this.#store.openJobs()) >= maxOpenJobs) {
      throw new WeftError('OVERLOADED', `${String(maxOpenJobs)} training sets are waited for already`, {
        hint: 'ask again once some are made, or cancel some',
        retryAfterMs: 60_000,
      });
    }
    const createdAt = clock.now();
    const id = newId(createdAt);
    const job = { id, labelFileId, spec, askedBy, createdAt, totalRows: file.rows };
    if (!(await this.#store.insertJob(job))) throw noSuchLabelFile();
    await this.#store.keepUntil(labelFileId, createdAt + keptMs);
    onRequested();
    return (await this.#reader.job(id)) ?? noSuchJob();
  }

  /** At once where it waits, within seconds where it runs. @throws WeftError NOT_FOUND; CONFLICT where it is over */
  async cancel(id: Uuid): Promise<TrainingSetJob> {
    const job = await this.#store.cancel(id, this.#parts.clock.now());
    if (job === null) {
      const known = (await this.#reader.job(id)) ?? noSuchJob();
      throw new WeftError('CONFLICT', `the training set is ${known.status}`, {
        where: 'id',
        hint: 'there is nothing to cancel; its files go by themselves, or with their labels (removeLabelFile)',
      });
    }
    this.#parts.onRequested();
    return job;
  }
}

function noSuchJob(): never {
  throw new WeftError('NOT_FOUND', 'there is no such training set', {
    where: 'id',
    hint: 'trainingSetJobs lists those that there are',
  });
}
