import type { EventMarks } from './event-marks.js';
import type { Aggregate, FeatureDefinition } from './feature.model.js';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/**
 * What a stream keeps. `moments` give sums and averages, `times` give recencies, too, `count` what is told from hours and
 * days, and a `ring` what follows from the order of the latest events.
 */
export type PartialKind =
  'count' | 'moments' | 'min' | 'max' | 'first' | 'last' | 'distinct' | 'times' | 'ring' | 'row';

export const MIN_WINDOW_MS = 5 * MINUTE_MS;
/** A longer past is a lifetime. Three years, each counted with a leap day. */
export const MAX_WINDOW_MS = 3 * 366 * DAY_MS;
/** Stream ids fill a positive `smallint`. */
export const MAX_STREAM_ID = 32_767;
/** Event times that an exact stream keeps at most. */
export const MAX_TIMES = 32;
/** Events that a ring keeps at most, and the least that it has room for. */
export const MAX_RING = 256;
const MIN_RING = 4;
const QUARTER_HOUR_MS = 15 * MINUTE_MS;

/** Sawtooth hops, as in Chronon, and how long the tiles of each are kept: the longest window that may read them. */
const HOPS = [
  { hopMs: 5 * MINUTE_MS, belowMs: 12 * HOUR_MS, retentionsMs: [12 * HOUR_MS] },
  { hopMs: HOUR_MS, belowMs: 12 * DAY_MS, retentionsMs: [12 * DAY_MS] },
  { hopMs: DAY_MS, belowMs: Infinity, retentionsMs: [92 * DAY_MS, 366 * DAY_MS, MAX_WINDOW_MS] },
] as const;

/**
 * One partial aggregate, shared by all features whose values it can give.
 *
 * `key` says everything that decides the content: equal keys mean equal content, whatever features read it. That is
 * why the retention and the capacity are part of it, in steps: a new feature with a longer window either finds tiles
 * that reach back far enough or has a stream of its own, which is then backfilled.
 */
export interface StreamSpec {
  readonly key: string;
  readonly kind: PartialKind;
  /** Sorted, unique; empty: every event. */
  readonly events: readonly string[];
  readonly source: string | null;
  readonly where: string | null;
  readonly value: string | null;
  /** Length of a tile, ms; null: one tile for all time (lifetimes, and `times`, which has no tiles). */
  readonly hopMs: number | null;
  /** Tiles that end more than this before an instant are invisible from then on; null: kept for ever. */
  readonly retentionMs: number | null;
  /** `times`, `ring`: how many of the latest events are kept; 0 for streams that are not bounded so. */
  readonly capacity: number;
  /** `ring`: what events are told apart by; left out: nothing. */
  readonly marks?: EventMarks;
  /** `row`: path of the time at which a record was created; left out: when it was accepted, and for other streams. */
  readonly created?: string;
}

/** What an aggregate's stream is, beyond the events that it sees. */
interface StreamShape {
  readonly kind: PartialKind;
  /** Whether the definition's value is folded in. */
  readonly valued: boolean;
  /** Left out: the window's hop. `none`: it has no tiles, and serves every window. */
  readonly tiles?: 'none';
  readonly capacity?: (definition: FeatureDefinition) => number;
  /** Length that a tile must not exceed, ms, where that is less than the window's hop. */
  readonly longestTileMs?: (definition: FeatureDefinition) => number;
  readonly marks?: (definition: FeatureDefinition) => EventMarks;
}

const LATEST_TIMES: StreamShape = {
  kind: 'times',
  valued: false,
  tiles: 'none',
  capacity: ({ limit }) => capacityFor(limit ?? 1, 1, MAX_TIMES),
};
const RING: StreamShape = {
  kind: 'ring',
  valued: false,
  tiles: 'none',
  capacity: ({ limit }) => capacityFor(limit ?? 1, MIN_RING, MAX_RING),
};
const CALENDAR: StreamShape = { kind: 'count', valued: false, longestTileMs: tileOfUnit };

/** The one table of which stream an aggregate reads. To add an aggregate, add a row. */
const SHAPES: { readonly [A in Aggregate]: StreamShape } = {
  count: { kind: 'count', valued: false },
  sum: { kind: 'moments', valued: true },
  avg: { kind: 'moments', valued: true },
  min: { kind: 'min', valued: true },
  max: { kind: 'max', valued: true },
  first: { kind: 'first', valued: true },
  last: { kind: 'last', valued: true },
  distinct: { kind: 'distinct', valued: true },
  recency: LATEST_TIMES,
  times: LATEST_TIMES,
  last_events: { ...RING, marks: ({ events }) => ({ kind: 'tokens', names: [...new Set(events)] }) },
  session_count: RING,
  session_depth: RING,
  session_duration: RING,
  inter_event: RING,
  funnel: { ...RING, marks: ({ options }) => ({ kind: 'steps', steps: options?.steps ?? [] }) },
  hour_of_week: CALENDAR,
  frequency: CALENDAR,
  row: { kind: 'row', valued: true, tiles: 'none' },
};

