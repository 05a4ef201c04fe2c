import { Field, Float, Int, ObjectType } from 'type-graphql';
import { MIN_GROUP, MIN_SELECTED } from '../../scoring/promotion-preview.model.js';
import { DateTime } from './scalars.js';

@ObjectType('PromotionSegmentShift', { simpleResolvers: true, description: 'What a promotion would do to a segment.' })
class PromotionSegmentShift {
  @Field(() => String, { description: 'Key of the segment, as `keen`.' })
  key!: string;

  @Field(() => Int, { description: 'How many are in it by the version that answers now.' })
  before!: number;

  @Field(() => Int, { description: 'How many would be in it, as `181`.' })
  after!: number;

  @Field(() => Int, { description: 'How many would enter.' })
  entering!: number;

  @Field(() => Int, { description: 'How many would leave.' })
  leaving!: number;

  @Field(() => Float, {
    description: 'Of all who are in it before or after, the share that changes (1 − Jaccard), from 0 to 1.',
  })
  churn!: number;
}

@ObjectType('PromotionScoreBin', { simpleResolvers: true, description: 'A range of scores.' })
class PromotionScoreBin {
  @Field(() => Float, {
    nullable: true,
    description: 'The greatest score in it, a number from the lowest score to the highest; null: it has no end.',
  })
  upTo!: number | null;

  @Field(() => Int, { description: 'How many have a score in it by the version that answers now.' })
  before!: number;

  @Field(() => Int, { description: 'How many would have one in it, as `20`.' })
  after!: number;
}

@ObjectType('PromotionScoreShift', { simpleResolvers: true, description: 'How scores would change.' })
class PromotionScoreShift {
  @Field(() => Float, {
    description:
      'Population stability index, over ten bins that are about equal in number before: below 0.1 is no change to speak of, above 0.25 a great one.',
  })
  psi!: number;

  @Field(() => Float, { description: 'Mean of the scores by the version that answers now, as `0.04`.' })
  meanBefore!: number;

  @Field(() => Float, { description: 'Mean of the scores by the other one, as `0.03`.' })
  meanAfter!: number;

  @Field(() => Float, { description: 'Mean of how far the two scores of a profile are apart, from 0.' })
  meanDifference!: number;

  @Field(() => Float, {
    nullable: true,
    description: 'Correlation of the two scores (Pearson), from -1 to 1; null: one version gives everybody the same.',
  })
  correlation!: number | null;

  @Field(() => [PromotionScoreBin], { description: 'The bins, by rising score; at most 11.' })
  bins!: readonly PromotionScoreBin[];
}

@ObjectType('PromotionClassMove', { simpleResolvers: true, description: 'Profiles that go from one class to another.' })
class PromotionClassMove {
  @Field(() => String, { description: 'Label or cluster by the version that answers now.' })
  before!: string;

  @Field(() => String, { description: 'By the other one, as `champions`; may be the same.' })
  after!: string;

  @Field(() => Int, { description: 'How many profiles that is.' })
  profiles!: number;
}

@ObjectType('PromotionClassShift', { simpleResolvers: true, description: 'How labels or clusters would change.' })
class PromotionClassShift {
  @Field(() => Float, { description: 'Population stability index of the classes, from 0.' })
  psi!: number;

  @Field(() => Float, { description: 'Share of the profiles to whom both versions give the same one, from 0 to 1.' })
  agreement!: number;

  @Field(() => Float, {
    nullable: true,
    description:
      'Adjusted Rand index (Hubert and Arabie 1985), -0.5 to 1: how alike the groups are, whatever they are called; 1 where ' +
      'they only got other names, about 0 where the old ones say nothing of the new ones; null: of fewer than two profiles.',
  })
  adjustedRand!: number | null;

  @Field(() => [PromotionClassMove], { description: 'Which become which, the most frequent first; at most 100.' })
  moves!: readonly PromotionClassMove[];
}

@ObjectType('PromotionImpactGroup', { simpleResolvers: true, description: 'People with the same value of a trait.' })
class PromotionImpactGroup {
  @Field(() => String, { description: 'The value of the trait, as `f`.' })
  value!: string;

