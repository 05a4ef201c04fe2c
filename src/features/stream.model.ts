import { DECAY_HALF_LIVES } from './decay.model.js';
import { partsOf } from './derived-feature.js';
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
  | 'count'
  | 'moments'
  | 'min'
  | 'max'
  | 'first'
  | 'last'
  | 'distinct'
  | 'times'
  | 'ring'
  | 'row'
  | 'variance'
  | 'sketch'
  | 'rows'
  | 'decayed'
  | 'keyed_count'
  | 'keyed_moments'
  | 'keyed_min'
  | 'keyed_max'
  | 'weights';

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
/** Values that a stream of the latest ones keeps at most. */
const MAX_ROWS = 128;
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
  /** Path of the keys that events are grouped by; null: they are not. */
  readonly by: string | null;
  /** Length of a tile, ms; null: one tile for all time (lifetimes, and `times`, which has no tiles). */
  readonly hopMs: number | null;
  /** Tiles that end more than this before an instant are invisible from then on; null: kept for ever. */
  readonly retentionMs: number | null;
  /** `times`, `ring`, `rows`: how many of the latest events are kept; 0 for streams that are not bounded so. */
  readonly capacity: number;
  /** `ring`: what events are told apart by; left out: nothing. */
  readonly marks?: EventMarks;
  /** `row`: path of the time at which a record was created; left out: when it was accepted, and for other streams. */
  readonly created?: string;
}

/** What an aggregate's stream is, beyond the events that it sees. */
interface StreamShape {
  readonly kind: PartialKind;
  /** Whether the definition's value is folded in, or is what events are grouped by. Left out: it has none. */
  readonly value?: 'folded' | 'key';
  /** Left out: the window's hop. `none`: it has no tiles, and serves every window. */
  readonly tiles?: 'none' | 'half-life';
  readonly capacity?: (definition: FeatureDefinition) => number;
  /** Length that a tile must not exceed, ms, where that is less than the window's hop. */
  readonly longestTileMs?: (definition: FeatureDefinition) => number;
  readonly marks?: (definition: FeatureDefinition) => EventMarks;
}

const LATEST_TIMES: StreamShape = {
  kind: 'times',
  tiles: 'none',
  capacity: ({ limit }) => capacityFor(limit ?? 1, 1, MAX_TIMES),
};
const RING: StreamShape = {
  kind: 'ring',
  tiles: 'none',
  capacity: ({ limit }) => capacityFor(limit ?? 1, MIN_RING, MAX_RING),
};
const MOMENTS: StreamShape = { kind: 'moments', value: 'folded' };
const VARIANCE: StreamShape = { kind: 'variance', value: 'folded' };
const COUNT_BY_VALUE: StreamShape = { kind: 'keyed_count', value: 'key' };
const CALENDAR: StreamShape = { kind: 'count', longestTileMs: tileOfUnit };

/** The one table of which stream an aggregate reads. To add an aggregate, add a row. */
const SHAPES: { readonly [A in Aggregate]: StreamShape } = {
  count: { kind: 'count' },
  sum: MOMENTS,
  avg: MOMENTS,
  min: { kind: 'min', value: 'folded' },
  max: { kind: 'max', value: 'folded' },
  first: { kind: 'first', value: 'folded' },
  last: { kind: 'last', value: 'folded' },
  distinct: { kind: 'distinct', value: 'folded' },
  recency: LATEST_TIMES,
  times: LATEST_TIMES,
  last_events: { ...RING, marks: ({ events }) => ({ kind: 'tokens', names: [...new Set(events)] }) },
  session_count: RING,
  session_depth: RING,
  session_duration: RING,
  session_entropy: RING,
  inter_event: RING,
  funnel: { ...RING, marks: ({ options }) => ({ kind: 'steps', steps: options?.steps ?? [] }) },
  hour_of_week: CALENDAR,
  frequency: CALENDAR,
  row: { kind: 'row', value: 'folded', tiles: 'none' },
  variance: VARIANCE,
  stddev: VARIANCE,
  percentile: { kind: 'sketch', value: 'folded' },
  last_n: { kind: 'rows', value: 'folded', capacity: ({ limit }) => capacityFor(limit ?? 1, 1, MAX_ROWS) },
  top_k: COUNT_BY_VALUE,
  entropy: COUNT_BY_VALUE,
  decayed_sum: { kind: 'decayed', value: 'folded', tiles: 'half-life' },
  affinity: { kind: 'weights', value: 'key', tiles: 'half-life' },
  // Those below read streams of other aggregates.
  rate: { kind: 'count' },
  ratio: { kind: 'count' },
  on_demand: { kind: 'count' },
};

