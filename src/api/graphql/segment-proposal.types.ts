import { Field, Float, ObjectType } from 'type-graphql';
import {
  PROPOSAL_REASONS,
  SEGMENT_USE_KINDS,
  type ProposalReason,
  type SegmentUse,
  type SegmentUseKind,
} from '../../segments/merge-proposal.model.js';
import { connectionTypes } from './connection.types.js';
import { enumOf } from './enums.js';

const ProposalReasonType = enumOf('SegmentProposalReason', 'Why two segments could be one.', PROPOSAL_REASONS, {
  near_duplicate: 'They have nearly the same members.',
  too_small: 'One has had few members for a week.',
});

const SegmentUseKindType = enumOf('SegmentUseKind', 'What names a segment.', SEGMENT_USE_KINDS, {
  segment: 'The condition of another active segment.',
  webhook: 'The filter of a webhook endpoint.',
  subscription: 'The filter of a durable subscription.',
});

@ObjectType('SegmentUse', { simpleResolvers: true, description: 'What names a segment, and would have to be changed.' })
class SegmentUseType {
  @Field(() => SegmentUseKindType, { description: 'What kind of thing it is.' })
  kind!: SegmentUseKind;

  @Field(() => String, { description: 'Its key, as `crm_sync`.' })
  key!: string;
}

@ObjectType('SegmentProposalCounts', {
  simpleResolvers: true,
  description: 'How many were in which, as it was measured last.',
})
class SegmentProposalCountsType {
  @Field(() => Float, { description: 'How many were in the one that would go.' })
  size!: number;

  @Field(() => Float, { description: 'How many were in the one that would remain.' })
  otherSize!: number;

  @Field(() => Float, { description: 'How many were in both.' })
  common!: number;

  @Field(() => Float, { description: 'How many were in both, of all who were in either; from 0 to 1 (Jaccard).' })
  jaccard!: number;
}

@ObjectType('SegmentProposal', {
  simpleResolvers: true,
  description: 'One segment fewer: what would go, what would remain in its place, and how it is done.',
})
export class SegmentProposalType {
  @Field(() => String, {
    description: 'What it is declined by, as `p3f2a09c41b7d5e`; another one once either says anything else.',
  })
  key!: string;

  @Field(() => ProposalReasonType, { description: 'Why it is proposed.' })
  reason!: ProposalReason;

  @Field(() => String, { description: 'Key of the segment that would go, as `carts_again`.' })
  drop!: string;

  @Field(() => String, { nullable: true, description: 'Key of the one that would remain; null: none is near it.' })
  keep!: string | null;

  @Field(() => SegmentProposalCountsType, {
    nullable: true,
    description: 'How many were in which; null where they have no members in common.',
  })
  counts!: SegmentProposalCountsType | null;

  @Field(() => [SegmentUseType], { description: 'What names the one that would go.' })
  dropUses!: readonly SegmentUse[];

  @Field(() => [SegmentUseType], { description: 'What names the one that would remain.' })
  keepUses!: readonly SegmentUse[];

  @Field(() => String, {
    nullable: true,
    description:
      'The condition of the one that remains, as `count("purchase", "24h") == 0`; null: none does, or the two cannot be said as one.',
  })
  expression!: string | null;

  @Field(() => Float, {
    nullable: true,
    description: 'How many more whoever names the one that goes would be told of; null: not known.',
  })
  gained!: number | null;

  @Field(() => Float, {
    nullable: true,
    description: 'How many fewer whoever names the one that goes would be told of; null: not known.',
  })
  lost!: number | null;

  @Field(() => String, {
    description: 'A file for `weft apply`, as `segments: [{ key: carts, … }]`; empty: no definition changes.',
  })
  file!: string;

  @Field(() => [String], {
    description:
      'What is done, in its order: commands, as `weft segment archive carts_again`, and words behind `#`; of each use one, at most.',
  })
  steps!: readonly string[];
}

export const SegmentProposalConnection = connectionTypes<SegmentProposalType>(SegmentProposalType, 'SegmentProposal');