  @Field(() => Int, { description: 'How many people; at least 30.' })
  people!: number;

  @Field(() => Float, { description: 'Share of them that is in the segment by the version that answers now.' })
  rateBefore!: number;

  @Field(() => Float, { description: 'Share of them that would be in it.' })
  rateAfter!: number;

  @Field(() => Float, {
    nullable: true,
    description: `Their share, divided by that of the group of which most are in it; null: too few to say, fewer than ${String(MIN_SELECTED)} at that share.`,
  })
  ratioBefore!: number | null;

  @Field(() => Float, { nullable: true, description: 'The same by the other version; null: too few to say.' })
  ratioAfter!: number | null;
}

@ObjectType('PromotionSmallGroups', {
  simpleResolvers: true,
  description: `Groups of fewer than ${String(MIN_GROUP)} people, of which nothing is told or judged.`,
})
class PromotionSmallGroups {
  @Field(() => Int, { description: 'How many groups.' })
  groups!: number;

  @Field(() => Int, { description: 'How many people are in them.' })
  people!: number;
}

@ObjectType('PromotionImpact', {
  simpleResolvers: true,
  description: 'How a segment selects among groups of people (disparate impact).',
})
class PromotionImpact {
  @Field(() => String, { description: 'Key of the segment, as `keen`.' })
  segment!: string;

  @Field(() => String, { description: 'The trait that makes the groups, as `gender`.' })
  trait!: string;

  @Field(() => [PromotionImpactGroup], { description: 'The largest groups, the largest first; at most 20.' })
  groups!: readonly PromotionImpactGroup[];

  @Field(() => Int, { description: 'How many people are in no group that is told.' })
  unknown!: number;

  @Field(() => PromotionSmallGroups, { description: 'What is not judged.' })
  tooSmall!: PromotionSmallGroups;

  @Field(() => Float, {
    nullable: true,
    description:
      'The lowest ratio of a group by the version that answers now: below 0.8 is evidence of adverse impact by the four-fifths rule (29 CFR 1607.4(D)). Null: there are no two groups of which there are enough people to say, which is neither a good sign nor a bad one.',
  })
  leastBefore!: number | null;

  @Field(() => Float, { nullable: true, description: 'The same by the other version; null likewise.' })
  leastAfter!: number | null;
}

@ObjectType('ModelPromotionPreview', {
  simpleResolvers: true,
  description:
    'What would change if a version of a model were promoted. All numbers are of the profiles that were looked at: divided by `share` they are those of everybody, about.',
})
export class ModelPromotionPreview {
  @Field(() => String, { description: 'Key of the model, as `purchase_intent`.' })
  key!: string;

  @Field(() => Int, { description: 'The version that is asked about.' })
  version!: number;

  @Field(() => Int, { nullable: true, description: 'The version that answers now; null: none.' })
  active!: number | null;

  @Field(() => DateTime, { description: 'The instant as of which people were evaluated.' })
  asOf!: number;

  @Field(() => Int, { description: 'How many profiles there are.' })
  profilesTotal!: number;

  @Field(() => Int, { description: 'How many were looked at.' })
  profilesSeen!: number;

  @Field(() => Float, { description: 'Which part of all people these are, above 0 and up to 1.' })
  share!: number;

  @Field(() => [PromotionSegmentShift], {
    description: 'Active segments that ask the model, themselves or by another one, by key; at most 10,000.',
  })
  segments!: readonly PromotionSegmentShift[];

  @Field(() => PromotionScoreShift, { nullable: true, description: 'Null: not both versions give a score.' })
  scores!: PromotionScoreShift | null;

  @Field(() => PromotionClassShift, { nullable: true, description: 'Null: not both give a label or a cluster.' })
  classes!: PromotionClassShift | null;

  @Field(() => [PromotionImpact], { description: 'Of each of the segments, where `by` is given; else empty.' })
  impacts!: readonly PromotionImpact[];

  @Field(() => [String], { description: 'In what it may come out otherwise, in sentences for people; at most 7.' })
  notes!: readonly string[];
}
