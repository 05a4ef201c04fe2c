import { Field, Float, ID, Int, ObjectType } from 'type-graphql';
import type { BackgroundJob } from '../../schedules/background-job.model.js';
import type { RunStatus } from '../../schedules/schedule.model.js';
import { ONCE_JOBS, type TakenSnapshot } from '../../segments/segment-jobs.model.js';
import { connectionTypes } from './connection.types.js';
import { enumOf } from './enums.js';
import { DateTime } from './scalars.js';

const SegmentJobKindType = enumOf('SegmentJobKind', 'What a job about segments does.', ONCE_JOBS, {
  preview: 'It says who would be in a segment, and what that would have done.',
  snapshot: 'It keeps those who are in a segment as a list.',
});

const SegmentJobStatusType = enumOf<RunStatus>(
  'SegmentJobStatus',
  'Where a job about segments stands.',
  ['waiting', 'running', 'done', 'failed', 'cancelled'],
  {
    waiting: 'It is begun once those before it are over, or tried again after a failure that may pass.',
    running: 'A worker is at it.',
    done: 'What came of it is kept until it expires.',
    failed: 'It was given up; `errorMessage` says why.',
    cancelled: 'Somebody did not want it any more.',
  },
);

@ObjectType('TakenSnapshot', { simpleResolvers: true, description: 'A list that a job made of a segment.' })
export class TakenSnapshotType implements TakenSnapshot {
  @Field(() => String, { description: 'Key of the list, as `abandoned_in_may`.' })
  list!: string;

  @Field(() => Int, { description: 'How many are on it.' })
  taken!: number;

  @Field(() => Int, { description: 'How many are not, because they are being erased.' })
  refused!: number;
}

/** What it does and what came of it are resolved: see `segment-job.resolver.ts`. */
@ObjectType('SegmentJob', {
  simpleResolvers: true,
  description:
    'A preview or a snapshot of a segment that a worker makes, behind live traffic, because somebody asked for it.',
})
export class SegmentJobType implements Pick<BackgroundJob, 'id' | 'kind' | 'status' | 'done' | 'total'> {
  @Field(() => ID, { description: 'What tells it from others, as `01900000-0000-7000-8000-000000000000`.' })
  id!: string;

  @Field(() => SegmentJobKindType, { description: 'What it does.' })
  kind!: string;

  @Field(() => SegmentJobStatusType, { description: 'Where it stands.' })
  status!: RunStatus;

  @Field(() => String, { description: 'The name of the key, or of the person, that asked for it.' })
  askedBy!: string;

  @Field(() => DateTime, { description: 'When it was asked for; a preview as of now is as of then.' })
  requestedAt!: number;

  @Field(() => DateTime, { nullable: true, description: 'When its latest attempt began; null before the first.' })
  startedAt!: number | null;

  @Field(() => DateTime, { nullable: true, description: 'When it was over; null while it is not.' })
  finishedAt!: number | null;

  @Field(() => Int, { description: 'How many attempts were begun; at most 3. Each begins anew.' })
  attempts!: number;

  @Field(() => Float, { nullable: true, description: 'How many people are done; null while that is not known.' })
  done!: number | null;

  @Field(() => Float, { nullable: true, description: 'How many people there are; null while that is not known.' })
  total!: number | null;

  @Field(() => String, {
    nullable: true,
    description: 'Code of the error that the latest attempt failed with; null: none did.',
  })
  errorCode!: string | null;

  @Field(() => String, {
    nullable: true,
    description: 'Why the latest attempt failed, and what to do about it; null: it did not.',
  })
  errorMessage!: string | null;
}

export const SegmentJobConnection = connectionTypes<BackgroundJob>(SegmentJobType, 'SegmentJob');
