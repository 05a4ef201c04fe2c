import { durationMs, MAX_DURATION_MS } from '../platform/duration.js';
import type { YamlValue } from '../platform/yaml-file.js';
import { ITEM_TYPES, type FeatureDefinition, type FeatureOptions } from './feature.model.js';
import { readDescription, type WrittenFeature } from './parse-feature.js';
import { MAX_NAME_LENGTH, readPath } from './parse-option.js';

export const VIEW_KINDS = ['stream', 'batch', 'on_demand'] as const;

/** Fields of a view that only batch views have. */
export const BATCH_FIELDS = ['event', 'created', 'ttl'];

const FEATURE_FIELDS = ['name', 'value', 'type', 'description', 'searchable'];

type Fields = ReadonlyMap<string, YamlValue>;

/** What the features of a batch view have in common: which records are its rows, and how long one counts. */
export interface BatchRows {
  readonly view: string;
  readonly source: string;
  readonly event: string;
  readonly options: FeatureOptions;
}

/** Undefined after what is wrong was noted. */
export function readBatchRows(item: YamlValue, fields: Fields, view: string): BatchRows | undefined {
  const source = fields.get('source')?.text('the source', MAX_NAME_LENGTH);
  const event = fields.get('event')?.text('the event', MAX_NAME_LENGTH);
  if (!fields.has('source'))
    item.problem('a batch view needs a source', 'add source: the key that its records come by');
  if (!fields.has('event')) {
    item.problem('a batch view needs an event', 'add event: the name that its records have, as in event: customer');
  }
  const created = readPath(fields.get('created'), 'the path of the time of creation');
  const ttlMs = readTtl(fields.get('ttl'));
  const options = { ...(created === undefined ? {} : { created }), ...(ttlMs === undefined ? {} : { ttlMs }) };
  return source === undefined || event === undefined ? undefined : { view, source, event, options };
}

/** Notes what a view has that only batch views have. */
export function refuseBatchFields(fields: Fields): void {
  for (const name of BATCH_FIELDS) {
    fields.get(name)?.problem(`only batch views have ${name}`, 'take it out, or add kind: batch to the view');
  }
}

/** A column of the winning row. @param readName reads its name; where it is not there, `item` is its place */
export function readBatchFeature(
  item: YamlValue,
  readName: (name: YamlValue) => string | undefined,
  rows: BatchRows | undefined,
): WrittenFeature | undefined {
  const fields = item.fields('a feature of a batch view', FEATURE_FIELDS);
  if (fields === undefined) return undefined;
  const name = readName(fields.get('name') ?? item);
  const value = readPath(fields.get('value'), 'the value');
  if (!fields.has('value')) item.problem('the feature has no value', 'add the path of a column, as properties.tier');
  const type = fields.get('type')?.oneOf('the type', ITEM_TYPES) ?? 'string';
  const searchable = fields.get('searchable')?.bool('searchable') ?? false;
  const description = readDescription(fields);
  if (name === undefined || value === undefined || rows === undefined) return undefined;
  const { view, source, event, options } = rows;
  const feature: FeatureDefinition = {
    name,
    view,
    description,
    aggregate: 'row',
    events: [event],
    source,
    where: null,
    value,
    windowMs: null,
    unitMs: null,
    limit: null,
    type,
    options,
  };
  return { definition: searchable ? { ...feature, searchable } : feature, fields };
}

function readTtl(item: YamlValue | undefined): number | undefined {
  if (item === undefined) return undefined;
  try {
    const ms = durationMs(String(item.scalar));
    if (ms <= MAX_DURATION_MS) return ms;
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
  }
  return item.problem('ttl must be a duration', 'write a whole number and s, m, h or d, as in 30d');
}
