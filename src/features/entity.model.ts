import type { FeatureEvent, DefinitionMetadata } from './feature.model.js';
import type { JsonObject } from '../events/event.model.js';

/** What is built in, and what views without an entity are about. */
export const PROFILE_ENTITY = 'profile';

/** Something that features are about beside people, as content items. */
export interface EntityDefinition extends DefinitionMetadata {
  readonly name: string;
  /** What columns and requests call its keys, as `item_id`. */
  readonly joinKey: string;
  /** How long records are kept that are not the newest of their key, ms; left out: for ever. */
  readonly retentionMs?: number;
}

export const ENTITY_LIMITS = {
  maxKeyLength: 200,
  /** Of the JSON of a record's properties. */
  maxRecordBytes: 32 * 1024,
  /** Records of one key and one very time that are compared; of more, those that were accepted last. */
  maxTies: 1_000,
} as const;

/** A record of an entity: what was said of one key at a time. */
export interface EntityRecord {
  readonly key: string;
  readonly sourceId: number;
  /** What the records of a batch view are called. */
  readonly name: string;
  readonly messageId: string;
  /** ms; never later than it was accepted. */
  readonly occurredAt: number;
  readonly acceptedAt: number;
  readonly properties: JsonObject;
}

/** As the aggregators take it. */
export function recordEvent(record: EntityRecord): FeatureEvent {
  const { sourceId, name, messageId, occurredAt, acceptedAt, properties } = record;
  return { type: 'track', name, sourceId, messageId, occurredAt, acceptedAt, properties, traits: {}, context: {} };
}

/** Whether a key can be stored and asked for. */
export function isEntityKey(key: string): boolean {
  return key !== '' && key.length <= ENTITY_LIMITS.maxKeyLength && !/[\0\p{Surrogate}]/u.test(key);
}
