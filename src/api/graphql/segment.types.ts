import { Field, ID, Int, ObjectType } from 'type-graphql';
import type { ChangeCause } from '../../segments/segment.model.js';
import { CauseKindType, SegmentStageType } from './enums.js';
import { connectionTypes } from './connection.types.js';
import { DateTime } from './scalars.js';

@ObjectType('ChangeCause', { simpleResolvers: true, description: 'Why a membership changed.' })
export class ChangeCauseType {
  @Field(() => CauseKindType, { description: 'What it was.' })
  kind!: ChangeCause['kind'];

  @Field(() => ID, { nullable: true, description: 'The other profile, for `MERGE` and `UNMERGE`.' })
  profileId?: string;
}

/** `size`, `members`, `minDwell`, `activeExpression` and `warnings` are resolved: see `segment.resolver.ts`. */
@ObjectType('Segment', {
  simpleResolvers: true,
  description: 'A named condition on profiles. Weft keeps its members up to date by itself.',
})
export class Segment {
  @Field(() => String, { description: 'What it is called by, as `cart_abandoned`; never changes.' })
  key!: string;

  @Field(() => String, { description: 'What people call it, as "Cart abandoned".' })
  name!: string;

  @Field(() => String, { description: 'What it is for, in words for people; may be empty.' })
  description!: string;

  @Field(() => [String], { description: 'Free labels to sort segments by; at most 50.' })
  tags!: readonly string[];

  @Field(() => Boolean, {
    description: 'Whether edge keys, which sit in browsers, may be told who is in it.',
  })
  edge!: boolean;

  @Field(() => SegmentStageType, { description: 'Where it stands.' })
  stage!: string;

  @Field(() => Int, { description: 'The version of the condition that was written last.' })
  version!: number;

  @Field(() => String, { description: 'The condition that was written last, as `count("purchase", "24h") == 0`.' })
  expression!: string;

  @Field(() => [String], {
    description:
      'Keys of the purposes that its members have to allow, by the version that was written last; at most 10. Features ' +
      'and models that it reads may need more.',
  })
  purposes!: readonly string[];

  @Field(() => String, {
    nullable: true,
    description:
      'The condition on which members leave, by the version that was written last; null: they leave once `expression` is ' +
      'not true any more.',
  })
  exitExpression!: string | null;

  @Field(() => DateTime, {
    nullable: true,
    description:
      'Nobody is in it before this instant, by the version that was written last; null: it has no beginning.',
  })
  activeFrom!: number | null;

  @Field(() => DateTime, {
    nullable: true,
    description: 'Nobody is in it from this instant on, by the version that was written last; null: it has no end.',
  })
  activeUntil!: number | null;

  @Field(() => Int, { nullable: true, description: 'The version that decides membership; null if none does.' })
  activeVersion!: number | null;

  @Field(() => DateTime, { description: 'When it was made.' })
  createdAt!: number;

  @Field(() => DateTime, { description: 'When it was last edited.' })
  updatedAt!: number;
}

@ObjectType('SegmentVersion', {
  simpleResolvers: true,
  description: 'What a segment said from one edit to the next. It never changes.',
})
export class SegmentVersionType {
  @Field(() => Int, { description: 'Its number, from 1 without gaps.' })
  version!: number;

  @Field(() => DateTime, { description: 'When it was written.' })
  createdAt!: number;

  @Field(() => String, {
    nullable: true,
    description: 'Who wrote it: the name of a key, a person or a user of the command line; null where it was not kept.',
  })
  createdBy!: string | null;

  @Field(() => Int, { nullable: true, description: 'The older version that it brought back; null: none.' })
  restoredFrom!: number | null;

  @Field(() => String, { description: 'Its condition, as `count("purchase", "24h") == 0`.' })
  expression!: string;

  @Field(() => String, {
    nullable: true,
    description: 'The condition on which members leave; null: they leave once `expression` is not true any more.',
  })
  exitExpression!: string | null;

  @Field(() => String, {
    nullable: true,
    description: 'How long a member stays at least, as `10m`; null: no longer than the conditions say.',
  })
  minDwell!: string | null;

  @Field(() => DateTime, { nullable: true, description: 'Nobody is in it before this instant; null: no beginning.' })
  activeFrom!: number | null;

  @Field(() => DateTime, { nullable: true, description: 'Nobody is in it from this instant on; null: no end.' })
  activeUntil!: number | null;

  @Field(() => [String], { description: 'Keys of the purposes that its members have to allow; at most 10.' })
  purposes!: readonly string[];
}

export const SegmentVersionConnection = connectionTypes<SegmentVersionType>(SegmentVersionType, 'SegmentVersion');
