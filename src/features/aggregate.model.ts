import {
  isMapType,
  type Aggregate,
  type FeatureDefinition,
  type FeatureOptions,
  type FeatureType,
  type FeatureValue,
  type ItemType,
  type Summary,
} from './feature.model.js';
import { MAX_RING, MAX_TIMES } from './stream.model.js';

/** Fields, as they are written, that only some aggregates take; `parse-option.ts` says how each is written. */
export const AGGREGATE_FIELDS = [
  'window',
  'value',
  'type',
  'unit',
  'limit',
  'others',
  'gap',
  'of',
  'steps',
  'within',
  'zone',
  'share_of',
  'hours',
  'by',
  'key',
  'p',
  'half_life',
  'numerator',
  'denominator',
] as const;
export type AggregateField = (typeof AGGREGATE_FIELDS)[number];

/** What may be written with an aggregate, and what follows from it. */
export interface AggregateRule {
  /** Fields that it cannot do without. `type` is never one: it is `string` where it is left out. */
  readonly needs: readonly AggregateField[];
  /** Fields that it may have besides. */
  readonly takes: readonly AggregateField[];
  /** What its `of` may be; the first is meant where none is written. */
  readonly summaries?: readonly Summary[];
  /** The units that it may have, ms, where not every duration will do. */
  readonly unitsMs?: readonly number[];
  /** The least that its unit may be, ms; left out: a minute. */
  readonly leastUnitMs?: number;
  /** Its unit where none is written, ms; left out: a day. */
  readonly defaultUnitMs?: number;
  /** The most that its limit may be. */
  readonly maxLimit?: number;
  /** Its limit where none is written; left out: none. */
  readonly defaultLimit?: number;
  /** @param written the type that was written with it, or `string` */
  typeOf(written: ItemType, options: FeatureOptions): FeatureType;
  /** What it gives while no event is in its window; null: nothing. A map is empty then. */
  readonly withoutEvents: 0 | null | readonly never[];
}

const SECOND_MS = 1_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;
/** How many of the latest events sessions, times between events and funnels are told from, unless it is written. */
const DEFAULT_RING = 128;
/** Items of a list at most. */
const MAX_LISTED = 100;
/** Keys of a map at most. */
const MAX_TILE_KEYS = 1_000;

const int = (): FeatureType => 'int';
const double = (): FeatureType => 'double';
const asWritten = (written: ItemType): FeatureType => written;

const RING_LIMIT = { maxLimit: MAX_RING, defaultLimit: DEFAULT_RING } as const;

