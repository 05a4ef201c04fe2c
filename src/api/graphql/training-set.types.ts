import { Field, Float, ID, InputType, Int, ObjectType } from 'type-graphql';
import type { SplitSpec } from '../../features/split.model.js';
import type { TrainingSetFormat } from '../../features/training-set-file.js';
import {
  JOB_STATUSES,
  type JobStatus,
  type LabelFile,
  type TrainingSetJob,
} from '../../features/training-set-job.model.js';
import { CONSENTS_AS_OF, type ConsentAsOf } from '../../features/training-set.model.js';
import { connectionTypes } from './connection.types.js';
import { enumOf } from './enums.js';
import { DateTime } from './scalars.js';

const TrainingSetStatusType = enumOf('TrainingSetStatus', 'Where a training set stands.', JOB_STATUSES, {
  waiting: 'It is made once those before it are, or tried again after a failure that may pass.',
  running: 'A worker makes it.',
  done: 'It can be fetched until it expires.',
  failed: 'It could not be made: `errorMessage` says why.',
  cancelled: 'Somebody cancelled it, or its labels are gone.',
});

const TrainingSetFormatType = enumOf<TrainingSetFormat>(
  'TrainingSetFormat',
  'How a training set is written.',
  ['csv', 'parquet'],
  { csv: 'RFC 4180, times in ISO 8601, lists and maps as JSON.', parquet: 'Columns in their types.' },
);

const ConsentAsOfType = enumOf('ConsentAsOf', 'By when people have to allow what features are for.', CONSENTS_AS_OF, {
  now: 'At the time of the row, and now.',
  time: 'At the time of the row alone, to look into what was served then; not to train with.',
});

const SplitByType = enumOf<SplitSpec['by']>('TrainingSetSplitBy', 'How rows are parted.', ['time', 'profile'], {
  time: 'The earliest rows to train, the latest to test.',
  profile: 'By hash of the profile, so that nobody is on two sides, with labels alike on all.',
});

@ObjectType('LabelFile', {
  simpleResolvers: true,
  description: 'Labels that were sent by `POST /label-files/<name>`, to make training sets of.',
})
export class LabelFileType implements Pick<LabelFile, 'id' | 'name' | 'bytes' | 'rows' | 'leftOutRows'> {
  @Field(() => ID, { description: 'What `exportTrainingSet` takes, as `01900000-0000-7000-8000-000000000000`.' })
  id!: string;

  @Field(() => String, { description: 'As its sender called it, as `intent.parquet`.' })
  name!: string;

  @Field(() => String, {
    nullable: true,
    description: 'Of what is kept, by which a manifest names the labels; SHA-256, in hex; null while it is received.',
  })
  sha256!: string | null;

  @Field(() => Float, { description: 'How many bytes it has as it is kept.' })
  bytes!: number;

  @Field(() => Float, { description: 'How many labels it has.' })
  rows!: number;

  @Field(() => Float, { description: 'How many rows were left out, as they are of people who were erased.' })
  leftOutRows!: number;

  @Field(() => [String], {
    description: 'Its columns, at most 1,000: `ns`, `value`, `time`, and what is handed through.',
  })
  columns!: readonly string[];

  @Field(() => DateTime, { description: 'When it was sent.' })
  createdAt!: number;

  @Field(() => DateTime, {
    description: 'When it is removed with its sets; each set that is asked of it puts that off.',
  })
  expiresAt!: number;
}

@ObjectType('TrainingSetJob', { description: 'A training set that was asked for.' })
export class TrainingSetJobType {
  @Field(() => ID, { description: 'What tells it from others, as `01900000-0000-7000-8000-000000000000`.' })
  id!: string;

  @Field(() => ID, {
    nullable: true,
    description: 'The labels that it is of, as `01900000-0000-7000-8000-000000000000`; null: they are gone.',
  })
  labelFileId!: string | null;

  @Field(() => TrainingSetStatusType, { description: 'Where it stands.' })
  status!: JobStatus;

  @Field(() => String, { description: 'Who asked for it: the name of a key, the id of a person.' })
  askedBy!: string;

  @Field(() => DateTime, { description: 'When it was asked for.' })
  createdAt!: number;

  @Field(() => DateTime, { nullable: true, description: 'When its latest attempt began; null before the first.' })
  startedAt!: number | null;

  @Field(() => DateTime, { nullable: true, description: 'When it was over; null before.' })
  finishedAt!: number | null;

  @Field(() => DateTime, { nullable: true, description: 'Until when it can be fetched; null: there are no files.' })
  expiresAt!: number | null;

  @Field(() => Int, { description: 'How many attempts were begun, of five at most.' })
  attempts!: number;

