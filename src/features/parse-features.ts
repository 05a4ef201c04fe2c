import { WeftError } from '../platform/errors.js';
import { isKey } from '../platform/key.js';
import { nearestName } from '../platform/near-names.js';
import { YamlFile, type YamlValue } from '../platform/yaml-file.js';
import { readNeededPurposes } from '../profiles/purpose.model.js';
import { PROFILE_ENTITY, type EntityDefinition } from './entity.model.js';
import type { FeatureService, FeatureView } from './feature.model.js';
import { BATCH_FIELDS, readBatchFeature, readBatchRows, refuseBatchFields, VIEW_KINDS } from './parse-batch-view.js';
import { readEntity } from './parse-entity.js';
import { readExpectations } from './parse-expectations.js';
import { readFeature, type WrittenFeature } from './parse-feature.js';
import { readImputations } from './parse-imputations.js';
import { MAX_NAME_LENGTH, readPath } from './parse-option.js';
import { readOnDemandFeature, readRequestFields } from './parse-on-demand-view.js';
import { withParts } from './parse-ratio.js';
import { METADATA_FIELDS, readMetadata } from './read-metadata.js';

const VIEW_FIELDS = [
  'name',
  ...METADATA_FIELDS,
  'kind',
  'source',
  'purposes',
  'entity',
  'key',
  ...BATCH_FIELDS,
  'request',
  'features',
  'expect',
];

export const MAX_FEATURES = 2_000;
const MAX_FILE_LENGTH = 4_000_000;

const NAME_HINT = 'begin with a small letter and go on with up to 62 small letters, digits and _';

/** Fields at the top of a file of features. */
export const FEATURE_FILE_FIELDS = ['views', 'services', 'entities'];

interface FeatureFile {
  readonly entities: readonly EntityDefinition[];
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
  const joinKeys = new Set<string>();
  const entities = namedItems(fields?.get('entities'), 'entities', new Set(), (item, seen) =>
    readEntity(item, (at) => readName(at, 'an entity', seen), joinKeys),
  );
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
  return { entities, views, services };
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
  const fields = item.fields('a view', VIEW_FIELDS);
  if (fields === undefined) return undefined;
  const name = readName(fields.get('name') ?? item, 'a view', seen);
  const source = fields.get('source')?.text('the source', MAX_NAME_LENGTH) ?? null;
  const purposes = readNeededPurposes(fields.get('purposes'));
  const metadata = readMetadata(fields);
  const listed = fields.get('features');
  if (listed === undefined) item.problem('the view has no features', 'list them under features');
  const kind = fields.get('kind')?.oneOf('the kind', VIEW_KINDS) ?? 'stream';
  const readOne = featureReader(kind, item, fields, name ?? '', source);
  const written = namedItems(listed, 'features', taken, (feature, names) =>
    readOne(feature, (at) => readName(at, 'a feature', names)),
  );
  const features = withParts(written);
  const entity = readViewEntity(kind, fields);
  const key = readItemKey(item, kind, entity, fields);
  if (entity !== undefined) for (const each of written) refuseForEntity(each, fields, kind);
  if (name === undefined) return undefined;
  const expect = readExpectations(
    fields.get('expect'),
    features.map((feature) => feature.name),
    entity !== undefined,
  );
  return {
    name,
    ...metadata,
    ...(kind === 'stream' ? {} : { kind }),
    ...(entity === undefined ? {} : { entity }),
    ...(key === undefined ? {} : { key }),
    source,
    features,
    ...(purposes.length === 0 ? {} : { purposes }),
    ...(Object.keys(expect).length === 0 ? {} : { expect }),
  };
}

type ViewKind = (typeof VIEW_KINDS)[number];
type ViewFields = ReadonlyMap<string, YamlValue>;

/** Undefined: people. */
function readViewEntity(kind: ViewKind, fields: ViewFields): string | undefined {
  if (kind === 'on_demand') {
    fields.get('entity')?.problem('on-demand views are about people', 'take the entity out');
    return undefined;
  }
  const entity = fields.get('entity')?.text('the entity', MAX_NAME_LENGTH);
  return entity === PROFILE_ENTITY ? undefined : entity;
}

/** Where events name the item that a view of an entity is about; undefined: it is about people, or has records. */
function readItemKey(
  item: YamlValue,
  kind: ViewKind,
  entity: string | undefined,
  fields: ViewFields,
): string | undefined {
  const key = fields.get('key');
  if (entity === undefined || kind === 'batch') {
    return key?.problem(
      'only stream views of an entity have a key',
      'take it out, or say which entity events are about',
    );
  }
  if (key !== undefined) return readPath(key, 'the key');
  const hint = 'add key: the path of the item in an event, as in key: properties.article; or kind: batch, for records';
  return item.problem('a stream view of an entity needs a key', hint);
}

/** Notes what only views of people have: records of other entities have properties, and nobody to ask or to find. */
function refuseForEntity({ definition, fields }: WrittenFeature, view: ViewFields, kind: ViewKind): void {
  const { value, options } = definition;
  if (kind === 'batch' && value?.startsWith('properties.') === false) {
    fields.get('value')?.problem('records of entities have properties alone', 'write the path as properties.price');
  }
  if (options?.created?.startsWith('properties.') === false) {
    view.get('created')?.problem('records of entities have properties alone', 'write it as properties.updated_at');
  }
  fields.get('searchable')?.problem('only people are found by features', 'take searchable out');
  view.get('purposes')?.problem('purposes are what people allow', 'take them out of the view');
}

type FeatureReading = (item: YamlValue, nameOf: (at: YamlValue) => string | undefined) => WrittenFeature | undefined;

/** How features of a view of this kind are written. Notes what the view has that is for views of other kinds. */
function featureReader(
  kind: (typeof VIEW_KINDS)[number],
  item: YamlValue,
  fields: ReadonlyMap<string, YamlValue>,
  view: string,
  source: string | null,
): FeatureReading {
  const isOnDemand = kind === 'on_demand';
  if (kind !== 'batch') refuseBatchFields(fields);
  if (!isOnDemand)
    fields.get('request')?.problem('only on-demand views read a request', 'add kind: on_demand, or take it out');
  if (kind === 'batch') {
    const rows = readBatchRows(item, fields, view);
    return (feature, nameOf) => readBatchFeature(feature, nameOf, rows);
  }
  if (!isOnDemand) return (feature, nameOf) => readFeature(feature, nameOf, view, source);
  fields.get('source')?.problem('on-demand views read features, and no events', 'take the source out');
  const request = readRequestFields(fields.get('request'));
  return (feature, nameOf) => readOnDemandFeature(feature, nameOf, view, request);
}

function readService(item: YamlValue, seen: Set<string>, known: ReadonlySet<string>): FeatureService | undefined {
  const fields = item.fields('a service', ['name', ...METADATA_FIELDS, 'features', 'impute']);
  if (fields === undefined) return undefined;
  const name = readName(fields.get('name') ?? item, 'a service', seen);
  const metadata = readMetadata(fields);
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
  const impute = readImputations(fields.get('impute'), features);
  if (name === undefined) return undefined;
  const service = { name, ...metadata, features: [...features] };
  return Object.keys(impute).length === 0 ? service : { ...service, impute };
}

function meantHint(name: string, known: Iterable<string>): string {
  const near = nearestName(name, known);
  return near === undefined ? 'define it in a view' : `did you mean ${near}?`;
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