/** What aggregates read where events are grouped. */
const SHAPES_BY_KEY: { readonly [A in Aggregate]?: StreamShape } = {
  count: { kind: 'keyed_count' },
  sum: { kind: 'keyed_moments', value: 'folded' },
  avg: { kind: 'keyed_moments', value: 'folded' },
  min: { kind: 'keyed_min', value: 'folded' },
  max: { kind: 'keyed_max', value: 'folded' },
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

/** The stream that gives a feature's value. A function of this one definition, which is not derived from others. */
export function streamOf(definition: FeatureDefinition): StreamSpec {
  const { aggregate, source, options } = definition;
  const shape = (options?.by === undefined ? undefined : SHAPES_BY_KEY[aggregate]) ?? SHAPES[aggregate];
  const { kind } = shape;
  const events = options?.others === true ? [] : [...new Set(definition.events)].sort();
  const where = definition.where === null ? null : definition.where.trim();
  const value = shape.value === 'folded' ? definition.value : null;
  const by = shape.value === 'key' ? definition.value : (options?.by ?? null);
  const capacity = shape.capacity?.(definition) ?? 0;
  const { hopMs, retentionMs } = tilesOf(definition, shape);
  const marks = shape.marks?.(definition);
  const created = kind === 'row' ? options?.created : undefined;
  const told = [...keyOfMarks(marks), ...[by ?? created].filter((path) => path !== undefined)];
  const key = JSON.stringify([kind, events, source, where, value, hopMs, retentionMs, capacity, ...told]);
  const spec = { key, kind, events, source, where, value, by, hopMs, retentionMs, capacity };
  if (created !== undefined) return { ...spec, created };
  return marks === undefined ? spec : { ...spec, marks };
}

function tilesOf(definition: FeatureDefinition, shape: StreamShape): Pick<StreamSpec, 'hopMs' | 'retentionMs'> {
  const { windowMs, options } = definition;
  const halfLifeMs = options?.halfLifeMs;
  if (shape.tiles === 'half-life' && halfLifeMs !== undefined) {
    return { hopMs: halfLifeMs, retentionMs: DECAY_HALF_LIVES * halfLifeMs };
  }
  if (shape.tiles === 'none' || windowMs === null) return { hopMs: null, retentionMs: null };
  const hop = hopClass(windowMs);
  const hopMs = Math.min(hop.hopMs, shape.longestTileMs?.(definition) ?? Infinity);
  return { hopMs, retentionMs: hop.retentionsMs.find((ms) => ms >= windowMs) ?? null };
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
  for (const definition of definitions.flatMap(readingsOf)) {
    const stream = streamOf(definition);
    byKey.set(stream.key, stream);
  }
  return [...byKey.values()].sort((a, b) => (a.key < b.key ? -1 : 1));
}

/** The definitions whose streams a feature reads: its own, or those of its parts; none before it is linked to them. */
export function readingsOf(definition: FeatureDefinition): readonly FeatureDefinition[] {
  const parts = partsOf(definition);
  return parts.length === 0 && definition.aggregate !== 'on_demand' ? [definition] : parts.flatMap(readingsOf);
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
