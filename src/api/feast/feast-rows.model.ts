import { hash } from 'node:crypto';
import type { IncomingEvent, JsonObject, JsonValue } from '../../events/event.model.js';
import type { FeatureDefinition } from '../../features/feature.model.js';
import { formatInstant, isInstant, parseInstant } from '../../platform/instant.js';
import { numberText } from '../../platform/number-text.js';
import { isObject, shown, wrong } from './feast-request.model.js';

/** Rows of one request at most. */
export const MAX_ROWS = 10_000;
const MAX_COLUMNS = 2_000;
const EVENT_TIME = 'event_timestamp';
const CREATED = ['created', 'created_timestamp'];
/** Feast's own times have no offset, and are UTC. */
const POLICY = { date: 'utc', time: 'utc' } as const;
/** Below this a whole number is seconds, as Feast writes times, above it ms. */
const MAX_SECONDS = 100_000_000_000;

/** Columns of a data frame, each as long as the others. */
export type Columns = ReadonlyMap<string, readonly unknown[]>;

/** What rows become: records of one name, of whose columns these are features. */
export interface RecordKind {
  readonly event: string;
  /** Path of the time of creation, as `properties.updated_at`; null: it is not kept. */
  readonly created: string | null;
  readonly features: readonly FeatureDefinition[];
}

/** @throws WeftError BAD_REQUEST for what is no data frame, or too large */
export function readColumns(df: unknown): Columns {
  if (!isObject(df))
    throw wrong('df', 'df is not an object', 'give a list for each column, as in {"email": ["a@b.c"]}');
  const columns = new Map<string, readonly unknown[]>();
  let rows = -1;
  for (const [name, values] of Object.entries(df)) {
    const where = `df.${shown(name)}`;
    if (!Array.isArray(values)) throw wrong(where, 'this is not a list', 'give a list of values for each column');
    if (rows >= 0 && values.length !== rows) {
      const hint = 'give a value, or null, for each row';
      throw wrong(where, `this column has ${String(values.length)} values, others have ${String(rows)}`, hint);
    }
    rows = values.length;
    columns.set(name, values);
  }
  if (rows <= 0) throw wrong('df', 'there are no rows', 'give a list for each column');
  if (rows > MAX_ROWS || columns.size > MAX_COLUMNS) {
    const hint = `send at most ${String(MAX_ROWS)} rows and ${String(MAX_COLUMNS)} columns at a time`;
    throw wrong('df', 'the data frame is too large', hint);
  }
  return columns;
}

/**
 * The columns that say who a row is about: all that are neither features nor times.
 * @param features names of all features that may be columns
 */
export function keyColumns(columns: Columns, features: ReadonlySet<string>): string[] {
  return [...columns.keys()].filter((name) => !features.has(name) && name !== EVENT_TIME && !CREATED.includes(name));
}

/**
 * The records that rows are, of this kind. Their message ids follow from what they say, so that a client that sends them
 * again changes nothing; a row without a time is of now, and so another one whenever it is sent.
 * @throws WeftError BAD_REQUEST for a time that cannot be read
 */
export function recordsOf(columns: Columns, keys: readonly string[], kind: RecordKind, nowMs: number): IncomingEvent[] {
  const [first = []] = columns.values();
  const given = kind.features.filter(({ name }) => columns.has(name));
  return first.map((_, row) => {
    const cell = (name: string): unknown => columns.get(name)?.[row] ?? null;
    const timestampMs = timeOf(cell(EVENT_TIME), EVENT_TIME, row) ?? nowMs;
    const identifiers = keys
      .map((ns) => ({ ns, value: keyText(cell(ns), ns, row) }))
      .filter((each): each is { ns: string; value: string } => each.value !== null);
    const payload: Record<string, JsonObject> = { properties: {} };
    for (const feature of given) put(payload, feature.value ?? '', valueOf(cell(feature.name), feature));
    const created = CREATED.map((name) => timeOf(cell(name), name, row)).find((ms) => ms !== null) ?? null;
    if (kind.created !== null && created !== null) put(payload, kind.created, formatInstant(created));
    const digest = hash('sha256', JSON.stringify([kind.event, identifiers, cell(EVENT_TIME) ?? nowMs, payload]));
    return { type: 'track', name: kind.event, messageId: `sha256:${digest}`, identifiers, timestampMs, ...payload };
  });
}

function keyText(value: unknown, column: string, row: number): string | null {
  if (typeof value === 'string') return value;
  if (typeof value !== 'number') return null;
  const digits = numberText(value);
  if (digits !== null) return digits;
  throw wrong(
    `df.${shown(column)}.${String(row)}`,
    'this number is beyond 2^53 and may be rounded',
    'give it as a text',
  );
}

/** Times of features are kept as ISO 8601, whatever the client writes. */
function valueOf(value: unknown, { type }: FeatureDefinition): JsonValue {
  const ms = type === 'timestamp' ? instantOf(value) : null;
  return ms === null ? (value as JsonValue) : formatInstant(ms);
}

function timeOf(value: unknown, column: string, row: number): number | null {
  if (value === null) return null;
  const ms = instantOf(value);
  if (ms !== null) return ms;
  throw wrong(`df.${column}.${String(row)}`, 'this is no time', 'write ISO 8601, as in 2026-01-31T12:00:00Z');
}

function instantOf(value: unknown): number | null {
  if (typeof value === 'string') {
    const ms = parseInstant(value, POLICY);
    return isInstant(ms) ? ms : null;
  }
  if (typeof value !== 'number') return null;
  const ms = Math.abs(value) < MAX_SECONDS ? Math.round(value * 1_000) : Math.round(value);
  return isInstant(ms) ? ms : null;
}

/** @param path as `properties.address.city` */
function put(payload: Record<string, JsonObject>, path: string, value: JsonValue): void {
  const [root = '', ...keys] = path.split('.');
  const last = keys.pop() ?? '';
  let into: JsonObject = (payload[root] ??= {});
  for (const key of keys) {
    const inner = into[key];
    if (typeof inner === 'object' && inner !== null && !Array.isArray(inner)) into = inner;
    else into = into[key] = {};
  }
  into[last] = value;
}
