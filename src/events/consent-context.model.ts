import { isInstant, parseInstant } from '../platform/instant.js';
import type { JsonObject, JsonValue } from './event.model.js';

/** The field of an event's context that consents are read from. */
export const CONSENT_FIELD = 'consent';
/** As Segment names it: `{ "Advertising": true }`, by categories of the consent tool. */
export const CATEGORIES_FIELD = 'categoryPreferences';
/** By key of the purpose: `"granted"`, `true`, or `{ "status": "granted", "expiresAt": "2027-01-01T00:00:00Z" }`. */
export const PURPOSES_FIELD = 'purposes';

export const CONSENT_STATUSES = ['granted', 'denied'] as const;
export type ConsentStatus = (typeof CONSENT_STATUSES)[number];

/** What was said of a purpose; the form in which it is kept. */
export interface ConsentWord {
  readonly status: ConsentStatus;
  /** From when on it counts no more, ms; null: as the purpose says. */
  readonly expiresAt: number | null;
}

/** A word as events have it; null: it cannot be read. */
export function wordOf(value: JsonValue): ConsentWord | null {
  if (!isJsonObject(value)) {
    const status = statusOf(value);
    return status === null ? null : { status, expiresAt: null };
  }
  const status = statusOf(value['status']);
  if (status === null) return null;
  const { expiresAt = null } = value;
  if (expiresAt === null) return { status, expiresAt: null };
  const ms = typeof expiresAt === 'string' ? parseInstant(expiresAt, INSTANTS) : expiresAt;
  if (isInstant(ms)) return { status, expiresAt: ms };
  // Whoever says no means it, whatever became of the rest; a yes is not taken for longer than it may have been given.
  return status === 'denied' ? { status, expiresAt: null } : null;
}

const INSTANTS = { date: 'utc', time: 'utc' } as const;

function statusOf(value: JsonValue | undefined): ConsentStatus | null {
  if (typeof value === 'boolean') return value ? 'granted' : 'denied';
  return CONSENT_STATUSES.find((status) => status === value) ?? null;
}

export function isJsonObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
