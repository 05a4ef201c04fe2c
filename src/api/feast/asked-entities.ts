import type { FeatureDefinition, RequestValues } from '../../features/feature.model.js';
import { readRequestValues, requestFieldsOf } from '../../features/on-demand.model.js';
import { numberText } from '../../platform/number-text.js';
import { isObject, shown, wrong, type Body } from './feast-request.model.js';

/** Whose features are asked for, and what is said with each of them. */
export interface AskedEntities {
  /** What entities are named by: a namespace of identifiers, or `profile_id`. */
  readonly joinKey: string;
  readonly values: readonly string[];
  /** What on-demand features read of the request, by place of the entity; null: nothing is said. */
  readonly requests: readonly RequestValues[] | null;
}

type Column = readonly [name: string, values: readonly unknown[]];

/**
 * Reads `entities` and `request_context`. What on-demand features read may be a column of either: Feast's own client sends
 * it beside the join key.
 *
 * @param features those that are asked for
 * @throws WeftError BAD_REQUEST that says what is wrong, and where
 */
export function readAskedEntities(
  entities: unknown,
  context: unknown,
  features: readonly FeatureDefinition[],
): AskedEntities {
  const given = columnsOf(entities, 'entities', 'give a join key and a list, as in {"user_id": ["u-1"]}');
  const [first, ...others] = given;
  if (first === undefined) {
    throw wrong('entities', 'no entities are given', 'give a join key and a list, as in {"user_id": ["u-1"]}');
  }
  if (others.length === 0 && context === undefined) return askedOf(first, null);
  const fields = new Set(features.flatMap(requestFieldsOf).map(({ name }) => name));
  const keys = given.length === 1 ? given : given.filter(([name]) => !fields.has(name));
  const [key, second] = keys;
  if (key === undefined || second !== undefined) {
    const hint = 'ask with one namespace of identifiers, or profile_id, at a time';
    throw wrong(`entities.${shown((second ?? first)[0])}`, 'people are named by more than one join key', hint);
  }
  const said = [...given.filter((column) => column !== key), ...contextColumns(context, key[1].length)];
  for (const [name, values] of said) {
    if (values.length === key[1].length) continue;
    const what = `this column has ${String(values.length)} values, and ${shown(key[0])} has ${String(key[1].length)}`;
    throw wrong(shown(name), what, 'give a value, or null, for each entity');
  }
  const requests = key[1].map((_, row) =>
    readRequestValues(features, Object.fromEntries(said.map(([name, values]) => [name, values[row] ?? null]))),
  );
  return askedOf(key, said.length === 0 ? null : requests.map((request) => request ?? new Map()));
}

function askedOf([joinKey, values]: Column, requests: AskedEntities['requests']): AskedEntities {
  return { joinKey, values: values.map((value, index) => entityValue(value, joinKey, index)), requests };
}

function columnsOf(given: unknown, where: string, hint: string): Column[] {
  if (!isObject(given)) throw wrong(where, `${where} is not an object`, hint);
  return Object.entries(given).map(([name, list]): Column => {
    if (Array.isArray(list)) return [name, list as readonly unknown[]];
    throw wrong(`${where}.${shown(name)}`, 'this is not a list', 'give a list of values');
  });
}

/** A value that is no list is said of all entities. */
function contextColumns(context: unknown, count: number): Column[] {
  if (context === undefined || context === null) return [];
  const hint = 'give a list for each value, as in {"amount": [59.9]}';
  if (!isObject(context)) throw wrong('request_context', 'request_context is not an object', hint);
  const lists: Body = Object.fromEntries(
    Object.entries(context).map(([name, said]) => [
      name,
      Array.isArray(said) ? (said as unknown[]) : new Array<unknown>(count).fill(said),
    ]),
  );
  return columnsOf(lists, 'request_context', hint);
}

/** Numbers, as Feast sends keys of integer type, are identifiers by their digits. */
function entityValue(value: unknown, joinKey: string, index: number): string {
  if (typeof value === 'string') return value;
  const digits = typeof value === 'number' ? numberText(value) : null;
  if (digits !== null) return digits;
  const where = `entities.${shown(joinKey)}.${String(index)}`;
  if (typeof value === 'number')
    throw wrong(where, 'this number is beyond 2^53 and may be rounded', 'give it as a text');
  throw wrong(where, 'this is no identifier', 'give a text or a number');
}
