import type { JsonValue } from '../../events/event.model.js';
import { WeftError } from '../../platform/errors.js';
import { isInstant, parseInstant } from '../../platform/instant.js';
import {
  ALL_KEYS,
  instantKey,
  keyRange,
  listItemKey,
  prefixRange,
  scalarKey,
  typeRange,
  type KeyRange,
} from '../../profiles/search-key.model.js';
import { termOf, type ProfileFilter } from '../../segments/profile-filter.model.js';

/** What is asked of a value, of a trait or a feature alike. */
export interface ValueConditions {
  readonly eq?: JsonValue;
  readonly in?: readonly JsonValue[] | null;
  readonly prefix?: string | null;
  readonly gt?: JsonValue;
  readonly gte?: JsonValue;
  readonly lt?: JsonValue;
  readonly lte?: JsonValue;
  readonly exists?: boolean | null;
}

/** The field that is asked for. */
export interface AskedField {
  readonly fieldId: number;
  /** What operands have to be: `number`, `boolean`, `date-time`; another or null: anything that has an order. */
  readonly type: string | null;
  /** Makes the key that is stored of the key of a value; left out: that is stored. */
  readonly seal?: ((key: Buffer) => Buffer) | undefined;
}

const MAX_VALUES = 100;

/**
 * What is asked of the values of a field; empty: nothing is.
 * @throws WeftError BAD_REQUEST
 */
export function valueFilter(
  input: ValueConditions,
  { fieldId, type, seal = (key) => key }: AskedField,
  where: string,
): ProfileFilter[] {
  const { eq, in: among, prefix, exists } = input;
  const keyOf = (value: JsonValue, field: string): Buffer => seal(operandKey(value, type, `${where}.${field}`));
  const inRange = (range: KeyRange): ProfileFilter => termOf({ kind: 'range', fieldId, range });
  const oneOf = (values: readonly JsonValue[], field: string): ProfileFilter => {
    checkValues(values, `${where}.${field}`);
    return termOf({ kind: 'keys', fieldId, keys: distinct(values.map((value) => keyOf(value, field))) });
  };
  const parts: ProfileFilter[] = [];
  if (eq !== undefined) parts.push(oneOf([eq], 'eq'));
  if (among !== undefined && among !== null) parts.push(oneOf(among, 'in'));
  if (typeof prefix === 'string') {
    const range = prefixRange(prefix);
    if (range === null) throw refused(`${where}.prefix`, 'the text is too long', 'give the first 50 characters');
    parts.push(inRange(range));
  }
  const bounds = boundsOf(input, keyOf, where);
  if (bounds !== null) parts.push(inRange(bounds));
  if (typeof exists === 'boolean') parts.push(existsFilter(fieldId, exists));
  return parts;
}

export function existsFilter(fieldId: number, exists: boolean): ProfileFilter {
  const any = termOf({ kind: 'range', fieldId, range: ALL_KEYS });
  return exists ? any : { kind: 'not', of: any };
}

/** @throws WeftError BAD_REQUEST */
export function containsFilter(item: JsonValue, { fieldId, type }: AskedField, where: string): ProfileFilter {
  return termOf({ kind: 'keys', fieldId, keys: [listItemKey(operandKey(item, type, where))] });
}

/** The stretch between what is not less and what is not greater; null: neither is asked for. */
function boundsOf(
  { gt, gte, lt, lte }: Pick<ValueConditions, 'gt' | 'gte' | 'lt' | 'lte'>,
  keyOf: (value: JsonValue, field: string) => Buffer,
  where: string,
): KeyRange | null {
  const keys = Object.entries({ gt, gte, lt, lte }).flatMap(([field, value]) =>
    value === undefined ? [] : [{ field, key: keyOf(value, field) }],
  );
  const [first] = keys;
  if (first === undefined) return null;
  let { from, to } = typeRange(first.key);
  for (const { field, key } of keys) {
    const isOfType = Buffer.compare(typeRange(key).from, typeRange(first.key).from) === 0;
    if (!isOfType) throw refused(`${where}.${field}`, 'the bounds are of different types', 'give both of one type');
    const bound = field === 'gte' || field === 'lt' ? key : keyRange(key).to;
    if (field.startsWith('g')) from = Buffer.compare(bound, from) > 0 ? bound : from;
    else to = Buffer.compare(bound, to) < 0 ? bound : to;
  }
  return { from, to };
}

/**
 * The key of a value as its type has it.
 * @throws WeftError BAD_REQUEST
 */
function operandKey(value: JsonValue, type: string | null, where: string): Buffer {
  const key = keyOfType(value, type);
  if (typeof key !== 'string') return key;
  throw refused(where, `the value ${key}`, 'give a text, a number, true or false; exists: false finds null');
}

/** Or what is wrong with it. */
function keyOfType(value: JsonValue, type: string | null): Buffer | string {
  if (type === 'date-time' && typeof value === 'string') {
    const ms = parseInstant(value, { date: 'utc', time: 'utc' });
    return isInstant(ms) ? instantKey(ms) : 'is no date and time';
  }
  if (type === 'number' && typeof value !== 'number') return 'is no number';
  if (type === 'boolean' && typeof value !== 'boolean') return 'is neither true nor false';
  return scalarKey(value) ?? 'cannot be compared';
}

/** @throws WeftError BAD_REQUEST */
export function checkValues(values: readonly unknown[], where: string, most = MAX_VALUES): void {
  if (values.length >= 1 && values.length <= most) return;
  throw refused(where, `${String(values.length)} values are given`, `give 1 to ${String(most)}`);
}

function distinct(keys: readonly Buffer[]): Buffer[] {
  return [...new Map(keys.map((key) => [key.toString('hex'), key])).values()];
}

export function refused(where: string, problem: string, hint: string): WeftError {
  return new WeftError('BAD_REQUEST', problem, { where, hint });
}
