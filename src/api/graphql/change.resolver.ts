import { Kind, type FieldNode, type GraphQLResolveInfo, type SelectionSetNode } from 'graphql';
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
import { WeftError } from '../../platform/errors.js';
import type { ChangeCause, ChangeKind, SegmentChange } from '../../segments/segment.model.js';
import { SegmentReader, type StoredSegment } from '../../segments/segment.reader.js';
import type { ApiContext } from './api-context.js';
import { askedChanges, ChangesArgs, isFor } from './change-filter.js';
import { ChangeView } from './change-view.js';
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
import type { Reads } from './reads.js';
import { DateTime } from './scalars.js';
import { ChangeCauseType, Segment } from './segment.types.js';

/** How long a subscriber goes on after its key was revoked, at most, while there are changes. */
const KEY_CHECK_MS = 10_000;
const MAX_UNCHECKED_MS = 60_000;

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

  @FieldResolver(() => Profile, {
    nullable: true,
    description: 'Who that profile is now; another one if it was merged since. Null if nobody.',
  })
  profile(@Root() change: ChangeView): Promise<ProfileView | null> {
    return change.profile();
  }
}

/** A segment that was made a moment ago, elsewhere, may not be among the loaded ones yet; archived ones never are. */
async function viewsOf(
  { services }: ApiContext,
  reads: Reads,
  changes: readonly SegmentChange[],
): Promise<ChangeView[]> {
  const loaded = reads.index.segmentsById;
  const ids = new Set(changes.map(({ segmentId }) => segmentId).filter((id) => !loaded.has(id)));
  const others = ids.size === 0 ? [] : await new SegmentReader(services.db).byIds([...ids]);
  const looked = new Map(others.map((segment) => [segment.id, segment]));
  return changes.flatMap((change) => {
    const segment = loaded.get(change.segmentId) ?? looked.get(change.segmentId);
    return segment === undefined ? [] : [new ChangeView(reads, change, segment)];
  });
}

// --- subscriptions --------------------------------------------------------------------------------------------------

async function subscribeToChanges(
  context: ApiContext,
  args: ChangesArgs,
  info: GraphQLResolveInfo,
): Promise<AsyncIterableIterator<ChangeView, void, undefined>> {
  const { services } = context;
  const { after, filter, purposes: needed } = await askedChanges(context, args);
  if (after !== undefined && (after < 0 || after > (await services.feed.head()))) {
    throw new WeftError('CURSOR_INVALID', 'the cursor lies beyond the end of the feed', {
      where: 'after',
      hint: 'it comes from another installation; leave it out to begin now',
    });
  }
  const pages = services.hub.subscribe({ filter, ...(after === undefined ? {} : { after }) });
  const wantsProfile = selects(info, 'profile');
  const changes = eachChange(context, pages, { wantsProfile, needed });
  const end = async (): Promise<IteratorReturnResult<void>> => {
    // The generator waits within a page; ending the source lets it hear its own return.
    await pages.return?.();
    await changes.return();
    return { done: true, value: undefined };
  };
  const iterator: AsyncIterableIterator<ChangeView, void, undefined> = {
    next: () => changes.next(),
    return: end,
    throw: end,
    [Symbol.asyncIterator]: () => iterator,
  };
  return iterator;
}

async function* eachChange(
  context: ApiContext,
  pages: AsyncIterable<readonly SegmentChange[]>,
  { wantsProfile, needed }: { readonly wantsProfile: boolean; readonly needed: readonly string[] },
): AsyncGenerator<ChangeView, void, undefined> {
  let checkedAtMs = context.services.clock.now();
  for await (const page of pages) {
    const reads = context.freshReads();
    const uncheckedMs = reads.nowMs - checkedAtMs;
    if (uncheckedMs >= KEY_CHECK_MS) {
      const isValid = await context.isStillValid().catch((error: unknown) => unknownUntil(uncheckedMs, error));
      if (isValid === false) return;
      if (isValid) checkedAtMs = reads.nowMs;
    }
    const views = await viewsOf(context, reads, page);
    demandPurposes(reads, views, needed);
    // One round trip for the page; each change is then executed by itself.
    if (wantsProfile) await Promise.all(views.map((view) => view.profile()));
    yield* views;
  }
}

/**
 * Nobody is cut off because keys cannot be looked up for a moment, as where a change is told to thousands at once: it is
 * asked again with the next page, for a minute.
 * @throws the error, where it is a defect or goes on
 */
function unknownUntil(uncheckedMs: number, error: unknown): null {
  const isPassing = error instanceof WeftError && (error.code === 'UNAVAILABLE' || error.code === 'OVERLOADED');
  if (isPassing && uncheckedMs < MAX_UNCHECKED_MS) return null;
  throw error;
}

/** A definition may have changed since. @throws WeftError CONFLICT */
function demandPurposes(reads: Reads, views: readonly ChangeView[], needed: readonly string[]): void {
  const other = views.find(({ kind, segment }) => kind === 'enter' && !isFor(reads, segment, needed));
  if (other === undefined) return;
  throw new WeftError(
    'CONFLICT',
    `the members of segment ${other.segment.key} need not allow ${needed.join(', ')} any more`,
    {
      where: 'purposes',
      hint: 'go on from the last cursor, without the segment or without the purpose',
    },
  );
}

/** Whether the subscription's field selects a field of this name, directly or by a fragment. */
function selects(info: GraphQLResolveInfo, name: string): boolean {
  const within = (set: SelectionSetNode | undefined): boolean =>
    set?.selections.some((selection) => {
      if (selection.kind === Kind.FIELD) return selection.name.value === name;
      if (selection.kind === Kind.INLINE_FRAGMENT) return within(selection.selectionSet);
      return within(info.fragments[selection.name.value]?.selectionSet);
    }) ?? false;
  return info.fieldNodes.some((node: FieldNode) => within(node.selectionSet));
}
