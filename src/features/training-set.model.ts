import { hash } from 'node:crypto';
import type { Uuid } from '../platform/ids.js';
import {
  isOlderThan,
  type FeatureDefinition,
  type FeatureType,
  type FeatureValue,
  type Imputations,
} from './feature.model.js';
import { imputationOf } from './impute.model.js';
import type { Split } from './split.model.js';

/** Who, as of when, and what came of it. */
export interface LabelRow {
  readonly ns: string;
  /** As the sender writes it; normalised like the identifiers of events. */
  readonly value: string;
  /** T, ms: events that occurred up to here, inclusive, count. */
  readonly timeMs: number;
  /** Cells that are handed through as they are: the label, then whatever else the file has. */
  readonly cells: readonly string[];
}

/**
 * What a training set may know of the past.
 *
 * - `now`: everything that is known today, late events and later merges included;
 * - `event-time`: for each row what was known at its own T, which is what was served online at that instant;
 * - a number, ms: what was known at this one instant.
 *
 * Knowledge is of events (by acceptance) and of identity (by the evidence for it) alike.
 */
export type KnownAsOf = 'now' | 'event-time' | number;

/**
 * By when somebody has to have allowed what features need.
 *
 * - `now`: at each row's own T, and now: nobody is in a set made today who has withdrawn since;
 * - `time`: at T alone, as it was served at that instant.
 */
export type ConsentAsOf = (typeof CONSENTS_AS_OF)[number];
export const CONSENTS_AS_OF = ['now', 'time'] as const;

export const ENTITY_STATUSES = ['FOUND', 'NOT_FOUND', 'INVALID', 'WITHHELD'] as const;
/**
 * `WITHHELD`: found, but the person did not allow at that time, or does not allow now, what some features need, which have
 * no value.
 * `NOT_FOUND`: nobody has been seen under the identifier, as far as known. `INVALID`: it can stand for nobody.
 */
export type EntityStatus = (typeof ENTITY_STATUSES)[number];

/** A row as far as files have it. */
export interface WrittenRow {
  readonly label: LabelRow;
  readonly status: EntityStatus;
  /** The profile that the identifier stands for today, whatever was known at T: to keep a person's rows together. */
  readonly profileId: Uuid | null;
  /** In the order of the plan's features. Of somebody unknown: what the features are before anything happened. */
  readonly values: readonly Pick<FeatureValue, 'value'>[];
  /** Names of the features whose values are imputed; left out: nothing is to be. */
  readonly imputed?: readonly string[];
}

/** One label row with its features. */
export interface TrainingRow extends WrittenRow {
  readonly values: readonly FeatureValue[];
}

/** A feature to be exported, in the version of its view. */
export interface PlannedFeature {
  readonly definition: FeatureDefinition;
  readonly viewVersion: number;
  /** What it is of, if not of people. */
  readonly entity?: string;
  /** Of an entity, where it is computed from events: what its view means, by which the events of items are found. */
  readonly fold?: Uuid;
  /** What somebody has to allow for it to be used; left out: nothing. */
  readonly purposes?: readonly string[];
  /** How old its value may be at T, ms, inclusive; left out: of any age. */
  readonly maxAgeMs?: number;
  /** Whether its values may say who somebody is, so that none is told where rows are summed up. */
  readonly isPersonal?: boolean;
}

/** What an export rests on; settled before the first row. */
export interface TrainingSetPlan {
  readonly features: readonly PlannedFeature[];
  readonly service: { readonly name: string; readonly version: number } | null;
  readonly knownAsOf: KnownAsOf;
  readonly consentAsOf: ConsentAsOf;
  /** Whether columns are called by view and feature, as `customer__tier`. */
  readonly fullNames: boolean;
  /** Events of the log up to this position are in. */
  readonly toPos: number;
  /** Accepted events that were not applied yet and are left out. */
  readonly waitingEvents: number;
  /** What rows get where values are missing; left out: they stay missing. */
  readonly imputed?: Imputations;
}

/** Where the log was cut, and when, for all rows of one export alike. */
export interface ExportCut {
  readonly toPos: number;
  /** When the export began, ms. */
  readonly nowMs: number;
}

/** Names of the columns that stand before the features; a labels file may not use the last two. */
export const ENTITY_COLUMNS = ['ns', 'value', 'time'] as const;
export const OUTCOME_COLUMNS = ['profile_id', 'entity_status'] as const;

