import { durationText } from '../platform/duration.js';
import type { YamlValue } from '../platform/yaml-file.js';
import { AGGREGATE_FIELDS, AGGREGATE_RULES, takesField, type AggregateField } from './aggregate.model.js';
import {
  isItemType,
  ITEM_TYPES,
  WRITTEN_AGGREGATES,
  type Aggregate,
  type FeatureDefinition,
  type FeatureOptions,
  type FeatureType,
} from './feature.model.js';
import { FIELD_FORMS, MAX_NAME_LENGTH, MAX_TEXT_LENGTH, readDuration, readPath, readWhere } from './parse-option.js';
import { canBeSearchable } from './search-feature.model.js';
import { MAX_WINDOW_MS, MIN_WINDOW_MS } from './stream.model.js';

const MAX_EVENTS = 200;
const MINUTE_MS = 60_000;
const MAX_UNIT_MS = 366 * 86_400_000;
const DEFAULT_UNIT_MS = 86_400_000;

const COMMON_FIELDS = ['name', 'aggregate', 'events', 'where', 'description', 'searchable'];

type Fields = ReadonlyMap<string, YamlValue>;

/** A feature as it is written: one that is computed from others still has to be given these. */
export interface WrittenFeature {
  readonly definition: FeatureDefinition;
  readonly fields: Fields;
}

/** @param readName reads its name; where it is not there, `item` is its place */
export function readFeature(
  item: YamlValue,
  readName: (name: YamlValue) => string | undefined,
  view: string,
  source: string | null,
): WrittenFeature | undefined {
  const fields = item.fields('a feature', [...COMMON_FIELDS, ...AGGREGATE_FIELDS]);
  if (fields === undefined) return undefined;
  const name = readName(fields.get('name') ?? item);
  const description = readDescription(fields);
  const where = readWhere(fields.get('where'));
  const windowMs = readDuration(fields.get('window'), 'a window', MIN_WINDOW_MS, MAX_WINDOW_MS);
  const aggregate = required(item, fields, 'aggregate')?.oneOf('the aggregate', WRITTEN_AGGREGATES);
  if (aggregate === undefined) return undefined;
  const allowed = allowedFields(item, fields, aggregate);
  const value = readPath(allowed.get('value'), 'the value') ?? null;
  const options = readOptions(allowed, aggregate);
  const events = readEvents(item, fields.get('events'), aggregate, options?.steps);
  const limit = readLimit(allowed.get('limit'), aggregate);
  const unitMs = takesField(aggregate, 'unit') ? readUnit(allowed.get('unit'), aggregate) : null;
  checkKeys(allowed, aggregate);
  const type = readType(fields.get('type'), aggregate, options ?? {});
  if (name === undefined) return undefined;
  const plain = { name, view, description, aggregate, events, source, where, value, windowMs, unitMs, limit, type };
  const feature = options === undefined ? plain : { ...plain, options };
  const isSearchable = readSearchable(fields.get('searchable'), feature);
  return { definition: isSearchable ? { ...feature, searchable: true } : feature, fields };
}

export function readDescription(fields: Fields): string {
  return fields.get('description')?.text('the description', MAX_TEXT_LENGTH) ?? '';
}

function required(item: YamlValue, fields: Fields, field: string): YamlValue | undefined {
  return (
    fields.get(field) ??
    item.problem(`the feature has no ${field}`, `add ${field}: one of ${WRITTEN_AGGREGATES.join(', ')}`)
  );
}

/** The fields without those that the aggregate does not take; notes these, and those that it lacks. */
function allowedFields(item: YamlValue, fields: Fields, aggregate: Aggregate): Fields {
  const { needs } = AGGREGATE_RULES[aggregate];
  const allowed = new Map(fields);
  for (const field of AGGREGATE_FIELDS) {
    const written = fields.get(field);
    const { what, example } = FIELD_FORMS[field];
    // A type that follows from the aggregate may be written all the same.
    if (written !== undefined && field !== 'type' && !takesField(aggregate, field)) {
      written.problem(`${aggregate} has no ${field}`, `take it out; ${othersWith(field)}`);
      allowed.delete(field);
    } else if (written === undefined && needs.includes(field)) {
      item.problem(`${aggregate} needs ${what}`, `add ${example}`);
    }
  }
  return allowed;
}

