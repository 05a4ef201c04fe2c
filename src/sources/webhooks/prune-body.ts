import type { JsonValue } from '../../events/event.model.js';

/**
 * What is left of a body without the items of its lists that name a person. An item that names them is theirs, unless it
 * does so only within a list of its own: then it is looked at item by item. Undefined: nothing is left, or the body names
 * them outside of all lists.
 * @param names whether a text, as JSON, names the person
 */
export function withoutNamed(body: JsonValue, names: (text: string) => boolean): JsonValue | undefined {
  if (!names(JSON.stringify(body))) return body;
  if (typeof body !== 'object' || body === null) return undefined;
  if (Array.isArray(body)) return listWithout(body, names);
  const kept: Record<string, JsonValue> = {};
  for (const [name, value] of Object.entries(body)) {
    const rest = withoutNamed(value, names);
    if (rest === undefined || names(JSON.stringify(name))) return undefined;
    Object.defineProperty(kept, name, { value: rest, enumerable: true, configurable: true, writable: true });
  }
  // As where they are named by a field and its value only together.
  return names(JSON.stringify(kept)) ? undefined : kept;
}

/** A list of names or numbers, as of recipients, is about all of them: it goes as a whole. */
function listWithout(list: readonly JsonValue[], names: (text: string) => boolean): JsonValue | undefined {
  const kept: JsonValue[] = [];
  for (const item of list) {
    if (typeof item !== 'object' || item === null) {
      if (names(JSON.stringify(item))) return undefined;
      kept.push(item);
      continue;
    }
    const rest = withoutNamed(item, names);
    if (rest !== undefined) kept.push(rest);
  }
  return kept.length === 0 ? undefined : kept;
}
