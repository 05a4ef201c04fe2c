import { Arg, Authorized, Ctx, FieldResolver, ID, Int, Mutation, Query, Resolver, Root } from 'type-graphql';
import { manifestPathOf } from '../../features/hashed-file.js';
import type { SplitSpec } from '../../features/split.model.js';
import {
  hasFiles,
  type LabelFile,
  type TrainingSetJob,
  type TrainingSetSpec,
} from '../../features/training-set-job.model.js';
import { TrainingSetJobReader } from '../../features/training-set-job.reader.js';
import { WeftError } from '../../platform/errors.js';
import { isUuid, LEAST_ID, type Uuid } from '../../platform/ids.js';
import { nameOf } from '../auth/api-key.model.js';
import { parseKnownAsOf } from '../parse-known-as-of.js';
import { trainingSetPath } from '../training-set.routes.js';
import type { ApiContext } from './api-context.js';
import {
  AFTER,
  connection,
  DEFAULT_PAGE_SIZE,
  FIRST,
  pageSize,
  type Connection,
  type Edge,
} from './connection.types.js';
import { cursorId, LABEL_FILE_CURSOR, TRAINING_SET_CURSOR } from './cursors.js';
import { horizonMsOf } from './duration-arguments.js';
import { resultUnion } from './failure.types.js';
import {
  LabelFileConnection,
  LabelFileRemoved,
  TrainingSetInput,
  TrainingSetJobConnection,
  TrainingSetJobType,
  type TrainingSetSplitInput,
} from './training-set.types.js';

const JOB = { type: TrainingSetJobType, name: 'TrainingSetJob' };
const Exported = resultUnion<TrainingSetJob>('ExportTrainingSetResult', JOB, ['NotFound', 'BadRequest']);
const Cancelled = resultUnion<TrainingSetJob>('CancelTrainingSetResult', JOB, ['NotFound', 'Conflict']);
const Removed = resultUnion<LabelFileRemoved>(
  'RemoveLabelFileResult',
  { type: LabelFileRemoved, name: 'LabelFileRemoved' },
  ['NotFound'],
);

const MAX_SEED = 2 ** 31 - 1;
const MAX_NAMES = 2_000;

@Resolver(() => TrainingSetJobType)
export class TrainingSetResolver {
  @Authorized('admin')
  @Query(() => TrainingSetJobType, {
    nullable: true,
    description: 'A training set that was asked for; null: there is none with this id.',
  })
  async trainingSetJob(
    @Ctx() { services, reads }: ApiContext,
    @Arg('id', () => ID, { description: 'Its id, as `01900000-0000-7000-8000-000000000000`.' }) id: string,
  ): Promise<TrainingSetJob | null> {
    reads.countSingleRead('trainingSetJob');
    return isUuid(id) ? new TrainingSetJobReader(services.db).job(id) : null;
  }

  @Authorized('admin')
  @Query(() => TrainingSetJobConnection, {
    description: 'Training sets that were asked for, the newest first; the latest 1,000 without files are kept.',
  })
  async trainingSetJobs(
    @Ctx() { services, reads }: ApiContext,
    @Arg('first', () => Int, { defaultValue: DEFAULT_PAGE_SIZE, description: FIRST }) first: number,
    @Arg('after', () => String, { nullable: true, description: AFTER }) after: string | null | undefined,
  ): Promise<Connection<Edge<TrainingSetJob>>> {
    const limit = pageSize(first);
    reads.countSingleRead('trainingSetJobs');
    const place = typeof after === 'string' ? TRAINING_SET_CURSOR.decode(after) : null;
    const from = place === null ? null : { createdAt: place.createdAt, id: cursorId(place.id) };
    const jobs = await new TrainingSetJobReader(services.db).jobs(from, limit + 1);
    const edges = jobs.map((node) => ({
      cursor: TRAINING_SET_CURSOR.encode({ createdAt: node.createdAt, id: node.id }),
      node,
    }));
    return connection(edges, limit, after);
  }

  @Authorized('admin')
  @Query(() => LabelFileConnection, { description: 'Labels that were sent and are kept, the newest first.' })
  async labelFiles(
    @Ctx() { services, reads }: ApiContext,
    @Arg('first', () => Int, { defaultValue: DEFAULT_PAGE_SIZE, description: FIRST }) first: number,
    @Arg('after', () => String, { nullable: true, description: AFTER }) after: string | null | undefined,
  ): Promise<Connection<Edge<LabelFile>>> {
    const limit = pageSize(first);
    reads.countSingleRead('labelFiles');
    const place = typeof after === 'string' ? LABEL_FILE_CURSOR.decode(after) : null;
    const from = place === null ? null : { createdAt: place.createdAt, id: cursorId(place.id) };
    const files = await new TrainingSetJobReader(services.db).labelFiles(from, limit + 1);
    const edges = files.map((node) => ({
      cursor: LABEL_FILE_CURSOR.encode({ createdAt: node.createdAt, id: node.id }),
      node,
    }));
    return connection(edges, limit, after);
  }

