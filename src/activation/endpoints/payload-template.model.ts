import type { JsonObject, JsonValue } from '../../events/event.model.js';
import { WeftError } from '../../platform/errors.js';

/*
 * Templates: the body of a request as JSON in which texts of the form `{{place}}` stand for values.
 *
 *   { "email": "{{identifiers.email}}", "list": "{{segment.key}}", "...": "traits" }
 *
 * A text that is such a place and nothing else becomes the value as it is; within a longer text, the value as text. A
 * member whose value is not known is left out, and an item of a list likewise. The member `...` names places, one or a
 * list, whose members stand beside the others, where no other has their name.
 */

/** A template of an endpoint's own, or one that comes with Weft. */
export interface PayloadTemplate {
  readonly body: JsonObject;
  /** Places without which nothing is sent, as the address that a receiver knows people by. */
  readonly requires: readonly string[];
}

/** What places lead into. */
export interface PayloadValues {
  readonly change: {
    readonly id: string;
    /** `segment.entered` or `segment.left`. */
    readonly type: string;
    readonly kind: string;
    /** ISO 8601 */
    readonly at: string;
    readonly cursor: string;
    readonly cause: string;
    readonly version: number;
    /** Which models decided, each `{ key, version, digest }`. */
    readonly models: readonly JsonObject[];
    /** Which event did it, as `{ messageId, type, name, occurredAt }`; null: none, or it is not in the log any more. */
    readonly event: JsonObject | null;
  };
  readonly segment: { readonly key: string; readonly name: string };
  readonly profile: { readonly id: string };
  /** The first value of each namespace. */
  readonly identifiers: Readonly<Record<string, string>>;
  readonly traits: JsonObject;
  readonly features: JsonObject;
}

export const TEMPLATE_LIMITS = { maxBytes: 16_384, maxDepth: 10, maxRequires: 20 } as const;

const PLACE = /\{\{\s*([\w$.-]+)\s*\}\}/g;
const SPREAD = '...';
const FIXED: Readonly<Record<string, readonly string[]>> = {
  change: ['id', 'type', 'kind', 'at', 'cursor', 'cause', 'version', 'models', 'event'],
  segment: ['key', 'name'],
  profile: ['id'],
};
const OPEN: readonly string[] = ['identifiers', 'traits', 'features'];

/** The body that a change is sent as; null: a place that is required is not known. */
export function renderPayload({ body, requires }: PayloadTemplate, values: PayloadValues): JsonValue | null {
  if (requires.some((place) => valueAt(values, place) === undefined)) return null;
  return rendered(body, values) ?? {};
}

function rendered(node: JsonValue, values: PayloadValues): JsonValue | undefined {
  if (typeof node === 'string') return renderedText(node, values);
  if (Array.isArray(node)) {
    return node.map((item) => rendered(item, values)).filter((item) => item !== undefined);
  }
  if (typeof node !== 'object' || node === null) return node;
  const members = new Map<string, JsonValue>();
  for (const [name, inner] of Object.entries(node)) {
    const value = name === SPREAD ? undefined : rendered(inner, values);
    if (value !== undefined) members.set(name, value);
  }
  for (const place of spreadOf(node)) {
    const found = valueAt(values, place);
    if (typeof found !== 'object' || found === null || Array.isArray(found)) continue;
    for (const [name, value] of Object.entries(found)) {
      if (!members.has(name)) members.set(name, value);
    }
  }
  return Object.fromEntries(members);
}

function renderedText(text: string, values: PayloadValues): JsonValue | undefined {
  const [whole, place] = [...text.matchAll(PLACE)][0] ?? [];
  if (whole === undefined || place === undefined) return text;
  if (whole === text) return valueAt(values, place);
  const found = [...text.matchAll(PLACE)].map(([, each = '']) => valueAt(values, each));
  if (found.includes(undefined)) return undefined;
  let next = 0;
  return text.replace(PLACE, () => {
    const value = found[next++];
    return typeof value === 'string' ? value : JSON.stringify(value);
  });
}

function spreadOf(node: JsonObject): readonly string[] {
  const given = Object.hasOwn(node, SPREAD) ? node[SPREAD] : undefined;
  if (given === undefined) return [];
  return (Array.isArray(given) ? given : [given]).filter((each) => typeof each === 'string');
}

function valueAt(values: PayloadValues, place: string): JsonValue | undefined {
  const [root = '', ...rest] = place.split('.');
  if (!Object.hasOwn(values, root)) return undefined;
  const group = (values as unknown as Readonly<Record<string, JsonObject>>)[root];
  // Names of traits may have dots in them.
  const name = rest.join('.');
  if (rest.length === 0) return group;
  return group !== undefined && Object.hasOwn(group, name) ? group[name] : undefined;
}

/**
 * A template as somebody wrote it: an object that is the body, or `{ "body": …, "requires": […] }`.
 * @throws WeftError DEFINITION_INVALID
 */
export function parseTemplate(given: unknown): PayloadTemplate {
  if (!isObject(given)) throw wrong('it is no JSON object', '$');
  const { body, requires = [] } = given as { readonly body?: unknown; readonly requires?: unknown };
  const isNamed = isObject(body) && Object.keys(given).every((name) => ['body', 'requires'].includes(name));
  const template = (isNamed ? { body, requires } : { body: given, requires: [] }) as PayloadTemplate;
  if (Buffer.byteLength(JSON.stringify(template)) > TEMPLATE_LIMITS.maxBytes) {
    throw wrong(`it has more than ${String(TEMPLATE_LIMITS.maxBytes)} bytes`, '$');
  }
  checkNode(template.body, '$', 0);
  const { maxRequires } = TEMPLATE_LIMITS;
  if (!Array.isArray(requires) || requires.length > maxRequires) {
    throw wrong(`requires is no list of ${String(maxRequires)} places at most`, '$.requires');
  }
  for (const place of requires as unknown[]) checkPlace(place, '$.requires');
  return template;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function checkNode(node: JsonValue, where: string, depth: number): void {
  if (depth > TEMPLATE_LIMITS.maxDepth)
    throw wrong(`it has more than ${String(TEMPLATE_LIMITS.maxDepth)} levels`, where);
  if (typeof node === 'string') {
    for (const [, place] of node.matchAll(PLACE)) checkPlace(place, where);
  } else if (Array.isArray(node)) {
    for (const [i, item] of node.entries()) checkNode(item, `${where}[${String(i)}]`, depth + 1);
  } else if (typeof node === 'object' && node !== null) {
    for (const [name, inner] of Object.entries(node)) {
      if (name !== SPREAD) checkNode(inner, `${where}.${name}`, depth + 1);
      else for (const place of Array.isArray(inner) ? inner : [inner]) checkPlace(place, `${where}["..."]`);
    }
  }
}

function checkPlace(place: unknown, where: string): void {
  const [root = '', ...rest] = typeof place === 'string' ? place.split('.') : [];
  if (OPEN.includes(root)) return;
  if (Object.hasOwn(FIXED, root) && (rest.length === 0 || FIXED[root]?.includes(rest.join('.')) === true)) return;
  throw wrong(`there is no place ${String(place).slice(0, 100)}`, where);
}

function wrong(what: string, where: string): WeftError {
  const places = Object.entries(FIXED).flatMap(([root, names]) => names.map((name) => `${root}.${name}`));
  return new WeftError('DEFINITION_INVALID', `the template cannot be used: ${what}`, {
    where,
    hint: `places are ${places.join(', ')}, and identifiers, traits and features with a name`,
  });
}
