import { WeftError } from '../platform/errors.js';
import { isKey } from '../platform/key.js';
import { nearestName } from '../platform/near-names.js';
import { YamlFile, type YamlValue } from '../platform/yaml-file.js';
import { readNeededPurposes } from '../profiles/purpose.model.js';
import { compileWhere } from './compile-where.js';
import { durationMs, durationText, nearDuration } from '../platform/duration.js';
import {
  AGGREGATES,
  type Aggregate,
  type FeatureDefinition,
  type FeatureService,
  type FeatureType,
  type FeatureView,
} from './feature.model.js';
import { MAX_TIMES, MAX_WINDOW_MS, MIN_WINDOW_MS } from './stream.model.js';
import { canBeSearchable } from './search-feature.model.js';
import { parseValuePath } from './value-path.js';

export const MAX_FEATURES = 2_000;
const MAX_FILE_LENGTH = 4_000_000;
const MAX_EVENTS = 200;
const MAX_NAME_LENGTH = 200;
const MAX_TEXT_LENGTH = 4_000;
const MIN_UNIT_MS = 60_000;
const MAX_UNIT_MS = 366 * 86_400_000;
const DEFAULT_UNIT_MS = 86_400_000;

const NAME_HINT = 'begin with a small letter and go on with up to 62 small letters, digits and _';

const FEATURE_FIELDS = [
  'name',
  'aggregate',
  'events',
  'window',
  'value',
  'where',
  'type',
  'unit',
  'limit',
  'description',
  'searchable',
];
const WRITTEN_TYPES = ['string', 'int', 'double', 'bool', 'timestamp'] as const;

/** The type that an aggregate always has; undefined: it is that of its value, and written with the feature. */
const TYPES: { readonly [A in Aggregate]: FeatureType | undefined } = {
  count: 'int',
  sum: 'double',
  avg: 'double',
  min: 'double',
  max: 'double',
  first: undefined,
  last: undefined,
  distinct: 'int',
  recency: 'int',
  times: 'times',
};

/** Fields at the top of a file of features. */
export const FEATURE_FILE_FIELDS = ['views', 'services'];

interface FeatureFile {
  readonly views: readonly FeatureView[];
  readonly services: readonly FeatureService[];
}

/**
 * Reads a file of feature definitions.
 *
 * @param file how messages call it
 * @param elsewhere names of features that are defined in other files, which services here may list
 * @param others further fields that the file may have; what they hold is read by somebody else
 * @throws WeftError DEFINITION_INVALID with every problem, one a line: `file:line:column: what; how to fix it`
 */
export function parseFeatures(
  text: string,
  file: string,
  elsewhere: Iterable<string> = [],
  others: readonly string[] = [],
): FeatureFile {
  if (text.length > MAX_FILE_LENGTH) {
    throw new WeftError('DEFINITION_INVALID', `${file} has more than ${String(MAX_FILE_LENGTH)} characters`, {
      where: file,
      hint: 'split it into several files',
    });
  }
  const yaml = new YamlFile(text, file);
  // What follows from broken YAML is no news.
  yaml.throwProblems();
  const fields = yaml.root.fields('the file', [...FEATURE_FILE_FIELDS, ...others]);
  const taken = new Set<string>();
  const views = namedItems(fields?.get('views'), 'views', new Set(), (item, seen) => readView(item, seen, taken));
  if (taken.size > MAX_FEATURES) {
    yaml.root.problem(`the file has ${String(taken.size)} features`, `define at most ${String(MAX_FEATURES)}`);
  }
  const known = new Set([...taken, ...elsewhere]);
  const services = namedItems(fields?.get('services'), 'services', new Set(), (item, seen) =>
    readService(item, seen, known),
  );
  yaml.throwProblems();
  return { views, services };
}

function namedItems<T>(
  list: YamlValue | undefined,
  what: string,
  seen: Set<string>,
  read: (item: YamlValue, seen: Set<string>) => T | undefined,
): T[] {
  return (list?.items(what) ?? []).map((item) => read(item, seen)).filter((item) => item !== undefined);
}

