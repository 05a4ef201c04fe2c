import type { JsonValue } from '../events/event.model.js';
import { formatInstant, isInstant, parseInstant } from '../platform/instant.js';

export const TRAIT_TYPES = ['string', 'number', 'boolean', 'date-time', 'list', 'object'] as const;
export type TraitType = (typeof TRAIT_TYPES)[number];

/** What becomes of a value of another type than declared. Each is counted. */
export const CONFLICT_POLICIES = ['keep', 'coerce', 'refuse'] as const;
export type ConflictPolicy = (typeof CONFLICT_POLICIES)[number];

/** A value as it is taken in. */
export interface FittedValue {
  /** Undefined: refused. */
  readonly value: JsonValue | undefined;
  readonly conflict: ConflictOutcome | null;
}

/** What became of a value of another type than its trait's. */
export type ConflictOutcome = 'kept' | 'coerced' | 'refused';

/** The kind of a JSON value; null has none, and a text that is an instant in ISO 8601 with its offset is a date-time. */
export function typeOfValue(value: JsonValue): TraitType | null {
  if (value === null) return null;
  if (Array.isArray(value)) return 'list';
  switch (typeof value) {
    case 'string':
      return instantOf(value) === null ? 'string' : 'date-time';
    case 'number':
      return 'number';
    case 'boolean':
      return 'boolean';
    default:
      return 'object';
  }
}

/** Null is of every type: it says that a trait is known to be empty. */
export function fitValue(value: JsonValue, type: TraitType, policy: ConflictPolicy): FittedValue {
  if (value === null || isOf(value, type)) {
    // One way to write an instant, so that texts are in the order of time.
    const same = type === 'date-time' && policy === 'coerce' ? dateTimeOf(value) : value;
    return { value: same ?? value, conflict: null };
  }
  if (policy === 'keep') return { value, conflict: 'kept' };
  const coerced = policy === 'coerce' ? coerce(value, type) : undefined;
  return coerced === undefined ? { value: undefined, conflict: 'refused' } : { value: coerced, conflict: 'coerced' };
}

function isOf(value: JsonValue, type: TraitType): boolean {
  const own = typeOfValue(value);
  return own === type || (own === 'date-time' && type === 'string');
}

/** The same value in another type; undefined where it says something else there. */
function coerce(value: JsonValue, type: TraitType): JsonValue | undefined {
  switch (type) {
    case 'string':
      return typeof value === 'number' || typeof value === 'boolean' ? String(value) : undefined;
    case 'number':
      return typeof value === 'string' ? numberOf(value) : undefined;
    case 'boolean':
      return booleanOf(value);
    case 'date-time':
      return dateTimeOf(value);
    case 'list':
      return typeof value === 'object' ? undefined : [value];
    case 'object':
      return undefined;
  }
}

const DECIMAL = /^\s*[+-]?(\d{1,15}(\.\d{1,15})?|\.\d{1,15})(e[+-]?\d{1,2})?\s*$/i;

function numberOf(text: string): number | undefined {
  return DECIMAL.test(text) ? Number(text) : undefined;
}

function booleanOf(value: JsonValue): boolean | undefined {
  if (value === 1 || value === 0) return value === 1;
  if (typeof value !== 'string') return undefined;
  const text = value.trim().toLowerCase();
  if (text === 'true' || text === 'yes' || text === '1') return true;
  return text === 'false' || text === 'no' || text === '0' ? false : undefined;
}

/** Below this a number is taken for seconds: 1973-03-03 in ms, the year 5138 in seconds. */
const LEAST_MS = 100_000_000_000;

function dateTimeOf(value: JsonValue): string | undefined {
  if (typeof value === 'number') {
    const ms = Math.abs(value) < LEAST_MS ? Math.round(value * 1_000) : Math.round(value);
    return isInstant(ms) ? formatInstant(ms) : undefined;
  }
  if (typeof value !== 'string') return undefined;
  const ms = parseInstant(value, { date: 'utc', time: 'utc' });
  return isInstant(ms) ? formatInstant(ms) : undefined;
}

/** Shorter texts are no date and time; most texts are told by their first character. */
const LEAST_LENGTH = 16;

/** The instant that a text is in ISO 8601 with its offset, ms; null for other texts. */
export function instantOf(text: string): number | null {
  const first = text.charCodeAt(0);
  if (text.length < LEAST_LENGTH || first < 0x30 || first > 0x39) return null;
  const ms = parseInstant(text, { date: 'refused', time: 'refused' });
  return isInstant(ms) ? ms : null;
}
