import { Arg, Authorized, Ctx, Field, Float, ID, Int, Mutation, ObjectType, Query, Resolver } from 'type-graphql';
import { probabilityOfWeight } from '../../identity/linkage/linkage-model.model.js';
import {
  REVIEW_STATUSES,
  type ExplainedReview,
  type ReviewDecision,
  type ReviewStatus,
} from '../../identity/matching/identity-review.model.js';
import type { ApiContext } from './api-context.js';
import {
  AFTER,
  connection,
  connectionTypes,
  DEFAULT_PAGE_SIZE,
  FIRST,
  pageSize,
  type Connection,
  type Edge,
} from './connection.types.js';
import { cursorId, cursorNumber, REVIEW_CURSOR } from './cursors.js';
import { enumOf } from './enums.js';
import { resultUnion } from './failure.types.js';
import { actorOf } from './identity.resolver.js';
import { identifierView } from './identity.types.js';
import { IdentifierType } from './profile.types.js';
import { DateTime } from './scalars.js';

const StatusType = enumOf('IdentityReviewStatus', 'What became of a pair that a model cannot tell.', REVIEW_STATUSES, {
  open: 'Somebody is to look at it.',
  merged: 'Somebody said that they are one person.',
  kept_apart: 'Somebody said that they are not one person.',
  skipped: 'Somebody could not tell either; it is shown again under another model.',
});

const DecisionType = enumOf(
  'IdentityReviewDecision',
  'What somebody says of a pair.',
  ['merge', 'keep_apart', 'skip'],
  {
    merge: 'They are one person.',
    keep_apart: 'They are not one person.',
    skip: 'That cannot be said.',
  },
);
type Decision = 'merge' | 'keep_apart' | 'skip';
const STATUS_OF: Readonly<Record<Decision, ReviewDecision>> = {
  merge: 'merged',
  keep_apart: 'kept_apart',
  skip: 'skipped',
};

@ObjectType('IdentityReviewColumn', { simpleResolvers: true, description: 'What a model compares of two people.' })
class ReviewColumnType {
  @Field(() => String, { description: 'The column of the model, as `surname`.' })
  column!: string;

  @Field(() => String, { nullable: true, description: 'Of the one; null where it is missing.' })
  left!: string | null;

  @Field(() => String, { nullable: true, description: 'Of the other; null where it is missing.' })
  right!: string | null;
}

@ObjectType('IdentityWaterfallStep', {
  simpleResolvers: true,
  description: 'What one comparison adds to the match weight of a pair.',
})
class WaterfallStepType {
  @Field(() => String, { description: 'Name of the comparison, as `surname`; `prior` for where all pairs start.' })
  comparison!: string;

  @Field(() => String, {
    nullable: true,
    description: 'What holds of the two, as `a slip apart`; null for the prior, and where no level of the model does.',
  })
  level!: string | null;

  @Field(() => Float, { description: 'Bits that it adds: each doubles the odds; a negative number halves them.' })
  weight!: number;

  @Field(() => Float, {
    description: 'A number of bits on top of it, because the value is rare, or taken off because it is frequent.',
  })
  adjustment!: number;
}

@ObjectType('IdentityReview', {
  simpleResolvers: true,
  description: 'Two people who may be one: a model of record linkage cannot tell, and somebody is to look.',
})
class IdentityReviewType {
  @Field(() => ID, { description: 'What it is decided by, as `01900000-0000-7000-8000-000000000000`.' })
  id!: string;

  @Field(() => StatusType, { description: 'What became of it.' })
  status!: ReviewStatus;

  @Field(() => Float, { description: 'Match weight in bits, of which each doubles the odds; the number 0: even odds.' })
  matchWeight!: number;

  @Field(() => Float, { description: 'Probability that both are one person, 0 to 1.' })
  matchProbability!: number;

  @Field(() => String, { description: 'Version of the model, 64 hexadecimal digits.' })
  modelVersion!: string;

  @Field(() => IdentifierType, { nullable: true, description: 'An identifier of the one; null where it is no more.' })
  a!: IdentifierType | null;

  @Field(() => IdentifierType, { nullable: true, description: 'An identifier of the other; null where it is no more.' })
  b!: IdentifierType | null;

  @Field(() => ID, {
    nullable: true,
    description: 'Profile of the one, as `01900000-0000-7000-8000-000000000000`; null where it is no more.',
  })
  profileA!: string | null;

  @Field(() => ID, {
    nullable: true,
    description: 'Profile of the other, as `01900000-0000-7000-8000-000000000000`; null where it is no more.',
  })
  profileB!: string | null;

  @Field(() => [ReviewColumnType], {
    description: 'What the model compares, by column, at most 4,000; empty where one of the two is no more.',
  })
  columns!: readonly ReviewColumnType[];

