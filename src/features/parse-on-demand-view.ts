import { isKey } from '../platform/key.js';
import type { YamlValue } from '../platform/yaml-file.js';
import { ITEM_TYPES, type FeatureDefinition, type Item, type ItemType, type RequestField } from './feature.model.js';
import { isOfType } from './on-demand.model.js';
import { readDescription, type WrittenFeature } from './parse-feature.js';
import { MAX_TEXT_LENGTH } from './parse-option.js';

const MAX_REQUEST_FIELDS = 50;
const FEATURE_FIELDS = ['name', 'expression', 'type', 'description'];

/** What whoever asks for features of the view may say. */
export function readRequestFields(list: YamlValue | undefined): readonly RequestField[] {
  const items = list?.items('request') ?? [];
  if (items.length > MAX_REQUEST_FIELDS) {
    list?.problem('the view reads too much of a request', `declare at most ${String(MAX_REQUEST_FIELDS)} values`);
  }
  const taken = new Set<string>();
  return items.map((item) => readRequestField(item, taken)).filter((field) => field !== undefined);
}

function readRequestField(item: YamlValue, taken: Set<string>): RequestField | undefined {
  const fields = item.fields('a value of the request', ['name', 'type', 'default']);
  if (fields === undefined) return undefined;
  const written = fields.get('name') ?? item;
  const name = written.scalar;
  if (typeof name !== 'string' || !isKey(name)) {
    return written.problem(
      'a value of the request needs a name',
      'begin with a small letter and go on with up to 62 small letters, digits and _',
    );
  }
  if (taken.has(name)) return written.problem(`request.${name} is declared twice`, 'declare each value once');
  taken.add(name);
  const type = fields.get('type')?.oneOf('the type', ITEM_TYPES) ?? 'string';
  const otherwise = readDefault(fields.get('default'), type);
  return otherwise === undefined ? { name, type } : { name, type, default: otherwise };
}

function readDefault(item: YamlValue | undefined, type: ItemType): Item | undefined {
  if (item === undefined) return undefined;
  const value = item.scalar;
  return isOfType(value, type)
    ? value
    : item.problem(`the default is not of type ${type}`, type === 'timestamp' ? 'write ms since 1970' : `give ${type}`);
}

/** @param readName reads its name; where it is not there, `item` is its place */
export function readOnDemandFeature(
  item: YamlValue,
  readName: (name: YamlValue) => string | undefined,
  view: string,
  request: readonly RequestField[],
): WrittenFeature | undefined {
  const fields = item.fields('a feature of an on-demand view', FEATURE_FIELDS);
  if (fields === undefined) return undefined;
  const name = readName(fields.get('name') ?? item);
  const expression = fields.get('expression')?.text('the expression', MAX_TEXT_LENGTH);
  if (!fields.has('expression')) {
    item.problem('the feature has no expression', 'add how it is computed, as in expression: f.views_24h * 2');
  }
  const type = fields.get('type')?.oneOf('the type', ITEM_TYPES);
  if (!fields.has('type')) item.problem('the feature has no type', `add type: one of ${ITEM_TYPES.join(', ')}`);
  const description = readDescription(fields);
  if (name === undefined || expression === undefined || type === undefined) return undefined;
  const definition: FeatureDefinition = {
    name,
    view,
    description,
    aggregate: 'on_demand',
    events: [],
    source: null,
    where: null,
    value: null,
    windowMs: null,
    unitMs: null,
    limit: null,
    type,
    options: request.length === 0 ? { expression } : { expression, request },
  };
  return { definition, fields };
}
