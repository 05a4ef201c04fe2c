import { Arg, Authorized, Ctx, Field, FieldResolver, Int, ObjectType, Query, Resolver, Root } from 'type-graphql';
import { GroupReader, type GroupRow } from '../../profiles/group.reader.js';
import type { ApiContext } from './api-context.js';
import {
  AFTER,
  connection,
  DEFAULT_PAGE_SIZE,
  FIRST,
  pageSize,
  type Connection,
  type Edge,
} from './connection.types.js';
import { cursorId, damagedCursor, GROUP_MEMBER_CURSOR } from './cursors.js';
import type { ProfileView } from './profile-view.js';
import { ProfileConnection } from './profile.types.js';
import { Json } from './scalars.js';

@ObjectType('Group', {
  simpleResolvers: true,
  description: 'A company, a household, or whatever else people belong to.',
})
class Group implements GroupRow {
  @Field(() => String, { description: 'Its id, as `group` calls have it: `acme`.' })
  id!: string;

  @Field(() => Json, {
    description:
      'Its traits by name, as `{"plan": "pro"}`: of each the latest value that any `group` call gave. At most 50.',
  })
  traits!: GroupRow['traits'];
}

@Resolver(() => Group)
export class GroupResolver {
  @Authorized('read')
  @Query(() => Group, {
    nullable: true,
    description: 'A group, by the id that `group` calls have; null if nobody belongs to it.',
  })
  async group(
    @Ctx() { services }: ApiContext,
    @Arg('id', () => String, { description: 'Its id: `acme`. It is taken as it is written.' }) id: string,
  ): Promise<GroupRow | null> {
    return new GroupReader(services.db).find(id);
  }

  @FieldResolver(() => ProfileConnection, {
    description: 'Everybody whom `group` calls named it for, each profile once; in no order that means anything.',
  })
  async members(
    @Root() { id }: GroupRow,
    @Ctx() { reads, services }: ApiContext,
    @Arg('first', () => Int, { defaultValue: DEFAULT_PAGE_SIZE, description: FIRST }) first: number,
    @Arg('after', () => String, { nullable: true, description: AFTER }) after: string | null | undefined,
  ): Promise<Connection<Edge<ProfileView>>> {
    const limit = pageSize(first);
    const place = typeof after === 'string' ? GROUP_MEMBER_CURSOR.decode(after) : null;
    reads.countSingleRead('members');
    const from = place === null ? null : { part: partOf(place.part), hiddenId: cursorId(place.hiddenId) };
    const members = await new GroupReader(services.db).members(id, from, limit + 1);
    const views = await Promise.all(members.map(({ profileId }) => reads.profile(profileId)));
    const edges = members.flatMap(({ part, hiddenId }, i) => {
      const node = views[i] ?? null;
      return node === null ? [] : [{ cursor: GROUP_MEMBER_CURSOR.encode({ part, hiddenId }), node }];
    });
    return connection(edges, limit, after);
  }
}

/** Partitions are counted by 16 bits. */
function partOf(part: number): number {
  if (part >= 0 && part < 2 ** 15) return part;
  throw damagedCursor();
}