/** Where rows are parted: after those two. */
const SPLIT_COLUMN = 'split';
/** Which features of a row are imputed: the last column. */
const IMPUTED_COLUMN = 'imputed_features';

export interface TrainingColumn {
  readonly name: string;
  readonly type: FeatureType;
}

/** What a cell of a file holds; its kind follows from the column's type. Times and timestamps are ms. */
export type TrainingCell = FeatureValue['value'];

/**
 * The cells of a row: entity, T, label and what else the labels file had, profile and status, features.
 * @param passed types of the label cells, as the whole file has them
 * @param split the part that the row is in; left out: rows are not parted
 */
export function cellsOf(row: WrittenRow, passed: readonly TrainingColumn[], split?: Split | null): TrainingCell[] {
  const { ns, value, timeMs, cells } = row.label;
  return [
    ns,
    value,
    timeMs,
    ...passed.map(({ type }, i) => typedCell(cells[i] ?? '', type)),
    row.profileId,
    row.status,
    ...(split === undefined ? [] : [split]),
    ...row.values.map((feature) => feature.value),
    ...(row.imputed === undefined ? [] : [row.imputed]),
  ];
}

/** The columns that {@link cellsOf} gives cells for. */
export function columnsOf(
  plan: TrainingSetPlan,
  passed: readonly TrainingColumn[],
  isSplit: boolean,
): TrainingColumn[] {
  return [
    { name: 'ns', type: 'string' },
    { name: 'value', type: 'string' },
    { name: 'time', type: 'timestamp' },
    ...passed,
    { name: 'profile_id', type: 'string' },
    { name: 'entity_status', type: 'string' },
    ...(isSplit ? [{ name: SPLIT_COLUMN, type: 'string' as const }] : []),
    ...plan.features.map(({ definition: { name, view, type } }) => ({
      name: plan.fullNames ? `${view}__${name}` : name,
      type,
    })),
    ...(plan.imputed === undefined ? [] : [{ name: IMPUTED_COLUMN, type: 'string_list' as const }]),
  ];
}

/** The values at T, but for those that are older than their features may be. */
export function withinAges(
  values: readonly FeatureValue[],
  features: readonly PlannedFeature[],
  timeMs: number,
): FeatureValue[] {
  return values.map((value, i) => {
    const { maxAgeMs = Infinity } = features[i] ?? {};
    const ageMs = value.eventTs === null ? null : timeMs + 1 - value.eventTs;
    return isOlderThan({ status: value.status, ageMs }, maxAgeMs)
      ? { ...value, status: 'OUTSIDE_MAX_AGE', value: null }
      : value;
  });
}

/**
 * The row with what the plan imputes where values are missing, and the names of these features; the status of a value
 * stays. Rows of whom values are withheld stay as they are, so that what is withheld is not taken for something.
 */
export function imputedRow<Row extends WrittenRow>(row: Row, { features, imputed }: TrainingSetPlan): Row {
  if (imputed === undefined) return row;
  const names: string[] = [];
  const values = row.values.map((feature, i) => {
    const name = features[i]?.definition.name ?? '';
    const imputation = feature.value === null && row.status !== 'WITHHELD' ? imputationOf(imputed, name) : undefined;
    if (imputation === undefined) return feature;
    names.push(name);
    return { ...feature, value: imputation.value };
  });
  return { ...row, values, imputed: names };
}

function typedCell(text: string, type: FeatureType): TrainingCell {
  if (text === '') return null;
  if (type === 'int' || type === 'double') return Number(text);
  return type === 'bool' ? text.toLowerCase() === 'true' : text;
}

/** Equal where the definitions give equal values for equal events, in the same order. Hex SHA-256. */
export function definitionsHash(features: readonly PlannedFeature[]): string {
  const content = features.map(({ definition: d, entity }) => [
    d.name,
    d.aggregate,
    d.events,
    d.source,
    d.where,
    d.value,
    d.windowMs,
    d.unitMs,
    d.limit,
    d.type,
    // The database keeps the names of options in an order of its own.
    ...(d.options === undefined ? [] : [Object.entries(d.options).sort(([a], [b]) => (a < b ? -1 : 1))]),
    ...(entity === undefined ? [] : [{ entity }]),
  ]);
  return hash('sha256', JSON.stringify(content), 'hex');
}
