import type { FeatureExpectations } from './expectation.model.js';
import type { JsonValue } from '../events/event.model.js';

export const AGGREGATES = [
  'count',
  'sum',
  'avg',
  'min',
  'max',
  'first',
  'last',
  'distinct',
  'recency',
  'times',
  'last_events',
  'session_count',
  'session_depth',
  'session_duration',
  'session_entropy',
  'inter_event',
  'funnel',
  'hour_of_week',
  'frequency',
  'row',
  'variance',
  'stddev',
  'percentile',
  'last_n',
  'top_k',
  'entropy',
  'decayed_sum',
  'affinity',
  'rate',
  'ratio',
  'on_demand',
] as const;
export type Aggregate = (typeof AGGREGATES)[number];

/** Those that are written with a feature; `row` and `on_demand` are what features of views of other kinds have. */
export const WRITTEN_AGGREGATES = AGGREGATES.filter((aggregate) => aggregate !== 'row' && aggregate !== 'on_demand');

/** Types of one value. */
export const ITEM_TYPES = ['string', 'int', 'double', 'bool', 'timestamp'] as const;
export type ItemType = (typeof ITEM_TYPES)[number];

const LIST_TYPES = ['string_list', 'int_list', 'double_list', 'bool_list', 'timestamp_list'] as const;
/** Maps from text to a number. */
const MAP_TYPES = ['int_map', 'double_map'] as const;

/** `times`: a list of event times, ms, newest first. */
export const FEATURE_TYPES = [...ITEM_TYPES, 'times', ...LIST_TYPES, ...MAP_TYPES] as const;
export type FeatureType = (typeof FEATURE_TYPES)[number];

/** Type of the items of a list or of the values of a map; null: the type is of one value, or times. */
export function itemTypeOf(type: FeatureType): ItemType | null {
  const item = ITEM_TYPES.find((name) => type === `${name}_list` || type === `${name}_map`);
  return item ?? null;
}

export function isMapType(type: FeatureType): type is (typeof MAP_TYPES)[number] {
  return (MAP_TYPES as readonly string[]).includes(type);
}

export function isItemType(type: FeatureType): type is ItemType {
  return (ITEM_TYPES as readonly string[]).includes(type);
}

/** Fields that only some aggregates take; `aggregate.model.ts` says which. All that is left out is undefined. */
export interface FeatureOptions {
  /** Dotted path of what events are grouped by, as `properties.category`. */
  readonly by?: string;
  /** The one key of a map that is read, as a number. */
  readonly key?: string;
  /** row: dotted path of the time at which a record was created; left out: when it was accepted. */
  readonly created?: string;
  /** row: how long a row counts, ms, both bounds inclusive; left out: for ever. */
  readonly ttlMs?: number;
  /** last_events: whether events that are not named are in the sequence, as token 0. */
  readonly others?: boolean;
  /** Sessions: an event that comes as much later than the one before begins another, ms. */
  readonly gapMs?: number;
  /** Sessions, inter_event, affinity: which of many values; left out: the first that the aggregate has. */
  readonly of?: Summary;
  /** funnel: the steps, first to last. */
  readonly steps?: readonly FunnelStep[];
  /** funnel: the last step counts at most so long after the first, ms. */
  readonly withinMs?: number;
  /** hour_of_week, frequency: zone of the wall clock, as `Europe/Berlin`; left out: UTC. */
  readonly zone?: string;
  /** hour_of_week: the days whose share is asked for. */
  readonly days?: readonly Weekday[];
  /** hour_of_week: the first and last hour of the day whose share is asked for, 0 … 23; the last may be the less. */
  readonly hours?: readonly [number, number];
  /** percentile: which one, 0…1. */
  readonly p?: number;
  /** In what time an event comes to count half. */
  readonly halfLifeMs?: number;
  /** ratio: what is divided. */
  readonly numerator?: FeatureDefinition;
  /** ratio: what it is divided by. */
  readonly denominator?: FeatureDefinition;
  /** on_demand: how it is computed, in the language of segments over `f` and `request`. */
  readonly expression?: string;
  /** on_demand: what whoever asks may say, as the view declares it. */
  readonly request?: readonly RequestField[];
  /** on_demand: the features that the expression reads, by name. Left out until definitions are linked. */
  readonly inputs?: readonly FeatureDefinition[];
}

/** A value that comes with the request rather than from events. */
export interface RequestField {
  readonly name: string;
  readonly type: ItemType;
  /** Taken where the request does not give it; left out: it is absent then. */
  readonly default?: Item;
}

/** Values that come with a request, by name; times in ms. Those of no field that is read do not matter. */
export type RequestValues = ReadonlyMap<string, Item>;

/** Which of the values that a window has, or what of them all; of an affinity, how it is counted. */
export const SUMMARIES = ['last', 'mean', 'min', 'stddev', 'share', 'weight'] as const;
export type Summary = (typeof SUMMARIES)[number];

/** Days of the week as they are written, Monday first. */
export const WEEKDAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;
export type Weekday = (typeof WEEKDAYS)[number];

export interface FunnelStep {
  /** Name of the event. */
  readonly event: string;
  /** A further condition, as in {@link FeatureDefinition.where}; null: none. */
  readonly where: string | null;
}

