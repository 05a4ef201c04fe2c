import { compareValue, type CompareOp, type Constant } from './compare-value.model.js';
import type { FeatureDefinition, FeatureValue } from './feature.model.js';

/** Departures that are tried out before the next one is given as the answer, which then may be too early. */
const MAX_DEPARTURES = 1_000;

/** The features that a feature is computed from; empty: it reads a stream of its own. */
export function partsOf(definition: FeatureDefinition): readonly FeatureDefinition[] {
  const { aggregate, options } = definition;
  if (aggregate === 'rate') return [{ ...definition, aggregate: 'count', type: 'int' }];
  if (aggregate === 'on_demand') return options?.inputs ?? [];
  if (aggregate !== 'ratio' || options?.numerator === undefined || options.denominator === undefined) return [];
  return [options.numerator, options.denominator];
}

/** A rate or a ratio, from the values of its parts; it is valid for as long as all of them are. */
export function derivedValue(definition: FeatureDefinition, parts: readonly FeatureValue[]): FeatureValue {
  const eventTs = parts.reduce<number | null>((newest, part) => later(newest, part.eventTs), null);
  const validUntil = Math.min(...parts.map((part) => part.validUntil));
  const approximate = parts.some((part) => part.approximate);
  const [first, second] = parts;
  const value = definition.aggregate === 'rate' ? rateOf(definition, first) : ratioOf(first, second);
  const status = value === null ? 'NOT_FOUND' : 'PRESENT';
  return { status, value, eventTs, validUntil, approximate };
}

/** When `value op constant` changes its answer, found by trying out the instants up to which values hold. */
export function flipOfDerived(
  read: (at: number) => FeatureValue,
  t: number,
  op: CompareOp,
  constant: Constant,
): number {
  let value = read(t);
  const before = compareValue(value, op, constant);
  for (let tried = 0; tried < MAX_DEPARTURES; tried++) {
    const at = value.validUntil;
    if (at === Infinity) return Infinity;
    value = read(at);
    if (compareValue(value, op, constant) !== before) return at;
  }
  return value.validUntil;
}

function rateOf({ unitMs, windowMs }: FeatureDefinition, count: FeatureValue | undefined): number | null {
  const number = numberIn(count);
  return number === null || unitMs === null || windowMs === null ? null : (number * unitMs) / windowMs;
}

function ratioOf(numerator: FeatureValue | undefined, denominator: FeatureValue | undefined): number | null {
  const above = numberIn(numerator);
  const below = numberIn(denominator);
  return above === null || below === null || below === 0 ? null : above / below;
}

function numberIn(feature: FeatureValue | undefined): number | null {
  return typeof feature?.value === 'number' ? feature.value : null;
}

function later(a: number | null, b: number | null): number | null {
  return a === null || (b !== null && b > a) ? b : a;
}
