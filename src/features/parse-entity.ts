import { isNamespace } from '../events/event.model.js';
import { durationMs, MAX_DURATION_MS } from '../platform/duration.js';
import type { YamlValue } from '../platform/yaml-file.js';
import { PROFILE_ENTITY, type EntityDefinition } from './entity.model.js';
import { METADATA_FIELDS, readMetadata } from './read-metadata.js';

const ENTITY_FIELDS = ['name', ...METADATA_FIELDS, 'join_key', 'retention'];
const MIN_RETENTION_MS = 86_400_000;
/** Read by Weft itself where Feast's clients name people. */
const RESERVED_KEYS = ['profile_id'];

/** @param readName reads its name; where it is not there, `item` is its place */
export function readEntity(
  item: YamlValue,
  readName: (name: YamlValue) => string | undefined,
  joinKeys: Set<string>,
): EntityDefinition | undefined {
  const fields = item.fields('an entity', ENTITY_FIELDS);
  if (fields === undefined) return undefined;
  const name = readName(fields.get('name') ?? item);
  if (name === PROFILE_ENTITY)
    item.problem('the entity profile is built in', 'take it out: views are about people by default');
  const joinKey = readJoinKey(fields.get('join_key') ?? item, joinKeys);
  const retentionMs = readRetention(fields.get('retention'));
  const metadata = readMetadata(fields);
  if (name === undefined || joinKey === undefined) return undefined;
  return { name, joinKey, ...metadata, ...(retentionMs === undefined ? {} : { retentionMs }) };
}

function readJoinKey(item: YamlValue, taken: Set<string>): string | undefined {
  const key = item.scalar;
  if (typeof key !== 'string' || !isNamespace(key)) {
    return item.problem('an entity needs a join_key', 'say what its keys are called, as in join_key: item_id');
  }
  if (RESERVED_KEYS.includes(key)) return item.problem(`${key} names people`, 'choose another join_key');
  if (taken.has(key)) return item.problem(`the join_key ${key} is taken`, 'give each entity its own');
  taken.add(key);
  return key;
}

function readRetention(item: YamlValue | undefined): number | undefined {
  if (item === undefined) return undefined;
  try {
    const ms = durationMs(String(item.scalar));
    if (ms >= MIN_RETENTION_MS && ms <= MAX_DURATION_MS) return ms;
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
  }
  return item.problem('the retention must be a duration of a day or more', 'write it as 400d');
}
