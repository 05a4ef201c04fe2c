import type { JsonValue } from '../events/event.model.js';
import { nearestName } from '../platform/near-names.js';
import { MAX_DISTINCT } from './check-expectations.js';
import { UNEXPECTED_POLICIES, type LoadExpectation } from './load-expectation.model.js';
import type { MappingNode } from './mapping-node.js';

/** What is about the number of events rather than a value. */
const EVENTS = 'events';
const EVENTS_FIELDS = ['min', 'max', 'otherwise'];
const VALUE_FIELDS = [...EVENTS_FIELDS, 'null_share', 'distinct_min', 'one_of'];
const MAX_EXPECTATIONS = 200;
const MAX_ONE_OF = 1_000;
const MAX_DEPTH = 8;

/**
 * What a mapping expects of its file.
 * @param written paths of what the mapping writes, as `properties.total`
 */
export function parseLoadExpectations(
  node: MappingNode | undefined,
  written: readonly string[],
): readonly LoadExpectation[] {
  const found = [...(node?.fields() ?? [])].flatMap(([name, child]) => expectationOf(name, child, written));
  if (found.length > MAX_EXPECTATIONS) node?.problem(`at most ${String(MAX_EXPECTATIONS)} values may be expected`);
  return found;
}

function expectationOf(name: string, node: MappingNode, written: readonly string[]): LoadExpectation[] {
  const isOfEvents = name === EVENTS;
  const fields = node.knownFields(isOfEvents ? EVENTS_FIELDS : VALUE_FIELDS);
  if (!isOfEvents) demandWritten(name, node, written);
  if (fields === undefined) return [];
  const bound = (field: string, least: number, most: number): number | null =>
    fields.get(field)?.number(least, most) ?? null;
  const [min, max] = isOfEvents
    ? ['min', 'max'].map((field) => fields.get(field)?.integer(0, Number.MAX_SAFE_INTEGER) ?? null)
    : ['min', 'max'].map((field) => bound(field, -Number.MAX_VALUE, Number.MAX_VALUE));
  const expectation = {
    ...{ name, path: isOfEvents ? null : name.split('.'), event: null, min: min ?? null, max: max ?? null },
    nullShare: bound('null_share', 0, 1),
    distinctMin: fields.get('distinct_min')?.integer(1, MAX_DISTINCT) ?? null,
    oneOf: oneOf(fields.get('one_of')),
    otherwise: fields.get('otherwise')?.oneOf(UNEXPECTED_POLICIES) ?? 'warn',
  };
  if (expectation.min !== null && expectation.max !== null && expectation.min > expectation.max) {
    fields.get('max')?.problem('is less than "min"');
  }
  const isEmpty = [...fields.keys()].every((field) => field === 'otherwise');
  if (isEmpty) node.problem('expects nothing: give it a bound, such as null_share: 0.01');
  return [expectation];
}

function demandWritten(name: string, node: MappingNode, written: readonly string[]): void {
  const isThere = written.some((path) => name === path || name.startsWith(`${path}.`));
  if (isThere && name.split('.').length <= MAX_DEPTH) return;
  const near = nearestName(name, [EVENTS, ...written]);
  const hint =
    near === undefined ? 'expect "events", or what it writes, as properties.total' : `did you mean "${near}"?`;
  node.problemOfKey(`the mapping writes no ${name.slice(0, 100)}; ${hint}`);
}

function oneOf(node: MappingNode | undefined): ReadonlySet<JsonValue> | null {
  const items = node?.items();
  if (items === undefined) return null;
  if (items.length === 0 || items.length > MAX_ONE_OF) node?.problem(`must have 1 to ${String(MAX_ONE_OF)} items`);
  return new Set(
    items.map((item) => {
      const value = item.json();
      if (value === null || typeof value === 'object') item.problem('must be a text, a number or a boolean');
      return value;
    }),
  );
}
