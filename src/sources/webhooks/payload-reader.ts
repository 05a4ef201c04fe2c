import type { JsonObject, JsonValue } from '../../events/event.model.js';

/** The value as an object; null for anything else. */
export function objectOf(value: JsonValue | undefined): JsonObject | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : null;
}

/** The objects of a list; none for anything else. */
export function objectsOf(value: JsonValue | undefined): JsonObject[] {
  return Array.isArray(value) ? value.map((item) => objectOf(item)).filter((item) => item !== null) : [];
}

/** Items of a list, objects or not; 0 for anything else. */
export function lengthOf(value: JsonValue | undefined): number {
  return Array.isArray(value) ? value.length : 0;
}

/** A text that is not empty, or a number as text, as some networks write ids; null for anything else. */
export function textOf(value: JsonValue | undefined): string | null {
  if (typeof value === 'string') return value === '' ? null : value;
  return typeof value === 'number' && Number.isFinite(value) ? String(value) : null;
}

/** A field of the object by a name that came from outside. */
export function ownField(object: JsonObject | null, name: string): JsonValue | undefined {
  return object !== null && Object.hasOwn(object, name) ? object[name] : undefined;
}

/** Largest number of seconds since 1970 that is meant as such: the year 5138. As milliseconds it is 1973. */
const MAX_SECONDS = 100_000_000_000;

/** A Unix time in seconds or milliseconds, a number or its digits, in ms; null for anything else. */
export function unixTimeMs(value: JsonValue | undefined): number | null {
  const text = textOf(value);
  if (text === null || !/^\d{9,16}(\.\d{1,9})?$/.test(text)) return null;
  const time = Number(text);
  return Math.round(time < MAX_SECONDS ? time * 1_000 : time);
}

/** An ISO 8601 time or what else Date understands, in ms; null for anything else. */
export function dateMs(value: JsonValue | undefined): number | null {
  if (typeof value !== 'string' || value.length > 64) return null;
  // Fractions of more than 3 digits are legal in ISO 8601; engines differ in whether they read them.
  const ms = Date.parse(value.replace(/(\.\d{3})\d+/, '$1'));
  return Number.isNaN(ms) ? null : ms;
}

/** The object without its null and undefined fields. */
export function present(fields: Readonly<Record<string, JsonValue | undefined>>): JsonObject {
  const found: JsonObject = {};
  for (const [name, value] of Object.entries(fields)) if (value !== undefined && value !== null) found[name] = value;
  return found;
}
