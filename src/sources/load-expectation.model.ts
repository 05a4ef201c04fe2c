import type { FeatureDefinition, FeatureView } from '../features/feature.model.js';
import type { JsonValue } from '../events/event.model.js';

/** What becomes of a load whose rows are not as expected: it stops before anything is sent, or says so. */
export const UNEXPECTED_POLICIES = ['warn', 'stop'] as const;
export type UnexpectedPolicy = (typeof UNEXPECTED_POLICIES)[number];

/** What is expected of one value over all events of a file, or of how many events there are; null: nothing. */
export interface LoadExpectation {
  /** As reports call it: a path in the event as `properties.total`, `events`, or a feature as `customer.tier`. */
  readonly name: string;
  /** Parts of the path in the event; null: it is about the number of events. */
  readonly path: readonly string[] | null;
  /** Events that it is about; null: all. */
  readonly event: string | null;
  readonly min: number | null;
  readonly max: number | null;
  /** 0…1 of the events. */
  readonly nullShare: number | null;
  readonly distinctMin: number | null;
  readonly oneOf: ReadonlySet<JsonValue> | null;
  readonly otherwise: UnexpectedPolicy;
}

export const LOAD_EXPECTATION_KINDS = ['min', 'max', 'null_share', 'distinct_min', 'one_of'] as const;
export type LoadExpectationKind = (typeof LOAD_EXPECTATION_KINDS)[number];

/** An expectation that a file does not meet. No value of the file is in it but the greatest or least number. */
export interface LoadFinding {
  readonly name: string;
  readonly kind: LoadExpectationKind;
  /** The number that was found: the least or greatest, a share, how many different ones, how many others. */
  readonly value: number;
  readonly bound: number;
  /** Events that are to blame; null: it is about all of them. */
  readonly events: number | null;
  /** Numbers of the first of their rows. */
  readonly rows: readonly number[];
  readonly otherwise: UnexpectedPolicy;
}

/**
 * What batch views expect of the columns that a source brings, as far as a file can tell.
 * @param entity whose records the rows are; null: people's
 */
export function expectationsOfViews(
  views: readonly FeatureView[],
  source: string,
  entity: string | null,
): LoadExpectation[] {
  return views.flatMap((view) => {
    if (view.kind !== 'batch' || view.source !== source || (view.entity ?? null) !== entity) return [];
    const features = new Map(view.features.map((feature) => [feature.name, feature]));
    return Object.entries(view.expect ?? {}).flatMap(([name, expected]) => {
      const feature = features.get(name);
      if (feature?.value === undefined || feature.value === null) return [];
      const { min = null, max = null, null_share: nullShare = null, distinct_min: distinctMin = null } = expected;
      if ([min, max, nullShare, distinctMin].every((bound) => bound === null)) return [];
      return [
        {
          ...{ name: `${view.name}.${name}`, path: feature.value.split('.'), event: eventOf(feature) },
          ...{ min, max, nullShare, distinctMin, oneOf: null, otherwise: expected.on_load ?? 'warn' },
        },
      ];
    });
  });
}

function eventOf({ events }: FeatureDefinition): string | null {
  return events[0] ?? null;
}
