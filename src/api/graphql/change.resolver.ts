import type { GraphQLResolveInfo } from 'graphql';
import {
  Arg,
  Args,
  Authorized,
  Ctx,
  Field,
  FieldResolver,
  ID,
  Int,
  ObjectType,
  Query,
  Resolver,
  Root,
  Subscription,
} from 'type-graphql';
import type { ChangeCause, ChangeKind } from '../../segments/segment.model.js';
import type { StoredSegment } from '../../segments/segment.reader.js';
import type { ApiContext } from './api-context.js';
import { ChangeEvidenceType, DecidingModelType } from './change-evidence.types.js';
import { askedChanges, ChangesArgs } from './change-filter.js';
import { subscribeToChanges, viewsOf } from './change-source.js';
import type { ChangeView } from './change-view.js';
import {
  connection,
  connectionTypes,
  DEFAULT_PAGE_SIZE,
  FIRST,
  pageSize,
  type Connection,
  type Edge,
} from './connection.types.js';
import { ChangeKindType } from './enums.js';
import type { ProfileView } from './profile-view.js';
import { Profile } from './profile.types.js';
import { DateTime } from './scalars.js';
import { ChangeCauseType, Segment } from './segment.types.js';

@ObjectType('SegmentChange', {
  simpleResolvers: true,
  description: 'A profile entered or left a segment. Changes have one order, that of the feed.',
})
class SegmentChangeType {
  @Field(() => String, {
    description: 'Its place in the feed, as `WyJjaGFuZ2VzLjEiLDQyXQ`; pass it as `after` to go on behind it.',
  })
  cursor!: string;

  @Field(() => ChangeKindType, { description: 'Whether it entered or left.' })
  kind!: ChangeKind;

  @Field(() => DateTime, { description: 'When that became true.' })
  at!: number;

  @Field(() => Segment, { description: 'The segment that it entered or left.' })
  segment!: StoredSegment;

  @Field(() => ID, {
    description:
      'The id of the profile at that time, as `01900000-0000-7000-8000-000000000000`; after a merge it leads to the survivor.',
  })
  profileId!: string;

  @Field(() => Int, { description: 'The version of the condition that decided.' })
  version!: number;

  @Field(() => ChangeCauseType, { description: 'What made it enter or leave.' })
  cause!: ChangeCause;

  @Field(() => [DecidingModelType], {
    description:
      'The versions of models that the condition was decided by, at most 10; empty where it asks none, where a profile ended, and for changes that are older than this field.',
  })
  models!: readonly DecidingModelType[];
}

const SegmentChangeConnection = connectionTypes<ChangeView>(SegmentChangeType, 'SegmentChange');

interface SubscribeData {
  readonly args: unknown;
  readonly context: ApiContext;
  readonly info: GraphQLResolveInfo;
}

@Resolver(() => SegmentChangeType)
export class ChangeResolver {
  @Authorized('read')
  @Query(() => SegmentChangeConnection, {
    description:
      'The feed of changes, oldest first; without `after` from its start, or from where the `subscription` stands.',
  })
  async segmentChanges(
    @Ctx() context: ApiContext,
    @Args(() => ChangesArgs) args: ChangesArgs,
    @Arg('first', () => Int, { defaultValue: DEFAULT_PAGE_SIZE, description: FIRST }) first: number,
  ): Promise<Connection<Edge<ChangeView>>> {
    const limit = pageSize(first);
    const { after = 0, filter } = await askedChanges(context, args);
    const changes = await context.services.feed.after(after, limit + 1, filter);
    const views = await viewsOf(context, context.reads, changes);
    return connection(
      views.map((node) => ({ cursor: node.cursor, node })),
      limit,
      args.after,
    );
  }

  @Authorized('read')
  @Subscription(() => SegmentChangeType, {
    name: 'segmentChanges',
    description:
      'Changes as they are committed, in the order of the feed. With `after` those that were missed come first; none is left out, none comes twice. Without it, those from now on, or from where the `subscription` stands.',
    subscribe: ({ args, context, info }: SubscribeData) => subscribeToChanges(context, args as ChangesArgs, info),
  })
  changed(@Root() change: ChangeView, @Args(() => ChangesArgs) _args: ChangesArgs): ChangeView {
    return change;
  }

  @FieldResolver(() => ChangeEvidenceType, {
    description: 'What it can be put down to: an event, or the due time of a timer. For an edit, see `version`.',
  })
  evidence(@Root() change: ChangeView): Promise<ChangeEvidenceType> {
    return change.evidence();
  }

  @FieldResolver(() => Profile, {
    nullable: true,
    description: 'Who that profile is now; another one if it was merged since. Null if nobody.',
  })
  profile(@Root() change: ChangeView): Promise<ProfileView | null> {
    return change.profile();
  }
}
