import { Kind, type FieldNode, type GraphQLResolveInfo, type SelectionSetNode } from 'graphql';
import {
  Arg,
  ArgsType,
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
import type { ChangeFilter } from '../../activation/change-feed.reader.js';
import { WeftError } from '../../platform/errors.js';
import type { ChangeCause, ChangeKind, SegmentChange } from '../../segments/segment.model.js';
import { SegmentReader, type StoredSegment } from '../../segments/segment.reader.js';
import type { ApiContext } from './api-context.js';
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
import { CHANGE_CURSOR } from './cursors.js';
import { ChangeKindType } from './enums.js';
import type { ProfileView } from './profile-view.js';
import { neededPurposes } from './read-online-features.js';
import { Profile } from './profile.types.js';
import type { Reads } from './reads.js';
import { DateTime } from './scalars.js';
import { segmentIdsOf } from './segment.resolver.js';
import { ChangeCauseType, Segment } from './segment.types.js';

/** How long a subscriber goes on after its key was revoked, at most, while there are changes. */
const KEY_CHECK_MS = 10_000;

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

@ArgsType()
class ChangesArgs {
  @Field(() => [String], {
    nullable: true,
    description:
      'What the changes are for, by keys of purposes, as `personalisation`; at most 10. Only segments whose members have ' +
      'to allow all of these are told of: whoever enters has consented, and whoever withdraws that leaves. A segment that ' +
      'is named and does not need them is refused. Default: nothing is asked for.',
  })
  purposes?: string[] | null;

  @Field(() => [String], { nullable: true, description: 'Keys of segments, at most 100; all segments if left out.' })
  segments?: string[] | null;

  @Field(() => ID, {
    nullable: true,
    description:
      'Only the profile with this id, as `01900000-0000-7000-8000-000000000000`, under every id it has had until now; all profiles if left out.',
  })
  profile?: string | null;

  @Field(() => String, {
    nullable: true,
    description: 'The `cursor` of the last change that was dealt with; what comes when it is left out, the field says.',
  })
  after?: string | null;
}

interface SubscribeData {
  readonly args: unknown;
  readonly context: ApiContext;
  readonly info: GraphQLResolveInfo;
}

@Resolver(() => SegmentChangeType)
export class ChangeResolver {
  @Authorized('read')
  @Query(() => SegmentChangeConnection, {
    description: 'The feed of changes, oldest first; without `after` from its start.',
  })
  async segmentChanges(
    @Ctx() context: ApiContext,
    @Args(() => ChangesArgs) args: ChangesArgs,
    @Arg('first', () => Int, { defaultValue: DEFAULT_PAGE_SIZE, description: FIRST }) first: number,
  ): Promise<Connection<Edge<ChangeView>>> {
    const limit = pageSize(first);
    const after = typeof args.after === 'string' ? CHANGE_CURSOR.decode(args.after).seq : 0;
    const filter = await filterOf(context, args);
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
      'Changes as they are committed, in the order of the feed. With `after` those that were missed come first; none is left out, none comes twice. Without it, those from now on.',
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

async function filterOf(context: ApiContext, { segments, profile, purposes }: ChangesArgs): Promise<ChangeFilter> {
  const needed = neededPurposes(context.reads, purposes);
  const segmentIds =
    needed.length === 0
      ? await segmentIdsOf(context, segments)
      : await consentedSegmentIds(context, segments ?? null, needed);
  const profileIds = typeof profile === 'string' ? await idsOfProfile(context, profile) : undefined;
  return { ...(segmentIds === undefined ? {} : { segmentIds }), ...(profileIds === undefined ? {} : { profileIds }) };
}

/** @throws WeftError BAD_REQUEST for a segment whose members need not allow all of these, and where there is no other */
async function consentedSegmentIds(
  context: ApiContext,
  keys: readonly string[] | null,
  needed: readonly string[],
): Promise<number[]> {
  const { reads } = context;
  const hint = `let it need them by purposes: [${needed.join(', ')}] in its definition`;
  if (keys === null) {
    const all = [...reads.definitions.stored.values()].filter((segment) => isFor(reads, segment, needed));
    if (all.length > 0) return all.map(({ id }) => id);
    const message = `there is no segment whose members have to allow ${needed.join(', ')}`;
    throw new WeftError('BAD_REQUEST', message, { where: 'purposes', hint });
  }
  const ids = (await segmentIdsOf(context, keys)) ?? [];
  for (const key of keys) {
    if (isFor(reads, await reads.segment(key), needed)) continue;
    const message = `the members of segment ${key} need not allow ${needed.join(', ')}`;
    throw new WeftError('BAD_REQUEST', message, { where: 'segments', hint });
  }
  return ids;
}

/** Whether all members have to allow these. An archived segment has none any more: what it asked for last counts. */
function isFor(
  { definitions }: Pick<Reads, 'definitions'>,
  segment: StoredSegment,
  needed: readonly string[],
): boolean {
  const purposes = definitions.segments.byKey.get(segment.key)?.purposes ?? segment.purposes;
  return needed.every((purpose) => purposes.includes(purpose));
}

async function idsOfProfile({ reads, services }: ApiContext, id: string): Promise<string[]> {
  const view = await reads.profile(id);
  if (view !== null) return services.profiles.allIdsOf(services.db, view.id);
  throw new WeftError('NOT_FOUND', 'there is no such profile', { where: 'profile', hint: 'ask for it by identifier' });
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
  const after = typeof args.after === 'string' ? CHANGE_CURSOR.decode(args.after).seq : undefined;
  if (after !== undefined && (after < 0 || after > (await services.feed.head()))) {
    throw new WeftError('CURSOR_INVALID', 'the cursor lies beyond the end of the feed', {
      where: 'after',
      hint: 'it comes from another installation; leave it out to begin now',
    });
  }
  const filter = await filterOf(context, args);
  const pages = services.hub.subscribe({ filter, ...(after === undefined ? {} : { after }) });
  const wantsProfile = selects(info, 'profile');
  const needed = neededPurposes(context.reads, args.purposes);
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
    if (reads.nowMs - checkedAtMs >= KEY_CHECK_MS) {
      if (!(await context.isStillValid())) return;
      checkedAtMs = reads.nowMs;
    }
    const views = await viewsOf(context, reads, page);
    demandPurposes(reads, views, needed);
    // One round trip for the page; each change is then executed by itself.
    if (wantsProfile) await Promise.all(views.map((view) => view.profile()));
    yield* views;
  }
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