function readView(item: YamlValue, seen: Set<string>, taken: Set<string>): FeatureView | undefined {
  const fields = item.fields('a view', ['name', 'description', 'source', 'purposes', 'features']);
  if (fields === undefined) return undefined;
  const name = readName(fields.get('name') ?? item, 'a view', seen);
  const source = fields.get('source')?.text('the source', MAX_NAME_LENGTH) ?? null;
  const description = readDescription(fields);
  const purposes = readNeededPurposes(fields.get('purposes'));
  const listed = fields.get('features');
  if (listed === undefined) item.problem('the view has no features', 'list them under features');
  const features = namedItems(listed, 'features', taken, (feature, names) =>
    readFeature(feature, names, name ?? '', source),
  );
  if (name === undefined) return undefined;
  const view = { name, description, source, features };
  return purposes.length === 0 ? view : { ...view, purposes };
}

function readService(item: YamlValue, seen: Set<string>, known: ReadonlySet<string>): FeatureService | undefined {
  const fields = item.fields('a service', ['name', 'description', 'features']);
  if (fields === undefined) return undefined;
  const name = readName(fields.get('name') ?? item, 'a service', seen);
  const description = readDescription(fields);
  const listed = fields.get('features');
  if (listed === undefined) item.problem('the service has no features', 'list their names under features');
  const features = new Set<string>();
  for (const entry of listed?.items('features') ?? []) {
    const feature = entry.text('a feature name', MAX_NAME_LENGTH);
    if (feature === undefined) continue;
    if (features.has(feature)) entry.problem(`${feature} is listed twice`, 'list each feature once');
    else if (!known.has(feature)) entry.problem(`there is no feature ${feature}`, meantHint(feature, known));
    features.add(feature);
  }
  return name === undefined ? undefined : { name, description, features: [...features] };
}

function meantHint(name: string, known: Iterable<string>): string {
  const near = nearestName(name, known);
  return near === undefined ? 'define it in a view' : `did you mean ${near}?`;
}

function readFeature(
  item: YamlValue,
  taken: Set<string>,
  view: string,
  source: string | null,
): FeatureDefinition | undefined {
  const fields = item.fields('a feature', FEATURE_FIELDS);
  if (fields === undefined) return undefined;
  const name = readName(fields.get('name') ?? item, 'a feature', taken);
  const description = readDescription(fields);
  const events = readEvents(fields.get('events'));
  const where = readWhere(fields.get('where'));
  const windowMs = readDuration(fields.get('window'), 'a window', MIN_WINDOW_MS, MAX_WINDOW_MS);
  const aggregate = required(item, fields, 'aggregate')?.oneOf('the aggregate', AGGREGATES);
  if (aggregate === undefined) return undefined;
  const value = readValue(item, fields.get('value'), aggregate);
  const type = readType(fields.get('type'), aggregate);
  const limit = readLimit(item, fields.get('limit'), aggregate);
  const unitMs = readUnit(fields.get('unit'), aggregate);
  const searchable = readSearchable(fields.get('searchable'), aggregate);
  if (name === undefined) return undefined;
  const feature = { name, view, description, aggregate, events, source, where, value, windowMs, unitMs, limit, type };
  return searchable ? { ...feature, searchable } : feature;
}

function readName(item: YamlValue, what: string, seen: Set<string>): string | undefined {
  const name = item.scalar;
  if (typeof name !== 'string' || !isKey(name)) {
    return item.problem(`${what} needs a name${typeof name === 'string' ? `, and "${name}" is none` : ''}`, NAME_HINT);
  }
  if (seen.has(name))
    return item.problem(`the name ${name} is taken`, `give each of them its own; ${what} is found by it`);
  seen.add(name);
  return name;
}

function readDescription(fields: ReadonlyMap<string, YamlValue>): string {
  return fields.get('description')?.text('the description', MAX_TEXT_LENGTH) ?? '';
}

function required(item: YamlValue, fields: ReadonlyMap<string, YamlValue>, field: string): YamlValue | undefined {
  return (
    fields.get(field) ?? item.problem(`the feature has no ${field}`, `add ${field}: one of ${AGGREGATES.join(', ')}`)
  );
}

