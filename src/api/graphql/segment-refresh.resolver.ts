import { Arg, Ctx, Field, FieldResolver, Float, Int, ObjectType, Resolver, Root } from 'type-graphql';
import {
  changedShare,
  KEPT_REFRESHES,
  REFRESH_KINDS,
  refreshJaccard,
  type RefreshedModel,
  type RefreshKind,
  type SegmentRefresh,
} from '../../segments/refresh.model.js';
import { RefreshReader } from '../../segments/refresh.reader.js';
import type { StoredSegment } from '../../segments/segment.reader.js';
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
import { SEGMENT_REFRESH_CURSOR } from './cursors.js';
import { enumOf } from './enums.js';
import { DateTime } from './scalars.js';
import { Segment } from './segment.types.js';

const SegmentRefreshKindType = enumOf('SegmentRefreshKind', 'What changed that decides about people.', REFRESH_KINDS, {
  edit: 'A definition: its own, or one that it reads.',
  model: 'Which version of a model answers: it was promoted, taken back or became a canary.',
  recompute: 'Nothing; somebody had everybody evaluated anew.',
});

@ObjectType('RefreshedModel', {
  simpleResolvers: true,
  description: 'A model that a segment asks and of which other versions answer than before.',
})
class RefreshedModelType {
  @Field(() => String, { description: 'Key of the model, as `purchase_intent`.' })
  key!: string;

  @Field(() => String, {
    nullable: true,
    description: 'The version before, as `2`; beside a canary as `2, 3 for 10 %`; null: none.',
  })
  before!: string | null;

  @Field(() => String, { nullable: true, description: 'The version by now, likewise, as `3`; null: none.' })
  after!: string | null;
}

@ObjectType('SegmentRefresh', {
  simpleResolvers: true,
  description:
    'How many of its members a segment kept when what decides changed. Held against each other are its members once ' +
    'everybody was evaluated, and who they would be had the refresh changed nothing.',
})
class SegmentRefreshType {
  @Field(() => SegmentRefreshKindType, { description: 'What changed.' })
  kind!: RefreshKind;

  @Field(() => DateTime, { description: 'When everybody was evaluated and it was measured.' })
  measuredAt!: number;

  @Field(() => Int, { description: 'The version of the segment that was live before.' })
  versionBefore!: number;

  @Field(() => Int, { description: 'The version of the segment that is live since.' })
  version!: number;

  @Field(() => [RefreshedModelType], {
    description:
      'Models that it asks and of which other versions answer since; at most as many as its condition names.',
  })
  models!: readonly RefreshedModel[];

  @Field(() => Float, { description: 'How many members it would have but for the refresh.' })
  before!: number;

  @Field(() => Float, { description: 'How many are members by the refresh alone.' })
  entered!: number;

  @Field(() => Float, { description: 'How many would be members but for the refresh, and are not.' })
  left!: number;

  @Field(() => Float, {
    nullable: true,
    description: '`entered` and `left` for each of `before`, from 0; null: there were none before.',
  })
  changedShare!: number | null;

  @Field(() => Float, {
    nullable: true,
    description:
      'Jaccard index, 0 to 1: of all who would be or are members, the share of those who would be and are; null: nobody is.',
  })
  jaccard!: number | null;

  @Field(() => Float, {
    nullable: true,
    description:
      'Adjusted Rand index (Hubert and Arabie 1985), -0.5 to 1, of all segments that are the clusters or labels of the same ' +
      'model, as one clustering before and after, of those who are in one of them both times: 1 where the groups are the ' +
      'same, also under other numbers, about 0 where they have nothing to do with each other; null: it is none of several.',
  })
  adjustedRand!: number | null;

  @Field(() => Float, {
    description: 'Of which part of all people changes were counted, 0 to 1; below 1 the counts are estimates.',
  })
  share!: number;
}

const SegmentRefreshConnection = connectionTypes<SegmentRefreshType>(SegmentRefreshType, 'SegmentRefresh');

/** How stable segments are. A worker measures a minute or so after everybody was evaluated. */
@Resolver(() => Segment)
export class SegmentRefreshResolver {
  @FieldResolver(() => SegmentRefreshConnection, {
    description: `How many of its members it kept each time that what decides changed, the newest first; the last ${String(KEPT_REFRESHES)} are kept.`,
  })
  async refreshes(
    @Root() segment: StoredSegment,
    @Ctx() { reads, services }: ApiContext,
    @Arg('first', () => Int, { defaultValue: DEFAULT_PAGE_SIZE, description: FIRST }) first: number,
    @Arg('after', () => String, { nullable: true, description: AFTER }) after: string | null | undefined,
  ): Promise<Connection<Edge<SegmentRefreshType>>> {
    const limit = pageSize(first);
    reads.countSingleRead('refreshes');
    const before = typeof after === 'string' ? SEGMENT_REFRESH_CURSOR.decode(after).id : Number.MAX_SAFE_INTEGER;
    const found = await new RefreshReader(services.db).page(segment.id, before, limit + 1);
    return connection(found.map(edgeOf), limit, after);
  }
}

function edgeOf(refresh: SegmentRefresh): Edge<SegmentRefreshType> {
  const node = { ...refresh, changedShare: changedShare(refresh), jaccard: refreshJaccard(refresh) };
  return { cursor: SEGMENT_REFRESH_CURSOR.encode({ id: refresh.id }), node };
}