  @Field(() => Float, { nullable: true, description: 'How many labels it has; null before they are counted.' })
  totalRows!: number | null;

  @Field(() => Float, {
    description: 'Of how many of them the features are computed, those of earlier attempts included.',
  })
  doneRows!: number;

  @Field(() => Float, { description: 'How many events were read for that in the latest attempt.' })
  events!: number;

  @Field(() => Float, {
    nullable: true,
    description: 'How many bytes it has with its manifest; null: there are no files.',
  })
  bytes!: number | null;

  @Field(() => String, { nullable: true, description: 'Of the set, in hex; null before it is made.' })
  sha256!: string | null;

  @Field(() => String, {
    nullable: true,
    description: 'Code of the error that it failed with, or its latest attempt, as `UNAVAILABLE`; null without one.',
  })
  errorCode!: string | null;

  @Field(() => String, { nullable: true, description: 'What went wrong, and how to mend it; null if nothing did.' })
  errorMessage!: string | null;
}

@InputType('TrainingSetSplitInput', { description: 'How the rows of a training set are parted.' })
export class TrainingSetSplitInput {
  @Field(() => SplitByType, { description: 'By time, or by profile.' })
  by!: SplitSpec['by'];

  @Field(() => [Int], {
    defaultValue: [70, 15, 15],
    description: 'Percent of train, validation and test, together 100.',
  })
  ratios!: number[];

  @Field(() => Int, { nullable: true, description: 'By profile: another number parts them otherwise. Default: 1.' })
  seed?: number | null;

  @Field(() => String, {
    nullable: true,
    description:
      'By time: how far after its time a label looks, as `7d`; rows that look into a later part are in none. Default: not at all.',
  })
  horizon?: string | null;
}

@InputType('FeatureAgeInput', { description: 'How old values of one feature may be.' })
export class FeatureAgeInput {
  @Field(() => String, { description: 'Its name, as `carts_24h`.' })
  feature!: string;

  @Field(() => Float, { description: 'Values whose newest event is older at the time of the row, ms, are left out.' })
  maxAgeMs!: number;
}

@InputType('TrainingSetInput', { description: 'A training set to be made.' })
export class TrainingSetInput {
  @Field(() => ID, { description: 'The labels, as `01900000-0000-7000-8000-000000000000`.' })
  labelFile!: string;

  @Field(() => String, {
    nullable: true,
    description:
      'The feature service whose features to export, as `purchase_intent_v1`. Default: those that are named.',
  })
  service?: string | null;

  @Field(() => [String], { defaultValue: [], description: 'Further features, by name, as `carts_24h`.' })
  features!: string[];

  @Field(() => String, {
    defaultValue: 'now',
    description:
      'What may be known: `now`; `event-time`, for each row what was known at its own time; or an instant, as `2026-01-31T12:00:00Z`.',
  })
  knownAsOf!: string;

  @Field(() => ConsentAsOfType, {
    defaultValue: 'now',
    description: 'By when people have to allow what features are for.',
  })
  consentAsOf!: ConsentAsOf;

  @Field(() => Float, {
    nullable: true,
    description: 'Values whose newest event is older at the time of the row, ms, are left out. Default: of any age.',
  })
  maxAgeMs?: number | null;

  @Field(() => [FeatureAgeInput], { defaultValue: [], description: 'The same for single features.' })
  maxAges!: FeatureAgeInput[];

  @Field(() => Boolean, {
    defaultValue: false,
    description: 'Call columns by view and feature, as `customer__tier`.',
  })
  fullNames!: boolean;

  @Field(() => Boolean, {
    defaultValue: false,
    description: 'Give missing values what the service imputes, and name the features in a column.',
  })
  imputed!: boolean;

  @Field(() => TrainingSetSplitInput, {
    nullable: true,
    description: 'Adds a column `split`: train, validation or test. Default: rows are not parted.',
  })
  split?: TrainingSetSplitInput | null;

  @Field(() => TrainingSetFormatType, { defaultValue: 'parquet', description: 'How it is written.' })
  format!: TrainingSetFormat;
}

@ObjectType('LabelFileRemoved', { simpleResolvers: true, description: 'Labels that go with their training sets.' })
export class LabelFileRemoved {
  @Field(() => ID, { description: 'The id that they had, as `01900000-0000-7000-8000-000000000000`.' })
  id!: string;
}

export const TrainingSetJobConnection = connectionTypes<TrainingSetJob>(TrainingSetJobType, 'TrainingSetJob');
export const LabelFileConnection = connectionTypes<LabelFile>(LabelFileType, 'LabelFile');