/** A key and a limit are of maps, and mean nothing together. */
function checkKeys(fields: Fields, aggregate: Aggregate): void {
  const [key, limit] = [fields.get('key'), fields.get('limit')];
  if (key !== undefined && limit !== undefined) {
    limit.problem('one key has no limit', 'take limit out, or key for a map of the greatest');
  }
  if (!takesField(aggregate, 'by') || fields.has('by')) return;
  const hint = 'add what events are grouped by, as in by: properties.category';
  key?.problem(`${aggregate} has a key only where events are grouped`, hint);
  limit?.problem(`${aggregate} has no limit where events are not grouped`, `take it out, or ${hint}`);
}

function othersWith(field: AggregateField): string {
  const having = WRITTEN_AGGREGATES.filter((aggregate) => takesField(aggregate, field));
  return `${having.join(', ')} ${having.length === 1 ? 'has' : 'have'} one`;
}

function readEvents(
  feature: YamlValue,
  list: YamlValue | undefined,
  aggregate: Aggregate,
  steps: FeatureOptions['steps'],
): string[] {
  if (aggregate === 'funnel') {
    list?.problem('funnel has no events', 'take them out; its steps name them');
    return [...new Set(steps?.map(({ event }) => event))];
  }
  if (aggregate === 'last_events' && list === undefined) {
    feature.problem('last_events needs events', 'name them in the order of their tokens, as in events: [page, search]');
  }
  const items = list?.items('events') ?? [];
  if (items.length > MAX_EVENTS)
    list?.problem('the feature names too many events', `name at most ${String(MAX_EVENTS)}, or none for all`);
  return items.map((item) => item.text('an event name', MAX_NAME_LENGTH)).filter((name) => name !== undefined);
}

function readOptions(fields: Fields, aggregate: Aggregate): FeatureOptions | undefined {
  const rule = AGGREGATE_RULES[aggregate];
  let options: FeatureOptions | undefined;
  for (const field of AGGREGATE_FIELDS) {
    const item = fields.get(field);
    const read = item === undefined ? undefined : FIELD_FORMS[field].read?.(item, rule);
    if (read !== undefined) options = { ...options, ...read };
  }
  return options === undefined || Object.keys(options).length === 0 ? undefined : options;
}

function readType(item: YamlValue | undefined, aggregate: Aggregate, options: FeatureOptions): FeatureType {
  const rule = AGGREGATE_RULES[aggregate];
  if (takesField(aggregate, 'type')) return rule.typeOf(item?.oneOf('the type', ITEM_TYPES) ?? 'string', options);
  const fixed = rule.typeOf('string', options);
  item?.oneOf('the type', [fixed]);
  return fixed;
}

function readLimit(limit: YamlValue | undefined, aggregate: Aggregate): number | null {
  const { maxLimit, defaultLimit = null } = AGGREGATE_RULES[aggregate];
  return maxLimit === undefined ? null : (limit?.integer('the limit', 1, maxLimit) ?? defaultLimit);
}

function readUnit(unit: YamlValue | undefined, aggregate: Aggregate): number {
  const { unitsMs, defaultUnitMs = DEFAULT_UNIT_MS, leastUnitMs = MINUTE_MS } = AGGREGATE_RULES[aggregate];
  const ms = readDuration(unit, 'a unit', leastUnitMs, MAX_UNIT_MS) ?? defaultUnitMs;
  if (unitsMs === undefined || unitsMs.includes(ms)) return ms;
  unit?.problem(
    `the unit of ${aggregate} cannot be ${durationText(ms)}`,
    `choose ${unitsMs.map(durationText).join(' or ')}`,
  );
  return defaultUnitMs;
}

export function readSearchable(mark: YamlValue | undefined, feature: FeatureDefinition): boolean {
  if (mark === undefined) return false;
  if (typeof mark.scalar !== 'boolean') {
    mark.problem('searchable is neither true nor false', 'write true, or leave it out');
    return false;
  }
  if (!mark.scalar || canBeSearchable(feature)) return mark.scalar;
  const { aggregate, type } = feature;
  const what = isItemType(type)
    ? 'a value that never stands still'
    : `a ${type === 'int_map' || type === 'double_map' ? 'map' : 'list'}`;
  mark.problem(
    `${aggregate} gives ${what}, by which profiles cannot be found`,
    'take searchable out, or find them by a recency of the same events',
  );
  return false;
}
