import { Arg, Authorized, Ctx, Field, Float, ID, Int, Mutation, ObjectType, Query, Resolver } from 'type-graphql';
import { WeftError } from '../../platform/errors.js';
import { isUuid } from '../../platform/ids.js';
import type { LoadStatus } from '../../sources/load.model.js';
import { LoadReader, type LoadSummary } from '../../sources/load.reader.js';
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
import { cursorId, LOAD_CURSOR } from './cursors.js';
import { LoadStatusType } from './enums.js';
import { resultUnion } from './failure.types.js';
import { DateTime } from './scalars.js';

@ObjectType('Load', { simpleResolvers: true, description: 'A file that was loaded by a mapping.' })
class LoadType implements LoadSummary {
  @Field(() => ID, { description: 'What it is asked for and reverted by, as `01900000-0000-7000-8000-000000000000`.' })
  id!: string;

  @Field(() => String, { description: 'Key of the source that its events are of, as `crm`.' })
  source!: string;

  @Field(() => String, { description: 'The name of the file, without folders.' })
  fileName!: string;

  @Field(() => LoadStatusType, { description: 'Where it stands.' })
  status!: LoadStatus;

  @Field(() => Boolean, { description: 'Whether the changes that its events caused were emitted.' })
  emit!: boolean;

  @Field(() => Float, { description: 'How many rows were read, as of its last checkpoint.' })
  rows!: number;

  @Field(() => Float, { description: 'Events that were accepted.' })
  accepted!: number;

  @Field(() => Float, { description: 'Events whose message ids were in the log already.' })
  duplicates!: number;

  @Field(() => Float, { description: 'How many rows or groups became none; they are dead letters.' })
  refused!: number;

  @Field(() => DateTime, { description: 'When it began.' })
  startedAt!: number;

  @Field(() => DateTime, { nullable: true, description: 'When it ended or was reverted; null before.' })
  finishedAt!: number | null;

  @Field(() => Float, { nullable: true, description: 'Of a revert: events when it began; null where there is none.' })
  eventsToRemove!: number | null;

  @Field(() => Float, {
    nullable: true,
    description: 'Of a revert: events taken back so far; null where there is none.',
  })
  eventsRemoved!: number | null;

  @Field(() => Float, {
    nullable: true,
    description: 'Of a revert: number of records of entities when it began; null where there is none.',
  })
  recordsToRemove!: number | null;

  @Field(() => Float, {
    nullable: true,
    description: 'Of a revert: number of records of entities taken back so far; null where there is none.',
  })
  recordsRemoved!: number | null;

  @Field(() => String, {
    nullable: true,
    description:
      'Why its revert was given up, such as `UNAVAILABLE: a statement took longer than it may`; `revertLoad` again goes on. Null unless it was given up.',
  })
  revertFailure!: string | null;
}

@ObjectType('LoadRevert', { simpleResolvers: true, description: 'A load that is taken back, and how far that is.' })
class LoadRevert {
  @Field(() => LoadType, { description: 'The load. Workers revert it: ask `load` until it is `REVERTED`.' })
  load!: LoadSummary;

  @Field(() => Float, { description: 'Events that are taken back in all.' })
  events!: number;

  @Field(() => Float, { description: 'Profiles that they belong to, or belonged to when the revert began.' })
  profiles!: number;

  @Field(() => Float, { description: 'How many records of entities other than people are taken back in all.' })
  records!: number;
}

const LoadConnection = connectionTypes<LoadType>(LoadType, 'Load');
const Reverted = resultUnion<LoadRevert>('RevertLoadResult', { type: LoadRevert, name: 'LoadRevert' }, [
  'NotFound',
  'Conflict',
]);

@Resolver()
export class LoadResolver {
  @Authorized('admin')
  @Query(() => LoadConnection, { description: 'Files that were loaded, the newest first.' })
  async loads(
    @Ctx() { services, reads }: ApiContext,
    @Arg('first', () => Int, { defaultValue: DEFAULT_PAGE_SIZE, description: FIRST }) first: number,
    @Arg('after', () => String, { nullable: true, description: AFTER }) after: string | null | undefined,
  ): Promise<Connection<Edge<LoadType>>> {
    const limit = pageSize(first);
    reads.countSingleRead('loads');
    const place = typeof after === 'string' ? LOAD_CURSOR.decode(after) : null;
    const before = place === null ? null : { startedAt: place.startedAt, id: cursorId(place.id) };
    const loads = await new LoadReader(services.db).page(before, limit + 1);
    const edges = loads.map((node) => ({
      cursor: LOAD_CURSOR.encode({ startedAt: node.startedAt, id: node.id }),
      node,
    }));
    return connection(edges, limit, after);
  }

  @Authorized('admin')
  @Query(() => LoadType, { nullable: true, description: 'One load; null: there is none with this id.' })
  async load(
    @Ctx() { services, reads }: ApiContext,
    @Arg('id', () => ID, { description: 'Id of the load, as `01900000-0000-7000-8000-000000000000`.' }) id: string,
  ): Promise<LoadSummary | null> {
    reads.countSingleRead('load');
    return isUuid(id) ? new LoadReader(services.db).find(id) : null;
  }

  @Authorized('admin')
  @Mutation(() => Reverted.type, {
    description:
      'Takes back everything that a load brought in: profiles, traits and features become what they would be had it never been; memberships follow, and the feed says so. Asked again, it goes on.',
  })
  revertLoad(
    @Ctx() { services }: ApiContext,
    @Arg('id', () => ID, { description: 'Id of the load, as `01900000-0000-7000-8000-000000000000`.' }) id: string,
    @Arg('dryRun', () => Boolean, { defaultValue: false, description: 'Only says what would be taken back.' })
    dryRun: boolean,
  ): Promise<unknown> {
    return Reverted.attempt(async () => {
      const reader = new LoadReader(services.db);
      const found = isUuid(id) ? await reader.find(id) : null;
      if (found === null) {
        throw new WeftError('NOT_FOUND', 'there is no such load', { where: 'id', hint: 'loads lists them' });
      }
      if (dryRun) return { load: found, ...(await services.retractions.extentOfLoad(id)) };
      const { events, profiles, records } = await services.retractions.takeBackLoad(id);
      return { load: (await reader.find(id)) ?? found, events, profiles, records };
    });
  }
}
