import type { FeatureDefinition, FeatureEvent } from '../../src/features/feature.model.js';
import { naiveKeyedValue, naiveRatio } from './naive-keyed.js';
import { absent, found, microsOf, nearest, numberIn, pathValue, type NaiveValue } from './naive-values.js';
import { hashValue } from '../../src/features/value-hash.js';
import { isOfRing, naiveCalendarHop, naiveSequence } from './naive-sequences.js';

/*
 * Features by their definition: every value is computed anew from the list of all events, with no tiles, no
 * merging and no packing. It shares with the engine the hash of distinct values only, so that estimates agree, too.
 */

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

export interface NaiveWorld {
  readonly events: readonly FeatureEvent[];
  readonly sourceIds: ReadonlyMap<string, number>;
  /** What the filters mean, by their text. */
  readonly filters: ReadonlyMap<string, (event: FeatureEvent) => boolean>;
}

export function naiveHop(windowMs: number): number {
  if (windowMs < 12 * HOUR_MS) return 5 * MINUTE_MS;
  return windowMs < 12 * DAY_MS ? HOUR_MS : DAY_MS;
}

export function naiveValue(definition: FeatureDefinition, world: NaiveWorld, t: number): NaiveValue {
  const { numerator, denominator } = definition.options ?? {};
  if (numerator !== undefined && denominator !== undefined) {
    return naiveRatio(naiveValue(numerator, world, t), naiveValue(denominator, world, t));
  }
  const rows = world.events
    .filter((event) => event.occurredAt < t && matches(definition, event, world) && inWindow(definition, event, t))
    .sort(canonical);
  const newest = (list: readonly FeatureEvent[]): number | null => list.at(-1)?.occurredAt ?? null;
  if (definition.options?.by !== undefined) return naiveKeyedValue(definition, rows, t);
  switch (definition.aggregate) {
    case 'count':
      return found(rows.length, newest(rows));
    case 'sum':
    case 'avg': {
      const usable = rows.filter((row) => Math.abs(numberIn(definition, row)) <= 1e12);
      const approximate = rows.some((row) => !usable.includes(row) && (pathValue(definition, row) ?? null) !== null);
      const micros = usable.reduce((sum, row) => sum + microsOf(numberIn(definition, row)), 0n);
      if (definition.aggregate === 'sum') return found(nearest(micros, 1e6), newest(usable), approximate);
      if (usable.length === 0) return { ...absent(), approximate };
      return found(nearest(micros, 1e6 * usable.length), newest(usable), approximate);
    }
    case 'min':
    case 'max': {
      const usable = rows.filter((row) => Number.isFinite(numberIn(definition, row)));
      if (usable.length === 0) return absent();
      const values = usable.map((row) => numberIn(definition, row));
      return found(definition.aggregate === 'min' ? Math.min(...values) : Math.max(...values), newest(usable));
    }
    case 'first':
    case 'last': {
      const row = definition.aggregate === 'first' ? rows[0] : rows.at(-1);
      return row === undefined ? absent() : rowValue(definition, row);
    }
    case 'distinct': {
      const usable = rows.filter((row) => ['string', 'number', 'boolean'].includes(typeof pathValue(definition, row)));
      const values = new Set(usable.map((row) => pathValue(definition, row)) as (string | number | boolean)[]);
      if (values.size <= 256) return found(values.size, newest(usable));
      return found(estimate(values), newest(usable), true);
    }
    case 'recency': {
      const last = newest(rows);
      return last === null ? absent() : found(Math.floor((t - last) / (definition.unitMs ?? NaN)), last);
    }
    case 'times': {
      const times = rows.map((row) => row.occurredAt).reverse();
      return found(times.slice(0, definition.limit ?? NaN), newest(rows));
    }
    case 'row': {
      const [winner] = rows.toSorted(
        (a, b) =>
          b.occurredAt - a.occurredAt || createdAt(definition, b) - createdAt(definition, a) || -canonical(a, b),
      );
      if (winner === undefined) return absent();
      const isStale = winner.occurredAt < t - 1 - (definition.options?.ttlMs ?? Infinity);
      if (!isStale) return rowValue(definition, winner);
      return { status: 'OUTSIDE_MAX_AGE', value: null, eventTs: winner.occurredAt, approximate: false };
    }
    default:
      return isOfRing(definition) || naiveCalendarHop(definition) !== null
        ? naiveSequence(definition, rows, world.filters)
        : naiveKeyedValue(definition, rows, t);
  }
}

