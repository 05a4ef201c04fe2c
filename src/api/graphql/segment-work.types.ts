import { Field, Float, ID, ObjectType } from 'type-graphql';
import type { Recompute, RecomputeStatus, SegmentWork } from '../../segments/recompute.model.js';
import { RecomputeStatusType } from './enums.js';
import { DateTime } from './scalars.js';

@ObjectType('SegmentRecompute', {
  simpleResolvers: true,
  description: 'Everybody evaluated anew, once, because somebody asked for it.',
})
export class SegmentRecomputeType implements Recompute {
  @Field(() => ID, { description: 'What tells it from others, as `01900000-0000-7000-8000-000000000000`.' })
  id!: string;

  @Field(() => RecomputeStatusType, { description: 'Where it stands.' })
  status!: RecomputeStatus;

  @Field(() => [String], {
    description: 'Keys of the segments whose changes it counts, as `keen`, at most 1,000; empty: of all.',
  })
  segments!: readonly string[];

  @Field(() => DateTime, { description: 'When it was asked for.' })
  requestedAt!: number;

  @Field(() => DateTime, { nullable: true, description: 'When it began; null while it waits.' })
  startedAt!: number | null;

  @Field(() => DateTime, { nullable: true, description: 'When it was over; null while it is not.' })
  finishedAt!: number | null;

  @Field(() => Float, { nullable: true, description: 'How many profiles there were when it began; null before.' })
  total!: number | null;

  @Field(() => Float, { description: 'How many profiles were evaluated.' })
  done!: number;

  @Field(() => Float, { description: 'How many profiles are yet to be evaluated; 0 once it is over.' })
  left!: number;

  @Field(() => Float, {
    nullable: true,
    description: 'Profiles a second since it began, pauses left out; null where that cannot be said yet.',
  })
  perSecond!: number | null;

  @Field(() => Float, { description: 'How many times somebody entered or left one of its segments by it.' })
  changes!: number;
}

@ObjectType('SegmentWork', {
  simpleResolvers: true,
  description: 'What is done about segments behind live traffic, for as long as that takes.',
})
export class SegmentWorkType implements SegmentWork {
  @Field(() => DateTime, { nullable: true, description: 'Since when it rests; null: it does not.' })
  pausedSince!: number | null;

  @Field(() => Float, { description: 'Events of history that are yet to be read for what new definitions count.' })
  eventsLeft!: number;

  @Field(() => Float, {
    description: 'How many profiles are yet to be evaluated by the newest definitions; beyond 100,000 an estimate.',
  })
  profilesLeft!: number;

  @Field(() => SegmentRecomputeType, {
    nullable: true,
    description: 'The recomputation under way, else the next, else the latest; null: none was asked for yet.',
  })
  recompute!: Recompute | null;

  @Field(() => SegmentRecomputeType, {
    nullable: true,
    description: 'The recomputation that begins after it; null: none was asked for.',
  })
  nextRecompute!: Recompute | null;
}
