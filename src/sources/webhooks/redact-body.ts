import type { JsonValue } from '../../events/event.model.js';

const REDACTED = '[redacted]';
const MAX_DEPTH = 32;
/** Names of what a delivery is found by: ids, times, kinds. Whoever writes a message does not choose what they hold. */
const NAMED_REFERENCE =
  /^(?:mid|ts|at|on|time|timestamp|date|created|updated|received|uuid|guid|key|type|kind|object|item|verb|field)$|(?:^|_)ids?$|(?:[a-z]I|^I)[dD]s?$|_(?:at|on|ts|time|timestamp|date|type|key|str)$|(?:[a-z])(?:At|Time|Timestamp|Date|Type)$/;
/** What ids, times and kinds look like, and sentences do not. */
const REFERENCE = /^[A-Za-z0-9][A-Za-z0-9_.:+=-]{0,99}$/;

/**
 * The value without what it says, for where a message must not be kept and its shape still helps: all texts and numbers
 * are replaced, whatever they are called, but ids, times and kinds, which are known by name and by form.
 */
export function redactJson(value: JsonValue): JsonValue {
  return redacted(value, '', 0);
}

function redacted(value: JsonValue, name: string, depth: number): JsonValue {
  if (value === null || typeof value === 'boolean') return value;
  if (typeof value !== 'object') return NAMED_REFERENCE.test(name) && REFERENCE.test(String(value)) ? value : REDACTED;
  if (depth >= MAX_DEPTH) return REDACTED;
  if (Array.isArray(value)) return value.map((item) => redacted(item, name, depth + 1));
  // Not by assignment, which `__proto__` as a name would turn into something else.
  return Object.fromEntries(Object.entries(value).map(([key, field]) => [key, redacted(field, key, depth + 1)]));
}
