import {
  isMapType,
  type Aggregate,
  type FeatureDefinition,
  type FeatureOptions,
  type FeatureType,
  type FeatureValue,
  type ItemType,
} from './feature.model.js';
import { MAX_TIMES } from './stream.model.js';

/** Fields, as they are written, that only some aggregates take; `parse-option.ts` says how each is written. */
export const AGGREGATE_FIELDS = ['window', 'value', 'type', 'unit', 'limit'] as const;
export type AggregateField = (typeof AGGREGATE_FIELDS)[number];

/** What may be written with an aggregate, and what follows from it. */
interface AggregateRule {
  /** Fields that it cannot do without. `type` is never one: it is `string` where it is left out. */
  readonly needs: readonly AggregateField[];
  /** Fields that it may have besides. */
  readonly takes: readonly AggregateField[];
  /** The most that its limit may be. */
  readonly maxLimit?: number;
  /** Its limit where none is written. */
  readonly defaultLimit?: number;
  /** @param written the type that was written with it, or `string` */
  typeOf(written: ItemType, options: FeatureOptions): FeatureType;
  /** What it gives while no event is in its window; null: nothing. A map is empty then. */
  readonly withoutEvents: 0 | null | readonly never[];
}

const int = (): FeatureType => 'int';
const double = (): FeatureType => 'double';
const asWritten = (written: ItemType): FeatureType => written;

/** The one table of what aggregates take. To add one, add a row. */
export const AGGREGATE_RULES: { readonly [A in Aggregate]: AggregateRule } = {
  count: { needs: [], takes: ['window'], typeOf: int, withoutEvents: 0 },
  sum: { needs: ['value'], takes: ['window'], typeOf: double, withoutEvents: 0 },
  avg: { needs: ['value'], takes: ['window'], typeOf: double, withoutEvents: null },
  min: { needs: ['value'], takes: ['window'], typeOf: double, withoutEvents: null },
  max: { needs: ['value'], takes: ['window'], typeOf: double, withoutEvents: null },
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
};

/** Whether the aggregate may have the field. */
export function takesField(aggregate: Aggregate, field: AggregateField): boolean {
  const { needs, takes } = AGGREGATE_RULES[aggregate];
  return needs.includes(field) || takes.includes(field);
}

/** What the feature is while no event is in its window; null: absent. */
export function valueWithoutEvents({ aggregate, type }: FeatureDefinition): FeatureValue['value'] {
  return isMapType(type) ? {} : AGGREGATE_RULES[aggregate].withoutEvents;
}
