import { Arg, Authorized, Ctx, Int, Mutation, Query, Resolver } from 'type-graphql';
import type { EntityKey, StoredRecord } from '../../features/entity-record.reader.js';
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
import { damagedCursor, ENTITY_KEY_CURSOR, ENTITY_RECORD_CURSOR } from './cursors.js';
import { EntityKeyConnection, EntityRecordConnection, EntityRecordsErased } from './entity-record.types.js';
import { resultUnion } from './failure.types.js';

const Erased = resultUnion<EntityRecordsErased>(
  'EraseEntityRecordsResult',
  { type: EntityRecordsErased, name: 'EntityRecordsErased' },
  ['NotFound'],
);

const ENTITY = 'What the records are about, as `item`: an entity other than people.';
const KEY = 'The key, as `sku-1`; it is taken as it is written.';

@Resolver()
export class EntityRecordResolver {
  @Authorized('admin')
  @Query(() => EntityKeyConnection, { description: 'Keys of an entity that records are kept of, by code point.' })
  async entityKeys(
    @Ctx() { services, reads }: ApiContext,
    @Arg('entity', () => String, { description: ENTITY }) entity: string,
    @Arg('prefix', () => String, { defaultValue: '', description: 'What keys begin with, as `sku-`; default: all.' })
    prefix: string,
    @Arg('first', () => Int, { defaultValue: DEFAULT_PAGE_SIZE, description: FIRST }) first: number,
    @Arg('after', () => String, { nullable: true, description: AFTER }) after: string | null | undefined,
  ): Promise<Connection<Edge<EntityKey>>> {
    const limit = pageSize(first);
    reads.countSingleRead('entityKeys');
    const from = typeof after === 'string' ? ENTITY_KEY_CURSOR.decode(after).key : null;
    const keys = await services.entityRecords.keys(entity, { prefix, after: from, limit: limit + 1 });
    const edges = keys.map((node) => ({ cursor: ENTITY_KEY_CURSOR.encode({ key: node.key }), node }));
    return connection(edges, limit, after);
  }

  @Authorized('admin')
  @Query(() => EntityRecordConnection, { description: 'All that is kept of one key of an entity, the newest first.' })
  async entityRecords(
    @Ctx() { services, reads }: ApiContext,
    @Arg('entity', () => String, { description: ENTITY }) entity: string,
    @Arg('key', () => String, { description: KEY }) key: string,
    @Arg('first', () => Int, { defaultValue: DEFAULT_PAGE_SIZE, description: FIRST }) first: number,
    @Arg('after', () => String, { nullable: true, description: AFTER }) after: string | null | undefined,
  ): Promise<Connection<Edge<StoredRecord>>> {
    const limit = pageSize(first);
    reads.countSingleRead('entityRecords');
    const place = typeof after === 'string' ? ENTITY_RECORD_CURSOR.decode(after) : null;
    const before = place === null ? null : { ...place, sourceId: sourceIdOf(place.source) };
    const records = await services.entityRecords.history(entity, key, before, limit + 1);
    const edges = records.map((node) => {
      const { occurredAt, sourceId: source, messageId } = node;
      return { cursor: ENTITY_RECORD_CURSOR.encode({ occurredAt, source, messageId }), node };
    });
    return connection(edges, limit, after);
  }

  @Authorized('admin')
  @Mutation(() => Erased.type, {
    description:
      'Removes all records of a key of an entity, or those of one message id, for good. What is computed from events of people stays.',
  })
  eraseEntityRecords(
    @Ctx() { services }: ApiContext,
    @Arg('entity', () => String, { description: ENTITY }) entity: string,
    @Arg('key', () => String, { description: KEY }) key: string,
    @Arg('messageId', () => String, {
      nullable: true,
      description: 'Only records that came by this message id, whatever their source; left out: all of the key.',
    })
    messageId: string | null | undefined,
  ): Promise<unknown> {
    return Erased.attempt(async () => {
      return { entity, key, records: await services.entityRecords.erase(entity, key, messageId ?? null) };
    });
  }
}

/** Sources are counted by 32 bits. */
function sourceIdOf(id: number): number {
  if (id >= 0 && id < 2 ** 31) return id;
  throw damagedCursor();
}