/** The one table of what aggregates take. To add one, add a row. */
export const AGGREGATE_RULES: { readonly [A in Aggregate]: AggregateRule } = {
  count: byKey([], 'int', 0),
  sum: byKey(['value'], 'double', 0),
  avg: byKey(['value'], 'double', null),
  min: byKey(['value'], 'double', null),
  max: byKey(['value'], 'double', null),
  first: { needs: ['value'], takes: ['window', 'type'], typeOf: asWritten, withoutEvents: null },
  last: { needs: ['value'], takes: ['window', 'type'], typeOf: asWritten, withoutEvents: null },
  distinct: { needs: ['value'], takes: ['window'], typeOf: int, withoutEvents: 0 },
  recency: { needs: [], takes: ['window', 'unit'], typeOf: int, withoutEvents: null },
  times: {
    needs: ['limit'],
    takes: ['window'],
    maxLimit: MAX_TIMES,
    typeOf: () => 'times',
    withoutEvents: [],
  },
  last_events: {
    needs: ['limit'],
    takes: ['window', 'others'],
    maxLimit: MAX_RING,
    typeOf: () => 'int_list',
    withoutEvents: [],
  },
  session_count: {
    needs: ['gap'],
    takes: ['window', 'limit'],
    ...RING_LIMIT,
    typeOf: int,
    withoutEvents: 0,
  },
  session_depth: {
    needs: ['gap'],
    takes: ['window', 'limit', 'of'],
    ...RING_LIMIT,
    summaries: ['last', 'mean'],
    typeOf: (_written, { of }) => (of === 'mean' ? 'double' : 'int'),
    withoutEvents: null,
  },
  session_duration: {
    needs: ['gap'],
    takes: ['window', 'limit', 'of', 'unit'],
    ...RING_LIMIT,
    summaries: ['last', 'mean'],
    leastUnitMs: SECOND_MS,
    defaultUnitMs: SECOND_MS,
    typeOf: double,
    withoutEvents: null,
  },
  session_entropy: {
    needs: ['gap'],
    takes: ['window', 'limit'],
    ...RING_LIMIT,
    typeOf: double,
    withoutEvents: null,
  },
  inter_event: {
    needs: [],
    takes: ['window', 'limit', 'of', 'unit'],
    ...RING_LIMIT,
    summaries: ['mean', 'last', 'min', 'stddev'],
    leastUnitMs: SECOND_MS,
    typeOf: double,
    withoutEvents: null,
  },
  funnel: {
    needs: ['steps', 'within'],
    takes: ['window', 'limit'],
    ...RING_LIMIT,
    typeOf: int,
    withoutEvents: 0,
  },
  hour_of_week: {
    needs: ['window'],
    takes: ['zone', 'share_of', 'hours'],
    typeOf: (_written, { days, hours }) => (days === undefined && hours === undefined ? 'double_list' : 'double'),
    withoutEvents: null,
  },
  frequency: {
    needs: ['window'],
    takes: ['zone', 'unit'],
    unitsMs: [HOUR_MS, DAY_MS],
    typeOf: int,
    withoutEvents: 0,
  },
  row: { needs: ['value'], takes: ['type'], typeOf: asWritten, withoutEvents: null },
  variance: { needs: ['value'], takes: ['window'], typeOf: double, withoutEvents: null },
  stddev: { needs: ['value'], takes: ['window'], typeOf: double, withoutEvents: null },
  percentile: { needs: ['value', 'p'], takes: ['window'], typeOf: double, withoutEvents: null },
  last_n: {
    needs: ['value', 'limit'],
    takes: ['window', 'type'],
    maxLimit: MAX_LISTED,
    typeOf: (written) => `${written}_list`,
    withoutEvents: [],
  },
  top_k: {
    needs: ['value', 'limit'],
    takes: ['window'],
    maxLimit: MAX_LISTED,
    typeOf: () => 'string_list',
    withoutEvents: [],
  },
  entropy: { needs: ['value'], takes: ['window'], typeOf: double, withoutEvents: null },
  decayed_sum: { needs: ['half_life'], takes: ['value'], typeOf: double, withoutEvents: 0 },
  affinity: {
    needs: ['value', 'half_life'],
    takes: ['of', 'key', 'limit'],
    maxLimit: MAX_TILE_KEYS,
    summaries: ['share', 'weight'],
    typeOf: (_written, { key }) => (key === undefined ? 'double_map' : 'double'),
    withoutEvents: 0,
  },
  rate: { needs: ['window'], takes: ['unit'], typeOf: double, withoutEvents: 0 },
  ratio: { needs: ['numerator', 'denominator'], takes: [], typeOf: double, withoutEvents: null },
  on_demand: { needs: [], takes: ['type'], typeOf: asWritten, withoutEvents: null },
};

/** An aggregate that may be grouped: it gives a number, a map, or one key of the map. */
function byKey(needs: readonly AggregateField[], type: 'int' | 'double', withoutEvents: 0 | null): AggregateRule {
  return {
    needs,
    takes: ['window', 'by', 'key', 'limit'],
    maxLimit: MAX_TILE_KEYS,
    typeOf: (_written, { by, key }) => (by !== undefined && key === undefined ? `${type}_map` : type),
    withoutEvents,
  };
}

/** Whether the value changes with every millisecond. */
export function isFading({ aggregate, options }: FeatureDefinition): boolean {
  if (aggregate === 'decayed_sum') return true;
  if (aggregate === 'affinity') return options?.of === 'weight';
  const parts = [options?.numerator, options?.denominator, ...(options?.inputs ?? [])];
  return parts.some((part) => part !== undefined && isFading(part));
}

/** Whether the aggregate may have the field. */
export function takesField(aggregate: Aggregate, field: AggregateField): boolean {
  const { needs, takes } = AGGREGATE_RULES[aggregate];
  return needs.includes(field) || takes.includes(field);
}

/** What the feature is while no event is in its window; null: absent. */
export function valueWithoutEvents({ aggregate, type }: FeatureDefinition): FeatureValue['value'] {
  return isMapType(type) ? {} : AGGREGATE_RULES[aggregate].withoutEvents;
}