/** One feature of a view, validated. The written form is YAML; `parse-features.ts` makes these. */
export interface FeatureDefinition {
  /** Unique over all views; `[a-z][a-z0-9_]{0,62}`. */
  readonly name: string;
  readonly view: string;
  readonly description: string;
  readonly aggregate: Aggregate;
  /** Names of events that count ({@link LoggedEvent.name}); empty: every event. */
  readonly events: readonly string[];
  /** Key of the source the events must come from; null: any. */
  readonly source: string | null;
  /** CEL over `properties`, `traits`, `context`, `type`, `name`; null: no further filter. An error counts as false. */
  readonly where: string | null;
  /** Dotted path of the value that is aggregated, as `properties.total`; null for count, recency and times. */
  readonly value: string | null;
  /** Window length in ms; null: lifetime. */
  readonly windowMs: number | null;
  /**
   * recency: the unit in ms that the age is floored to (so that its value stays put between whole units).
   * Null for aggregates that have no unit.
   */
  readonly unitMs: number | null;
  /** times: how many of the latest matching event times are kept, 1…32. Null for aggregates that have no limit. */
  readonly limit: number | null;
  readonly type: FeatureType;
  /** Left out where the aggregate takes none of them. */
  readonly options?: FeatureOptions;
  /** Whether profiles can be found by it; left out: they cannot. */
  readonly searchable?: boolean;
}

export const FEATURE_STATUSES = ['PRESENT', 'NULL_VALUE', 'NOT_FOUND', 'OUTSIDE_MAX_AGE'] as const;
export type FeatureStatus = (typeof FEATURE_STATUSES)[number];

/**
 * Whether a value is too old for who asks. One read at `t` is as of `t − 1`, as in training sets: what happened `maxAgeMs`
 * before that still counts.
 *
 * @param ageMs from its newest event to `t`; null: it has none
 */
export function isOlderThan(
  { status, ageMs }: { readonly status: string; readonly ageMs: number | null },
  maxAgeMs: number,
): boolean {
  return ageMs !== null && ageMs - 1 > maxAgeMs && (status === 'PRESENT' || status === 'NULL_VALUE');
}

export type Item = string | number | boolean;

/** A feature's value as of an instant `t`: it has seen the events with `occurredAt < t`, no others. */
export interface FeatureValue {
  readonly status: FeatureStatus;
  /** int, double, timestamp (ms): number; times: ms, newest first; lists; maps by key; null unless PRESENT. */
  readonly value: Item | readonly Item[] | Readonly<Record<string, number>> | null;
  /** Time of the newest event in the value, ms; null if there is none. */
  readonly eventTs: number | null;
  /** The next instant, ms, at which time alone can change the value; Infinity if never. */
  readonly validUntil: number;
  /** True where a bound was reached and the value is an estimate. */
  readonly approximate: boolean;
}

export function isList(value: FeatureValue['value']): value is readonly Item[] {
  return Array.isArray(value);
}

/** What an aggregator needs of an event. A LoggedEvent is one. */
export interface FeatureEvent {
  readonly type: string;
  readonly name: string;
  readonly sourceId: number;
  readonly messageId: string;
  readonly occurredAt: number;
  /** When the log took it, ms. */
  readonly acceptedAt?: number;
  readonly properties: Record<string, JsonValue>;
  readonly traits: Record<string, JsonValue>;
  readonly context: Record<string, JsonValue>;
}

export const DEFINITION_KINDS = ['view', 'service', 'entity'] as const;
/** What is defined under a name of its own, in versions. */
export type DefinitionKind = (typeof DEFINITION_KINDS)[number];

/** What a definition says of itself, for people. */
export interface DefinitionMetadata {
  readonly description: string;
  /** Who answers for it, as a team; left out: nobody is named. */
  readonly owner?: string;
  readonly tags?: readonly string[];
}

/** Features that are defined together. */
export interface FeatureView extends DefinitionMetadata {
  readonly name: string;
  /** Key of the source that the events of its features must come from; null: any. */
  readonly source: string | null;
  /**
   * `batch`: its features are columns of the newest record; `on_demand`: they are computed from other features and the
   * request when they are read; left out: aggregates of events.
   */
  readonly kind?: 'batch' | 'on_demand';
  /** Batch and stream views: what the features are of; left out: people. */
  readonly entity?: string;
  /** Stream views of an entity: path of the key of the item that an event is about, as `properties.article`. */
  readonly key?: string;
  readonly features: readonly FeatureDefinition[];
  /** What somebody has to allow for these features to be used; left out: nothing. */
  readonly purposes?: readonly string[];
  /** What is expected of their values over people; left out: nothing. */
  readonly expect?: FeatureExpectations;
}

/** How a value that stands for missing ones was found in a training set. */
export const IMPUTE_STATISTICS = ['mean', 'median', 'most_frequent'] as const;
export type ImputeStatistic = (typeof IMPUTE_STATISTICS)[number];

/** What stands for a feature where it has no value. */
export interface Imputation {
  /** A number of any feature that is one, whole or not; of a timestamp ms. */
  readonly value: Item;
  /** Left out: it is a constant. */
  readonly statistic?: ImputeStatistic;
  /** SHA-256 of the manifest of the training set that the statistic is of, 64 hexadecimal digits. */
  readonly of?: string;
}

/** By name of the feature. */
export type Imputations = Readonly<Record<string, Imputation>>;

/** The ordered list of features that one model or consumer reads. */
export interface FeatureService extends DefinitionMetadata {
  readonly name: string;
  readonly features: readonly string[];
  /** What stands for features where they are missing; left out: nothing does. */
  readonly impute?: Imputations;
}

/** Whether the features of a view are those of people: what profiles, segments and models read. */
export function isOfPeople({ entity }: Pick<FeatureView, 'entity'>): boolean {
  return entity === undefined;
}
