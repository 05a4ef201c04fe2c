import { Field, Float, ObjectType } from 'type-graphql';
import type { JsonObject } from '../../events/event.model.js';
import type { EntityKey, StoredRecord } from '../../features/entity-record.reader.js';
import { connectionTypes } from './connection.types.js';
import { DateTime, Json } from './scalars.js';

@ObjectType('EntityKey', { simpleResolvers: true, description: 'One item of an entity, by its key.' })
class EntityKeyType implements EntityKey {
  @Field(() => String, { description: 'Its key, as `sku-1`.' })
  key!: string;

  @Field(() => Float, { description: 'How many records are kept of it.' })
  records!: number;

  @Field(() => DateTime, { description: 'The time of its newest record.' })
  newestAt!: number;
}

@ObjectType('EntityRecord', { simpleResolvers: true, description: 'What was said of one key at a time.' })
class EntityRecordType implements Omit<StoredRecord, 'sourceId'> {
  @Field(() => String, { description: 'What it is about, as `item`.' })
  entity!: string;

  @Field(() => String, { description: 'Its key, as `sku-1`.' })
  key!: string;

  @Field(() => String, { description: 'Key of the source that it came from, as `catalog`.' })
  source!: string;

  @Field(() => String, { description: 'What the records of a batch view are called, as `item`.' })
  name!: string;

  @Field(() => String, { description: 'By which it was written once, as `sku-1-2026-11-20`.' })
  messageId!: string;

  @Field(() => DateTime, { description: 'The time that it is of.' })
  occurredAt!: number;

  @Field(() => DateTime, { description: 'When it was accepted.' })
  acceptedAt!: number;

  @Field(() => Json, { description: 'Its columns, as `{"price": 9.5}`.' })
  properties!: JsonObject;
}

@ObjectType('EntityRecordsErased', { simpleResolvers: true, description: 'Records of a key that are gone.' })
export class EntityRecordsErased {
  @Field(() => String, { description: 'What they were about, as `item`.' })
  entity!: string;

  @Field(() => String, { description: 'Their key, as `sku-1`.' })
  key!: string;

  @Field(() => Float, { description: 'How many there were; 0: none was kept.' })
  records!: number;
}

export const EntityKeyConnection = connectionTypes<EntityKey>(EntityKeyType, 'EntityKey');
export const EntityRecordConnection = connectionTypes<StoredRecord>(EntityRecordType, 'EntityRecord');