function readEvents(list: YamlValue | undefined): string[] {
  const items = list?.items('events') ?? [];
  if (items.length > MAX_EVENTS)
    list?.problem('the feature names too many events', `name at most ${String(MAX_EVENTS)}, or none for all`);
  return items.map((item) => item.text('an event name', MAX_NAME_LENGTH)).filter((name) => name !== undefined);
}

function readWhere(filter: YamlValue | undefined): string | null {
  const text = filter?.text('the filter', MAX_TEXT_LENGTH);
  if (filter === undefined || text === undefined) return null;
  try {
    compileWhere(text);
    return text;
  } catch (error) {
    if (!(error instanceof WeftError)) throw error;
    filter.problem(
      `the filter is wrong at ${error.where ?? 'its start'}: ${error.message}`,
      error.hint ?? 'correct it',
    );
    return null;
  }
}

function readDuration(item: YamlValue | undefined, what: string, leastMs: number, mostMs: number): number | null {
  if (item === undefined) return null;
  const text = item.scalar;
  try {
    const ms = durationMs(typeof text === 'string' ? text : String(text));
    if (ms >= leastMs && ms <= mostMs) return ms;
    item.problem(`${what} cannot be ${String(text)}`, `choose ${durationText(leastMs)} to ${durationText(mostMs)}`);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    const near = nearDuration(String(text));
    const hint = near === undefined ? 'write a whole number and s, m, h or d, as in 5m, 24h, 7d' : `write ${near}`;
    item.problem(`${what} must be a duration`, hint);
  }
  return null;
}

function readValue(item: YamlValue, path: YamlValue | undefined, aggregate: Aggregate): string | null {
  const takesValue = aggregate !== 'count' && aggregate !== 'recency' && aggregate !== 'times';
  if (path === undefined) {
    if (takesValue)
      item.problem(`${aggregate} needs a value`, 'add the path of a property, as in value: properties.total');
    return null;
  }
  if (!takesValue) {
    path.problem(`${aggregate} has no value`, 'take it out, or choose another aggregate');
    return null;
  }
  const text = path.text('the value', MAX_TEXT_LENGTH);
  if (text === undefined) return null;
  try {
    parseValuePath(text);
    return text;
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    path.problem(error.message, 'name one value of the event');
    return null;
  }
}

function readType(item: YamlValue | undefined, aggregate: Aggregate): FeatureType {
  const fixed = TYPES[aggregate];
  const written = item?.oneOf('the type', fixed === undefined ? WRITTEN_TYPES : [fixed]);
  return fixed ?? written ?? 'string';
}

function readLimit(item: YamlValue, limit: YamlValue | undefined, aggregate: Aggregate): number | null {
  if (aggregate === 'times') {
    if (limit === undefined)
      item.problem('times needs a limit', `add limit: how many times to keep, 1 to ${String(MAX_TIMES)}`);
    return limit?.integer('the limit', 1, MAX_TIMES) ?? 1;
  }
  limit?.problem(`${aggregate} has no limit`, 'take it out; only times has one');
  return null;
}

function readSearchable(mark: YamlValue | undefined, aggregate: Aggregate): boolean {
  if (mark === undefined) return false;
  if (typeof mark.scalar !== 'boolean') {
    mark.problem('searchable is neither true nor false', 'write true, or leave it out');
    return false;
  }
  if (mark.scalar && !canBeSearchable(aggregate)) {
    mark.problem(
      `${aggregate} gives a list, by which profiles cannot be found`,
      'take searchable out, or find them by a recency of the same events',
    );
    return false;
  }
  return mark.scalar;
}

function readUnit(unit: YamlValue | undefined, aggregate: Aggregate): number | null {
  if (aggregate === 'recency') return readDuration(unit, 'a unit', MIN_UNIT_MS, MAX_UNIT_MS) ?? DEFAULT_UNIT_MS;
  unit?.problem(`${aggregate} has no unit`, 'take it out; only recency has one');
  return null;
}
