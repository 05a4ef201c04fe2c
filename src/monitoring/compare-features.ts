import { isList, type FeatureDefinition, type FeatureValue, type Item } from '../features/feature.model.js';

/** Of doubles: how far two may be apart, relative to the greater one. */
const RELATIVE_TOLERANCE = 1e-9;

type Value = FeatureValue['value'];
type Numbers = Readonly<Record<string, number>>;

export type ComparedOutcome = 'equal' | 'mismatched' | 'missing' | 'estimated';

export interface Comparison {
  /**
   * `missing`: one of the two has no value. `estimated`: they differ, and both are marked as estimates because a bound was
   * reached.
   */
  readonly outcome: ComparedOutcome;
  /** How far two numbers are apart; 0 where they are not both numbers. */
  readonly delta: number;
}

type Compared = Pick<FeatureValue, 'status' | 'value' | 'eventTs' | 'approximate'>;

/**
 * Whether two values of one feature as of the same instant are the same: status, value and time of the newest event. Exact
 * but for doubles, which may be 1e-9 apart, relative to the greater.
 *
 * @param definition a percentile is always marked as an estimate, so that the mark excuses nothing there
 */
export function compareFeature(
  online: Compared,
  offline: Compared,
  { type, aggregate }: Pick<FeatureDefinition, 'type' | 'aggregate'>,
): Comparison {
  if ((online.value === null) !== (offline.value === null)) return { outcome: 'missing', delta: 0 };
  const same = type.startsWith('double') ? nearly : Object.is;
  const isSame =
    online.status === offline.status &&
    online.eventTs === offline.eventTs &&
    sameValue(online.value, offline.value, same);
  const delta =
    typeof online.value === 'number' && typeof offline.value === 'number' ? Math.abs(online.value - offline.value) : 0;
  if (isSame) return { outcome: 'equal', delta };
  const isEstimate = online.approximate && offline.approximate && aggregate !== 'percentile';
  return { outcome: isEstimate ? 'estimated' : 'mismatched', delta };
}

type SameItem = (a: Item | undefined, b: Item | undefined) => boolean;

function sameValue(a: Value, b: Value, same: SameItem): boolean {
  if (a === null || b === null) return a === b;
  if (isList(a)) return isList(b) && a.length === b.length && a.every((item, i) => same(item, b[i]));
  if (isMap(a)) return isMap(b) && sameMap(a, b, same);
  return !isList(b) && !isMap(b) && same(a, b);
}

function isMap(value: Value): value is Numbers {
  return typeof value === 'object' && value !== null && !isList(value);
}

function sameMap(a: Numbers, b: Numbers, same: SameItem): boolean {
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => same(a[key], b[key]));
}

function nearly(a: Item | undefined, b: Item | undefined): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== 'number' || typeof b !== 'number') return false;
  return Math.abs(a - b) <= RELATIVE_TOLERANCE * Math.max(Math.abs(a), Math.abs(b));
}
