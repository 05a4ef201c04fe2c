import { Arg, Authorized, Ctx, Int, Mutation, Query, Resolver } from 'type-graphql';
import type { StoredList } from '../../profiles/list.model.js';
import { ListReader } from '../../profiles/list.reader.js';
import type { ApiContext } from './api-context.js';
import { AFTER, DEFAULT_PAGE_SIZE, FIRST, pageByKey, type Connection, type Edge } from './connection.types.js';
import { LIST_CURSOR } from './cursors.js';
import {
  ListChanged,
  ListDeleted,
  ListUpserted,
  SnapshotTaken,
  ProfileList,
  ProfileListConnection,
  type ListChangeView,
} from './list.types.js';
import { DateTime } from './scalars.js';
import { IdentifierInput } from './profile.types.js';

const KEY = 'Key of the list, as `vips`.';
const IDENTIFIERS =
  'Whom, each by one identifier, known already or not; 1 to 10,000. Files of any size are taken by `weft list upload`.';
const MAX_REFUSED_TOLD = 100;

@Resolver(() => ProfileList)
export class ListResolver {
  @Authorized('read')
  @Query(() => ProfileListConnection, { description: 'All lists of people, by key.' })
  async profileLists(
    @Ctx() { services }: ApiContext,
    @Arg('first', () => Int, { defaultValue: DEFAULT_PAGE_SIZE, description: FIRST }) first: number,
    @Arg('after', () => String, { nullable: true, description: AFTER }) after: string | null | undefined,
  ): Promise<Connection<Edge<StoredList>>> {
    const all = await new ListReader(services.db).all();
    return pageByKey(all, ({ key }) => key, LIST_CURSOR, { first, after });
  }

  @Authorized('read')
  @Query(() => ProfileList, { nullable: true, description: 'The list with a key; null if there is none.' })
  profileList(
    @Ctx() { services }: ApiContext,
    @Arg('key', () => String, { description: KEY }) key: string,
  ): Promise<StoredList | null> {
    return new ListReader(services.db).byKey(key);
  }

  @Authorized('admin')
  @Mutation(() => ListUpserted.type, { description: 'Makes a list with nobody on it, or names one anew.' })
  upsertProfileList(
    @Ctx() { services }: ApiContext,
    @Arg('key', () => String, {
      description: 'What it will be called by, as `vips`: lower-case letters, digits and underscores.',
    })
    key: string,
    @Arg('name', () => String, { description: 'What people call it, as "Our best customers".' }) name: string,
    @Arg('description', () => String, { defaultValue: '', description: 'What it is for, in words for people.' })
    description: string,
  ): Promise<unknown> {
    return ListUpserted.attempt(() => services.lists.upsert({ key, name, description }));
  }

  @Authorized('admin')
  @Mutation(() => ListChanged.type, {
    description: 'Puts people on a list. When it answers, that is durable; of one person what was said last counts.',
  })
  addToProfileList(
    @Ctx() context: ApiContext,
    @Arg('key', () => String, { description: KEY }) key: string,
    @Arg('identifiers', () => [IdentifierInput], { description: IDENTIFIERS }) identifiers: IdentifierInput[],
  ): Promise<unknown> {
    return ListChanged.attempt(() => change(context, key, 'add', identifiers));
  }

  @Authorized('admin')
  @Mutation(() => ListChanged.type, {
    description: 'Takes people off a list. When it answers, that is durable; of one person what was said last counts.',
  })
  removeFromProfileList(
    @Ctx() context: ApiContext,
    @Arg('key', () => String, { description: KEY }) key: string,
    @Arg('identifiers', () => [IdentifierInput], { description: IDENTIFIERS }) identifiers: IdentifierInput[],
  ): Promise<unknown> {
    return ListChanged.attempt(() => change(context, key, 'remove', identifiers));
  }

  @Authorized('admin')
  @Mutation(() => ListDeleted.type, { description: 'Removes a list that no live segment asks about.' })
  deleteProfileList(
    @Ctx() { services, watch }: ApiContext,
    @Arg('key', () => String, { description: KEY }) key: string,
  ): Promise<unknown> {
    return ListDeleted.attempt(async () => {
      const removed = await services.lists.remove(key);
      await watch.reload();
      return removed;
    });
  }

  @Authorized('admin')
  @Mutation(() => SnapshotTaken.type, {
    description:
      'Keeps those who are in a segment, or were in it at an instant, as a new list: all or none. At most 10,000 members ' +
      'within 25 s; more are taken by `weft segment snapshot`.',
  })
  snapshotSegment(
    @Ctx() { services }: ApiContext,
    @Arg('segment', () => String, { description: 'Key of a live segment, as `cart_abandoned`.' }) segment: string,
    @Arg('list', () => String, { description: 'What the list will be called by, as `abandoned_in_may`.' }) list: string,
    @Arg('name', () => String, {
      nullable: true,
      description: 'What people call the list. Default: after the segment.',
    })
    name: string | null | undefined,
    @Arg('asOf', () => DateTime, {
      nullable: true,
      description:
        'Those who were in it then, by what the feed has told since; refused where it does not tell that, as where ' +
        'history was loaded since. Default: now.',
    })
    asOf: number | null | undefined,
  ): Promise<unknown> {
    const ask = { segment, list, name: name ?? null, asOf: asOf ?? null };
    return SnapshotTaken.attempt(() => services.takeSnapshot(services.lists, ask));
  }
}

async function change(
  { services }: ApiContext,
  key: string,
  kind: 'add' | 'remove',
  identifiers: readonly IdentifierInput[],
): Promise<ListChangeView> {
  const raw = identifiers.map(({ namespace, value }) => ({ ns: namespace, value }));
  const { list, results } = await services.lists.change(key, kind, raw);
  const refused = results.flatMap((result, index) =>
    result.status === 'refused' ? [{ index, code: result.code, message: result.reason }] : [],
  );
  return {
    list,
    taken: results.length - refused.length,
    refusedCount: refused.length,
    refused: refused.slice(0, MAX_REFUSED_TOLD),
  };
}