  @Field(() => [WaterfallStepType], {
    description:
      'Why it weighs that: the prior, and one step for each comparison, which add up to the weight; empty where one of the two is no more.',
  })
  waterfall!: readonly WaterfallStepType[];

  @Field(() => DateTime, { description: 'When it came into the queue.' })
  openedAt!: number;

  @Field(() => DateTime, { nullable: true, description: 'When it was decided; null before.' })
  decidedAt!: number | null;

  @Field(() => String, { nullable: true, description: 'Who decided it; null before.' })
  decidedBy!: string | null;

  @Field(() => String, { nullable: true, description: 'Why, in the words of whoever decided; null before.' })
  reason!: string | null;
}

const IdentityReviewConnection = connectionTypes<IdentityReviewType>(IdentityReviewType, 'IdentityReview');

@ObjectType('IdentityReviewDecided', {
  simpleResolvers: true,
  description: 'A pair that somebody decided on, and how that is carried out.',
})
class IdentityReviewDecidedType {
  @Field(() => IdentityReviewType, { description: 'The pair, as it stands now.' })
  review!: IdentityReviewType;

  @Field(() => ID, {
    nullable: true,
    description:
      'What `identityRevision` is asked by for how far it is, as `01900000-0000-7000-8000-000000000000`; null for `SKIP`.',
  })
  revisionId!: string | null;
}

const Decided = resultUnion<IdentityReviewDecidedType>(
  'DecideIdentityReviewResult',
  { type: IdentityReviewDecidedType, name: 'IdentityReviewDecided' },
  ['BadRequest', 'NotFound', 'Conflict', 'PayloadTooLarge'],
);

/** Pairs that a model of record linkage cannot tell. */
@Resolver()
export class IdentityReviewResolver {
  @Authorized('admin')
  @Query(() => IdentityReviewConnection, {
    description: 'Pairs that a model of record linkage cannot tell, the most likely first, with why.',
  })
  async identityReview(
    @Ctx() { services, reads }: ApiContext,
    @Arg('status', () => StatusType, { defaultValue: 'open', description: 'Those of which this became.' })
    status: ReviewStatus,
    @Arg('first', () => Int, { defaultValue: DEFAULT_PAGE_SIZE, description: FIRST }) first: number,
    @Arg('after', () => String, { nullable: true, description: AFTER }) after: string | null | undefined,
  ): Promise<Connection<Edge<IdentityReviewType>>> {
    const limit = pageSize(first);
    reads.countSingleRead('identityReview');
    const place = typeof after === 'string' ? REVIEW_CURSOR.decode(after) : null;
    const from = place === null ? null : { weight: cursorNumber(place.weight), id: cursorId(place.id) };
    const reviews = await services.matching.reviews.page(status, from, limit + 1);
    const edges = reviews.map((review) => ({
      cursor: REVIEW_CURSOR.encode({ weight: String(review.weight), id: review.id }),
      node: reviewView(review),
    }));
    return connection(edges, limit, after);
  }

  @Authorized('admin')
  @Mutation(() => Decided.type, {
    description:
      'Says of a pair whether it is one person, as a link by hand that outlives every model. A worker carries it out; `identityRevision` says how far it is.',
  })
  decideIdentityReview(
    @Ctx() { services, principal }: ApiContext,
    @Arg('id', () => ID, { description: 'Id of the pair, as `01900000-0000-7000-8000-000000000000`.' }) id: string,
    @Arg('decision', () => DecisionType, { description: 'What is said of it.' }) decision: Decision,
    @Arg('reason', () => String, {
      defaultValue: '',
      description: 'Why, for whoever asks later; at most 1,000 characters.',
    })
    reason: string,
  ): Promise<unknown> {
    return Decided.attempt(async () => {
      const asker = { actor: actorOf(principal), reason };
      const { review, revisionId } = await services.matching.reviews.decide(id, STATUS_OF[decision], asker);
      return { review: reviewView(review), revisionId };
    });
  }
}

function reviewView({ explanation, a, b, weight, version, ...review }: ExplainedReview): IdentityReviewType {
  const { left = {}, right = {}, waterfall = [] } = explanation ?? {};
  const columns = [...new Set([...Object.keys(left), ...Object.keys(right)])].sort();
  return {
    ...review,
    modelVersion: version,
    matchWeight: weight,
    matchProbability: probabilityOfWeight(weight),
    a: a === null ? null : identifierView(a),
    b: b === null ? null : identifierView(b),
    profileA: a?.profileId ?? null,
    profileB: b?.profileId ?? null,
    columns: columns.map((column) => ({ column, left: textOf(left[column]), right: textOf(right[column]) })),
    waterfall,
  };
}

function textOf(value: string | readonly string[] | null | undefined): string | null {
  if (value === null || value === undefined) return null;
  return typeof value === 'string' ? value : value.join(', ');
}
