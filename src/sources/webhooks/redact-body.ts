import type { JsonObject, JsonValue } from '../../events/event.model.js';

const REDACTED = '[redacted]';
/** Fields in which one of the networks, or the usual in-house tool, puts what somebody wrote. */
const WORDS: ReadonlySet<string> = new Set([
  'text',
  'full_text',
  'message',
  'body',
  'html_body',
  'plain_body',
  'description',
  'subject',
  'title',
  'content',
  'caption',
  'comment',
]);
const MAX_DEPTH = 32;

/** The value with its words replaced: for where a message must not be kept and its shape still helps. */
export function redactJson(value: JsonValue, depth = 0): JsonValue {
  if (typeof value !== 'object' || value === null) return value;
  if (depth >= MAX_DEPTH) return REDACTED;
  if (Array.isArray(value)) return value.map((item) => redactJson(item, depth + 1));
  const found: JsonObject = {};
  for (const [name, field] of Object.entries(value)) {
    const areWords = WORDS.has(name.toLowerCase()) && typeof field === 'string';
    found[name] = areWords ? REDACTED : redactJson(field, depth + 1);
  }
  return found;
}

const QUOTED_WORDS = new RegExp(`("(?:${[...WORDS].join('|')})"\\s*:\\s*)"(?:[^"\\\\]|\\\\.)*("|\\\\?$)`, 'gis');

/** The same for a text that is no JSON, as one that was cut off: whatever follows such a name as a string. */
export function redactText(text: string): string {
  return text.replace(QUOTED_WORDS, `$1"${REDACTED}"`);
}
