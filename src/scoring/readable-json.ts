import type { JsonObject, JsonValue } from '../events/event.model.js';
import { textTable } from '../platform/command-line.js';

/** Of one object; what is more is counted. */
const MAX_LINES = 80;
/** Rows of one table, and items of one list. */
const MAX_ROWS = 20;
const MAX_ITEMS = 12;
const MAX_TEXT = 120;
/** From 1973, before which durations are, to 2286. */
const LEAST_INSTANT_MS = 1e11;
const MAX_INSTANT_MS = 1e13;
/** Spaces; what lies deeper is told as JSON. */
const MAX_INDENT = 12;

/**
 * What somebody wrote freely as JSON, as words for people: keys without underscores and capitals, what belongs together below
 * its heading, objects of one form as a table. At most {@link MAX_LINES} lines.
 */
export function readableLines(object: JsonObject, indent = '  '): string[] {
  const lines = linesOf(object, indent);
  if (lines.length <= MAX_LINES) return lines;
  return [...lines.slice(0, MAX_LINES), `${indent}… ${String(lines.length - MAX_LINES)} lines more; --json has all`];
}

function linesOf(object: JsonObject, indent: string): string[] {
  if (indent.length > MAX_INDENT) return [`${indent}${plainText(JSON.stringify(object))}`];
  const entries = Object.entries(object);
  const plain = entries.filter(([, value]) => isPlain(value));
  const width = Math.max(0, ...plain.map(([key]) => wordsOf(key).length));
  return entries.flatMap(([key, value]) => {
    const name = wordsOf(key);
    if (isPlain(value)) return [`${indent}${name.padEnd(width)}  ${instantOf(key, value) ?? plainText(value)}`];
    if (!Array.isArray(value)) return [`${indent}${name}`, ...linesOf(value as JsonObject, `${indent}  `)];
    return [`${indent}${name}`, ...rowsOf(value, `${indent}  `)];
  });
}

/** A number of milliseconds under a name as `fromMs` that can only be an instant. */
function instantOf(key: string, value: JsonValue): string | null {
  const isInstant =
    typeof value === 'number' && key.endsWith('Ms') && value >= LEAST_INSTANT_MS && value < MAX_INSTANT_MS;
  return isInstant ? new Date(value).toISOString() : null;
}

/** A scalar, a list of them, or nothing at all. */
function isPlain(value: JsonValue): boolean {
  if (value === null || typeof value !== 'object') return true;
  if (Array.isArray(value)) return value.every((item: JsonValue) => item === null || typeof item !== 'object');
  return Object.keys(value).length === 0;
}

function plainText(value: JsonValue): string {
  if (Array.isArray(value)) {
    const items = (value as readonly JsonValue[]).slice(0, MAX_ITEMS).map(plainText).join(', ');
    return value.length > MAX_ITEMS ? `${items}, … ${String(value.length - MAX_ITEMS)} more` : items || 'none';
  }
  if (value === null || typeof value === 'object') return 'none';
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  if (typeof value === 'number') return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(6)));
  // On one line, and without what would steer a terminal.
  const text = value.replaceAll(/[\s\p{Cc}]+/gu, ' ').trim();
  return text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text;
}

function rowsOf(items: readonly JsonValue[], indent: string): string[] {
  const shown = items.slice(0, MAX_ROWS);
  const more = items.length > shown.length ? [`${indent}… ${String(items.length - shown.length)} more`] : [];
  const objects = shown.filter(
    (item): item is JsonObject => item !== null && typeof item === 'object' && !Array.isArray(item),
  );
  const columns = [...new Set(objects.flatMap((item) => Object.keys(item)))];
  if (objects.length < shown.length || !objects.every((item) => Object.values(item).every(isPlain))) {
    return [...shown.flatMap((item, at) => linesOf({ [String(at + 1)]: item }, indent)), ...more];
  }
  const rows = objects.map((item) => columns.map((column) => (column in item ? plainText(item[column] ?? null) : '-')));
  const table = textTable([columns.map(wordsOf), ...rows]).trimEnd();
  return [...table.split('\n').map((line) => `${indent}${line}`), ...more];
}

/** As `average precision` of `averagePrecision` or `average_precision`. */
function wordsOf(key: string): string {
  const words = key.replaceAll(/([\p{Ll}\d])(\p{Lu})/gu, '$1 $2').replaceAll(/[_\s\p{Cc}]+/gu, ' ');
  const text = words === words.toUpperCase() ? words : words.toLowerCase();
  return text.trim().slice(0, MAX_TEXT);
}