/** Number of the tile that holds the instant `ts`. */
export function tileOf(ts: number, hopMs: number | null): number {
  return hopMs === null ? 0 : Math.floor(ts / hopMs);
}

/** Number of the first tile that a window of `windowMs` sees at `t`: the window covers `[floor(t − windowMs, hop), t)`. */
export function firstTileSeen(t: number, windowMs: number | null, hopMs: number | null): number {
  return hopMs === null || windowMs === null ? -Infinity : Math.floor((t - windowMs) / hopMs);
}

/** The instant from which on a window of `windowMs` no longer sees a tile; Infinity for a lifetime. */
export function departureOf(tile: number, windowMs: number | null, hopMs: number | null): number {
  return hopMs === null || windowMs === null ? Infinity : (tile + 1) * hopMs + windowMs;
}

/** The stream that gives a feature's value. A function of this one definition. */
export function streamOf(definition: FeatureDefinition): StreamSpec {
  const shape = SHAPES[definition.aggregate];
  const { kind } = shape;
  const events = definition.options?.others === true ? [] : [...new Set(definition.events)].sort();
  const source = definition.source;
  const where = definition.where === null ? null : definition.where.trim();
  const value = shape.valued ? definition.value : null;
  const capacity = shape.capacity?.(definition) ?? 0;
  const windowMs = shape.tiles === 'none' ? null : definition.windowMs;
  const hop = windowMs === null ? undefined : hopClass(windowMs);
  const hopMs = hop === undefined ? null : Math.min(hop.hopMs, shape.longestTileMs?.(definition) ?? Infinity);
  const retentionMs = hop?.retentionsMs.find((ms) => ms >= (windowMs ?? 0)) ?? null;
  const marks = shape.marks?.(definition);
  const created = kind === 'row' ? definition.options?.created : undefined;
  const parts = [kind, events, source, where, value, hopMs, retentionMs, capacity, ...keyOfMarks(marks)];
  const key = JSON.stringify(created === undefined ? parts : [...parts, created]);
  const spec = { key, kind, events, source, where, value, hopMs, retentionMs, capacity };
  if (created !== undefined) return { ...spec, created };
  return marks === undefined ? spec : { ...spec, marks };
}

function keyOfMarks(marks: EventMarks | undefined): unknown[] {
  if (marks === undefined) return [];
  return marks.kind === 'tokens'
    ? [marks.kind, marks.names]
    : [marks.kind, marks.steps.map(({ event, where }) => [event, where])];
}

/**
 * The longest tile that lies within one of the units that a feature tells apart. The hours and days of the wall clocks
 * in use begin at a quarter of an hour of UTC. Which of them begin at full hours is left to the data of the zones: those
 * change with the runtime, and streams must not.
 */
function tileOfUnit({ aggregate, unitMs, options }: FeatureDefinition): number {
  if (options?.zone !== undefined && options.zone !== 'UTC') return QUARTER_HOUR_MS;
  return aggregate === 'frequency' ? (unitMs ?? DAY_MS) : HOUR_MS;
}

/** The distinct streams of some definitions, sorted by key. */
export function streamsOf(definitions: readonly FeatureDefinition[]): StreamSpec[] {
  const byKey = new Map<string, StreamSpec>();
  for (const definition of definitions) {
    const stream = streamOf(definition);
    byKey.set(stream.key, stream);
  }
  return [...byKey.values()].sort((a, b) => (a.key < b.key ? -1 : 1));
}

function hopClass(windowMs: number): (typeof HOPS)[number] {
  for (const hop of HOPS) if (windowMs < hop.belowMs && windowMs <= MAX_WINDOW_MS) return hop;
  throw new RangeError(`a window of ${String(windowMs)} ms is longer than ${String(MAX_WINDOW_MS)} ms`);
}

/** Powers of two, so that nearby limits share a stream without one feature's limit deciding another's stream. */
function capacityFor(limit: number, least: number, most: number): number {
  let capacity = least;
  while (capacity < limit && capacity < most) capacity *= 2;
  return capacity;
}
