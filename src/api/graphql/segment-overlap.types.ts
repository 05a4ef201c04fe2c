import { Field, Float, ObjectType } from 'type-graphql';
import { OVERLAP_RELATIONS, type OverlapRelation } from '../../segments/overlap.model.js';
import { connectionTypes } from './connection.types.js';
import { enumOf } from './enums.js';
import { DateTime } from './scalars.js';

const OverlapRelationType = enumOf('OverlapRelation', 'How two segments stand to each other.', OVERLAP_RELATIONS, {
  near_duplicate: 'Nearly the same members: a Jaccard index from 0.9 on.',
  subset: '98 % or more of the smaller one are in the larger one.',
  overlap: 'Some are in both.',
});

@ObjectType('SegmentPair', {
  simpleResolvers: true,
  description: 'Two live segments that have members in common, as it was measured within the last hour or so.',
})
export class SegmentPairType {
  @Field(() => String, { description: 'Key of the smaller one, as `cart_abandoned`.' })
  segment!: string;

  @Field(() => String, { description: 'Key of the larger one, as `cart_owners`.' })
  other!: string;

  @Field(() => Float, { description: 'How many were in the smaller one.' })
  size!: number;

  @Field(() => Float, { description: 'How many were in the larger one.' })
  otherSize!: number;

  @Field(() => Float, { description: 'How many were in both.' })
  common!: number;

  @Field(() => Float, { description: 'How many were in both, of all who were in either; from 0 to 1 (Jaccard).' })
  jaccard!: number;

  @Field(() => Float, {
    description: 'By how much `jaccard` may be off, as a standard error; 0 where everybody was looked at.',
  })
  error!: number;

  @Field(() => OverlapRelationType, { description: 'How they stand to each other.' })
  relation!: OverlapRelation;

  @Field(() => DateTime, { description: 'When it was measured.' })
  measuredAt!: number;
}

export const SegmentPairConnection = connectionTypes<SegmentPairType>(SegmentPairType, 'SegmentPair');
