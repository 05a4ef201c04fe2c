import type { JsonValue } from '../../events/event.model.js';
import type { FeatureDefinition, FeatureType } from '../../features/feature.model.js';
import type { FeatureSet } from '../../features/feature-set.model.js';
import { isKeptAsTime } from '../../features/search-feature.model.js';
import { WeftError } from '../../platform/errors.js';
import { nearestName } from '../../platform/near-names.js';
import type { StandingField } from '../../profiles/search-field.reader.js';
import { instantKey, keyRange } from '../../profiles/search-key.model.js';
import { termOf, type ProfileFilter, type SearchOrder } from '../../segments/profile-filter.model.js';
import { checkValues, existsFilter, refused, valueFilter } from './compile-value-filter.js';
import type { FeatureFilterInput } from './profile-search.types.js';

/** Features that can be asked for. */
export interface SearchableFeatures {
  /** By name. */
  readonly fields: ReadonlyMap<string, StandingField>;
  readonly set: Pick<FeatureSet, 'indexOf' | 'definitions'>;
  /** Names of those that whoever asks is shown masked, so may not find people by. */
  readonly masked: ReadonlySet<string>;
  /** What ages are counted up to, ms. */
  readonly nowMs: number;
}

/** What operands of a type have to be, as `AskedField` calls it. */
const OPERANDS: { readonly [T in FeatureType]?: string } = {
  int: 'number',
  double: 'number',
  bool: 'boolean',
  timestamp: 'date-time',
};

/** @throws WeftError BAD_REQUEST, FORBIDDEN, UNAVAILABLE */
export function featureFilter(input: FeatureFilterInput, features: SearchableFeatures, where: string): ProfileFilter[] {
  const { field, definition } = featureOf(input.name, features, `${where}.name`);
  const parts = isKeptAsTime(definition)
    ? ageFilter(input, { fieldId: field.id, unitMs: definition.unitMs ?? 1, nowMs: features.nowMs }, where)
    : valueFilter(input, { fieldId: field.id, type: OPERANDS[definition.type] ?? null }, where);
  if (parts.length === 0) throw refused(where, 'nothing is asked of the feature', 'add eq, in, gte, exists …');
  return parts;
}

/**
 * The order of an age is the reverse of that of the times that it is counted from.
 * @throws WeftError BAD_REQUEST, FORBIDDEN, UNAVAILABLE
 */
export function featureOrder(name: string, descending: boolean, features: SearchableFeatures): SearchOrder {
  const { field, definition } = featureOf(name, features, 'orderBy.feature');
  return { by: 'field', fieldId: field.id, descending: isKeptAsTime(definition) !== descending };
}

function featureOf(
  name: string,
  { fields, set, masked }: SearchableFeatures,
  where: string,
): { readonly field: StandingField; readonly definition: FeatureDefinition } {
  const field = fields.get(name);
  const definition = set.definitions[set.indexOf(name) ?? -1];
  if (field === undefined || definition === undefined) {
    const near = nearestName(name, fields.keys());
    const meant = near === undefined ? '' : `did you mean ${near}? else `;
    throw refused(
      where,
      definition === undefined ? `there is no feature ${name.slice(0, 100)}` : `the feature ${name} is not searchable`,
      `${meant}define it with searchable: true`,
    );
  }
  if (masked.has(name)) {
    throw new WeftError('FORBIDDEN', `the feature ${name} keeps personal data`, {
      where,
      hint: 'finding people by it takes the scope pii',
    });
  }
  if (field.isReady) return { field, definition };
  throw new WeftError('UNAVAILABLE', `not everybody is in the index of ${name} yet`, {
    where,
    hint: 'weft profiles index tells how far that is; ask again later',
    retryAfterMs: 5_000,
  });
}

/** Each is a stretch of its own to look for. */
const MAX_AGES = 10;

interface Age {
  readonly fieldId: number;
  readonly unitMs: number;
  readonly nowMs: number;
}

/**
 * What is asked of an age, in whole units, as stretches of the times that it is counted from: it is n or more where the
 * time lies n units back or further.
 */
function ageFilter(input: FeatureFilterInput, { fieldId, unitMs, nowMs }: Age, where: string): ProfileFilter[] {
  const { eq, in: among, gt, gte, lt, lte, prefix, exists } = input;
  if (typeof prefix === 'string') throw refused(`${where}.prefix`, 'the feature is a number', 'ask for eq, gte or lt');
  /** Where the age is `from` or more and less than `to`. */
  const between = (from: number, to: number): ProfileFilter => {
    const behind = (age: number): Buffer => keyRange(instantKey(nowMs - age * unitMs)).to;
    return termOf({ kind: 'range', fieldId, range: { from: behind(to), to: behind(from) } });
  };
  const numberOf = (value: JsonValue, field: string): number => {
    if (typeof value === 'number') return value;
    throw refused(
      `${where}.${field}`,
      'the value is no number',
      'give a number of the units that the feature counts in',
    );
  };
  const equal = (value: JsonValue, field: string): ProfileFilter => {
    const age = numberOf(value, field);
    return Number.isInteger(age) ? between(age, age + 1) : NOBODY;
  };
  const parts: ProfileFilter[] = [];
  if (eq !== undefined) parts.push(equal(eq, 'eq'));
  if (among !== undefined && among !== null) {
    checkValues(among, `${where}.in`, MAX_AGES);
    parts.push({ kind: 'or', all: among.map((value) => equal(value, 'in')) });
  }
  if (gt !== undefined) parts.push(between(Math.floor(numberOf(gt, 'gt')) + 1, Infinity));
  if (gte !== undefined) parts.push(between(Math.ceil(numberOf(gte, 'gte')), Infinity));
  if (lt !== undefined) parts.push(between(-Infinity, Math.ceil(numberOf(lt, 'lt'))));
  if (lte !== undefined) parts.push(between(-Infinity, Math.floor(numberOf(lte, 'lte')) + 1));
  if (typeof exists === 'boolean') parts.push(existsFilter(fieldId, exists));
  return parts;
}

const NOBODY: ProfileFilter = { kind: 'or', all: [] };
