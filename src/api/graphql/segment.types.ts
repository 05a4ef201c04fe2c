import { Field, ID, Int, ObjectType } from 'type-graphql';
import type { ChangeCause } from '../../segments/segment.model.js';
import { CauseKindType, SegmentStageType } from './enums.js';
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
