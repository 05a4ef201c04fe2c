import type { FeatureDefinition, FeatureEvent, FeatureStatus, FeatureValue } from '../../src/features/feature.model.js';

export interface NaiveValue {
  readonly status: FeatureStatus;
  readonly value: FeatureValue['value'];
  readonly eventTs: number | null;
  readonly approximate: boolean;
}

/** Zero has no sign. */
export function pathValue({ value: path }: Pick<FeatureDefinition, 'value'>, event: FeatureEvent): unknown {
  let value: unknown = event;
  for (const key of path?.split('.') ?? []) {
    value = typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[key] : undefined;
  }
  return value === 0 ? 0 : value;
}

export function numberIn(definition: Pick<FeatureDefinition, 'value'>, event: FeatureEvent): number {
  const value = pathValue(definition, event);
  return typeof value === 'number' ? value : NaN;
}

/** From the decimal digits, so that no binary arithmetic is shared with the engine. */
export function microsOf(value: number): bigint {
  return BigInt(value.toFixed(6).replace('.', ''));
}

/** The number nearest to `micros / divisor`, by its decimals. */
export function nearest(micros: bigint, divisor: number): number {
  const by = BigInt(divisor);
  const positive = micros < 0n ? -micros : micros;
  const decimals = ((positive % by) * 10n ** 40n) / by;
  const size = Number(`${String(positive / by)}.${String(decimals).padStart(40, '0')}`);
  return micros < 0n ? -size : size;
}

export function found(
  value: NonNullable<NaiveValue['value']>,
  eventTs: number | null,
  approximate = false,
): NaiveValue {
  return { status: 'PRESENT', value, eventTs, approximate };
}

export function absent(): NaiveValue {
  return { status: 'NOT_FOUND', value: null, eventTs: null, approximate: false };
}