/** Every instant after `t` at which the value could change, for windows, and for recency up to `units` whole units. */
export function naiveInstants(definition: FeatureDefinition, world: NaiveWorld, t: number, units: number): number[] {
  const instants = new Set<number>();
  for (const { occurredAt } of world.events) {
    const { windowMs, unitMs } = definition;
    if (windowMs !== null) {
      const hop = hopOf(definition, windowMs);
      instants.add(hop === 0 ? occurredAt + windowMs : (Math.floor(occurredAt / hop) + 1) * hop + windowMs);
    }
    const { ttlMs } = definition.options ?? {};
    if (ttlMs !== undefined) instants.add(occurredAt + ttlMs + 2);
    for (let unit = 1; unitMs !== null && unit <= units; unit++) instants.add(occurredAt + unit * unitMs);
  }
  return [...instants].filter((instant) => instant > t).sort((a, b) => a - b);
}

function canonical(a: FeatureEvent, b: FeatureEvent): number {
  return (
    a.occurredAt - b.occurredAt ||
    a.sourceId - b.sourceId ||
    (a.messageId < b.messageId ? -1 : a.messageId > b.messageId ? 1 : 0)
  );
}

function matches(definition: FeatureDefinition, event: FeatureEvent, world: NaiveWorld): boolean {
  if (definition.events.length > 0 && definition.options?.others !== true && !definition.events.includes(event.name))
    return false;
  if (definition.source !== null && world.sourceIds.get(definition.source) !== event.sourceId) return false;
  return definition.where === null || world.filters.get(definition.where)?.(event) === true;
}

/** 0: exact to the millisecond. */
function hopOf(definition: FeatureDefinition, windowMs: number): number {
  if (['times', 'recency'].includes(definition.aggregate) || isOfRing(definition)) return 0;
  return Math.min(naiveHop(windowMs), naiveCalendarHop(definition) ?? Infinity);
}

function inWindow(definition: FeatureDefinition, event: FeatureEvent, t: number): boolean {
  const { windowMs } = definition;
  const h = definition.options?.halfLifeMs;
  if (h !== undefined) return Math.floor(event.occurredAt / h) >= Math.floor(t / h) - 64;
  if (windowMs === null) return true;
  const hop = hopOf(definition, windowMs);
  if (hop === 0) return event.occurredAt > t - windowMs;
  return event.occurredAt >= Math.floor((t - windowMs) / hop) * hop;
}

/** Times of creation are ms here, or ISO 8601. */
function createdAt({ options }: FeatureDefinition, { properties, acceptedAt = 0 }: FeatureEvent): number {
  const written = options?.created === undefined ? undefined : properties[options.created.slice('properties.'.length)];
  if (typeof written === 'number') return written;
  return typeof written === 'string' && written.endsWith('Z') ? Date.parse(written) : acceptedAt;
}

function rowValue(definition: FeatureDefinition, row: FeatureEvent): NaiveValue {
  const value = pathValue(definition, row);
  const type = { string: 'string', bool: 'boolean', double: 'number', int: 'number' }[definition.type as string];
  const fits = typeof value === type && (definition.type !== 'int' || Number.isSafeInteger(value));
  if (!fits) return { status: 'NULL_VALUE', value: null, eventTs: row.occurredAt, approximate: false };
  return found(value as string | number | boolean, row.occurredAt);
}

/** HyperLogLog without windows, registers filled one by one; the raw estimate with linear counting for small sets. */
function estimate(values: ReadonlySet<string | number | boolean>): number {
  const registers = new Array<number>(4096).fill(0);
  for (const value of values) {
    const bits = hashValue(value).toString(2).padStart(48, '0');
    const register = Number.parseInt(bits.slice(0, 12), 2);
    const rank = (bits.slice(12) + '1').indexOf('1') + 1;
    registers[register] = Math.max(registers[register] ?? 0, rank);
  }
  const zeros = registers.filter((rank) => rank === 0).length;
  return 4096 * Math.log(4096 / zeros);
}