  @FieldResolver(() => String, {
    nullable: true,
    description: 'Where it is fetched from, as `/training-sets/….parquet`; null while it cannot be.',
  })
  path(@Root() job: TrainingSetJob, @Ctx() { services }: ApiContext): string | null {
    return hasFiles(job, services.clock.now()) ? trainingSetPath(job) : null;
  }

  @FieldResolver(() => String, {
    nullable: true,
    description: 'Where its manifest is, as `/training-sets/….parquet.manifest.json`; null while it cannot be fetched.',
  })
  manifestPath(@Root() job: TrainingSetJob, @Ctx() { services }: ApiContext): string | null {
    return hasFiles(job, services.clock.now()) ? manifestPathOf(trainingSetPath(job)) : null;
  }

  @Authorized('admin')
  @Mutation(() => Exported.type, {
    description:
      'Has a training set made of labels that were sent, correct at the time of each row. Workers make one after the other; ask `trainingSetJob` until it is `DONE`.',
  })
  exportTrainingSet(
    @Ctx() { services, principal }: ApiContext,
    @Arg('input', () => TrainingSetInput, { description: 'Of which labels, and what it is to hold.' })
    input: TrainingSetInput,
  ): Promise<unknown> {
    const askedBy = nameOf(principal);
    return Exported.attempt(() => services.trainingSets.jobs.request(idOf(input.labelFile), specOf(input), askedBy));
  }

  @Authorized('admin')
  @Mutation(() => Cancelled.type, {
    description: 'Cancels a training set that waits or is being made; one that runs is stopped within seconds.',
  })
  cancelTrainingSet(
    @Ctx() { services }: ApiContext,
    @Arg('id', () => ID, { description: 'Its id, as `01900000-0000-7000-8000-000000000000`.' }) id: string,
  ): Promise<unknown> {
    return Cancelled.attempt(() => services.trainingSets.jobs.cancel(idOf(id)));
  }

  @Authorized('admin')
  @Mutation(() => Removed.type, {
    description:
      'Removes labels with the training sets that were made of them; those that are not made yet are cancelled.',
  })
  removeLabelFile(
    @Ctx() { services }: ApiContext,
    @Arg('id', () => ID, { description: 'Their id, as `01900000-0000-7000-8000-000000000000`.' }) id: string,
  ): Promise<unknown> {
    return Removed.attempt(async () => {
      const file = await services.trainingSets.labels.remove(idOf(id));
      return { id: file.id };
    });
  }
}

/** What is no id is of nothing that there is. */
function idOf(text: string): Uuid {
  return isUuid(text) ? text : LEAST_ID;
}

function specOf(input: TrainingSetInput): TrainingSetSpec {
  const { service, features, consentAsOf, fullNames, imputed, format, split, maxAgeMs, maxAges } = input;
  if (features.length > MAX_NAMES || maxAges.length > MAX_NAMES) {
    throw new WeftError('BAD_REQUEST', `at most ${String(MAX_NAMES)} features are named`, {
      where: 'input.features',
      hint: 'name a feature service',
    });
  }
  for (const age of [maxAgeMs ?? 0, ...maxAges.map((each) => each.maxAgeMs)]) {
    if (age >= 0) continue;
    throw new WeftError('BAD_REQUEST', 'an age cannot be negative', {
      where: 'input.maxAgeMs',
      hint: 'give ms, from 0',
    });
  }
  return {
    service: service ?? null,
    features,
    knownAsOf: parseKnownAsOf(input.knownAsOf, 'input.knownAsOf'),
    consentAsOf,
    maxAgeMs: maxAgeMs ?? null,
    maxAgesMs: Object.fromEntries(maxAges.map((each) => [each.feature, each.maxAgeMs])),
    fullNames,
    isImputed: imputed,
    split: split === null || split === undefined ? null : splitOf(split),
    format,
  };
}

function splitOf({ by, ratios, seed, horizon }: TrainingSetSplitInput): SplitSpec {
  const [train = NaN, validation = NaN, test = NaN] = ratios;
  if (ratios.length !== 3 || ratios.some((percent) => percent < 0) || train + validation + test !== 100) {
    throw new WeftError('BAD_REQUEST', 'the ratios are not three percents that are 100 together', {
      where: 'input.split.ratios',
      hint: 'write them as in [70, 15, 15]',
    });
  }
  const odd = by === 'time' ? seed : horizon;
  if (odd !== null && odd !== undefined) {
    throw new WeftError('BAD_REQUEST', `a split by ${by} has no ${by === 'time' ? 'seed' : 'horizon'}`, {
      where: 'input.split',
      hint: 'leave it out: a seed goes with PROFILE, a horizon with TIME',
    });
  }
  if (by === 'time') {
    return { by, ratios: [train, validation, test], horizonMs: typeof horizon === 'string' ? horizonMsOf(horizon) : 0 };
  }
  const known = seed ?? 1;
  if (known < 0 || known > MAX_SEED) {
    throw new WeftError('BAD_REQUEST', 'a seed is a whole number from 0', {
      where: 'input.split.seed',
      hint: 'write 1',
    });
  }
  return { by, ratios: [train, validation, test], seed: known };
}
