import type { FeatureDefinition, FeatureEvent, FeatureValue, Item } from '../../src/features/feature.model.js';
import { absent, found, microsOf, nearest, numberIn, pathValue, type NaiveValue } from './naive-values.js';

/*
 * The aggregates that spread, rank, group and fade, by their definition. Sums are those of exact micro-units; decays are
 * plain sums of powers of 2, so they agree with the engine's to rounding only.
 */

/** @param rows those that match and are in the window, in canonical order */
export function naiveKeyedValue(definition: FeatureDefinition, rows: readonly FeatureEvent[], t: number): NaiveValue {
  if (definition.options?.by !== undefined) return grouped(definition, rows, definition.options.by);
  switch (definition.aggregate) {
    case 'variance':
    case 'stddev':
      return spread(definition, rows);
    case 'percentile':
      return percentile(definition, rows);
    case 'last_n':
      return lastN(definition, rows);
    case 'top_k':
    case 'entropy':
      return grouped({ ...definition, value: null }, rows, definition.value ?? '');
    case 'decayed_sum':
      return decayedSum(definition, rows, t);
    case 'affinity':
      return affinity(definition, rows, t);
    case 'rate': {
      const { unitMs, windowMs } = definition;
      return found((rows.length * (unitMs ?? NaN)) / (windowMs ?? NaN), newestOf(rows));
    }
    default:
      throw new Error(`no definition of ${definition.aggregate}`);
  }
}

export function naiveRatio(numerator: NaiveValue, denominator: NaiveValue): NaiveValue {
  const times = [numerator.eventTs, denominator.eventTs].filter((ts) => ts !== null);
  const eventTs = times.length === 0 ? null : Math.max(...times);
  const approximate = numerator.approximate || denominator.approximate;
  const divides = typeof numerator.value === 'number' && typeof denominator.value === 'number';
  if (!divides || denominator.value === 0) return { ...absent(), eventTs, approximate };
  return found(numerator.value / denominator.value, eventTs, approximate);
}

/** The percentile itself, which the engine estimates. */
function percentile(definition: FeatureDefinition, rows: readonly FeatureEvent[]): NaiveValue {
  const { usable, approximate } = addends(definition, rows);
  if (usable.length === 0) return { ...absent(), approximate };
  const values = usable.map((row) => numberIn(definition, row)).sort((a, b) => a - b);
  const rank = Math.floor((definition.options?.p ?? NaN) * (values.length - 1));
  return found(values[rank] ?? NaN, newestOf(usable), true);
}

function spread(definition: FeatureDefinition, rows: readonly FeatureEvent[]): NaiveValue {
  const { usable, approximate } = addends(definition, rows);
  if (usable.length === 0) return { ...absent(), approximate };
  const micros = usable.map((row) => microsOf(numberIn(definition, row)));
  const n = BigInt(micros.length);
  const sum = micros.reduce((total, each) => total + each, 0n);
  // n times the distance of each value from the mean is a whole number.
  const squares = micros.reduce((total, each) => total + (n * each - sum) ** 2n, 0n);
  const variance = Number(squares) / Number(n ** 3n) / 1e12;
  return found(definition.aggregate === 'variance' ? variance : Math.sqrt(variance), newestOf(usable), approximate);
}

function lastN(definition: FeatureDefinition, rows: readonly FeatureEvent[]): NaiveValue {
  const latest = rows
    .filter((row) => ['string', 'number', 'boolean'].includes(typeof pathValue(definition, row)))
    .reverse()
    .slice(0, definition.limit ?? NaN);
  const fitting = latest.filter((row) => fits(pathValue(definition, row), definition.type));
  return found(fitting.map((row) => pathValue(definition, row)) as Item[], fitting[0]?.occurredAt ?? null);
}

function fits(value: unknown, type: string): boolean {
  if (type === 'string_list') return typeof value === 'string';
  if (type === 'bool_list') return typeof value === 'boolean';
  return typeof value === 'number' && (type !== 'int_list' || Number.isSafeInteger(value));
}

function grouped(definition: FeatureDefinition, rows: readonly FeatureEvent[], by: string): NaiveValue {
  const byKey = new Map<string, number[]>();
  let approximate = false;
  let newestTs: number | null = null;
  for (const row of rows) {
    const keys = keysOf(pathValue({ value: by }, row));
    const sums = definition.aggregate === 'sum' || definition.aggregate === 'avg';
    const value = definition.value === null ? 1 : numberIn(definition, row);
    const there = definition.value === null || (pathValue(definition, row) ?? null) !== null;
    if (keys.length === 0 || !there) continue;
    if (sums && !(Math.abs(value) <= 1e12)) approximate = true;
    if (Number.isNaN(value) || (sums && !(Math.abs(value) <= 1e12))) continue;
    for (const key of keys) byKey.set(key, [...(byKey.get(key) ?? []), value]);
    newestTs = row.occurredAt;
  }
  const numbers = new Map([...byKey].map(([key, values]) => [key, numberOf(definition, values)]));
  const value = shownOf(definition, numbers);
  const isNothing = definition.options?.key === undefined ? numbers.size === 0 : !numbers.has(definition.options.key);
  const eventTs = isNothing ? null : newestTs;
  return value === null ? { ...absent(), approximate } : found(value, eventTs, approximate);
}

function numberOf({ aggregate }: FeatureDefinition, values: readonly number[]): number {
  if (aggregate === 'min') return Math.min(...values);
  if (aggregate === 'max') return Math.max(...values);
  const micros = values.reduce((sum, value) => sum + microsOf(value), 0n);
  return nearest(micros, aggregate === 'avg' ? 1e6 * values.length : 1e6);
}

function shownOf(definition: FeatureDefinition, numbers: ReadonlyMap<string, number>): FeatureValue['value'] {
  const { aggregate, options, limit } = definition;
  if (options?.key !== undefined) {
    return numbers.get(options.key) ?? (['count', 'sum', 'affinity'].includes(aggregate) ? 0 : null);
  }
  const entries = [...numbers].sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1));
  if (aggregate === 'entropy') {
    const total = entries.reduce((sum, [, count]) => sum + count, 0);
    return entries.length === 0 ? null : entries.reduce((h, [, n]) => h - (n / total) * Math.log2(n / total), 0);
  }
  const top = entries.slice(0, limit ?? 100);
  return aggregate === 'top_k' ? top.map(([key]) => key) : Object.fromEntries(top);
}

function decayedSum(definition: FeatureDefinition, rows: readonly FeatureEvent[], t: number): NaiveValue {
  if (definition.value === null) {
    return found(
      rows.reduce((sum, row) => sum + weightOf(definition, row, t), 0),
      newestOf(rows),
    );
  }
  const { usable, approximate } = addends(definition, rows);
  const sum = usable.reduce((total, row) => total + numberIn(definition, row) * weightOf(definition, row, t), 0);
  return found(sum, newestOf(usable), approximate);
}

function affinity(definition: FeatureDefinition, rows: readonly FeatureEvent[], t: number): NaiveValue {
  const weights = new Map<string, number>();
  let newestTs: number | null = null;
  for (const row of rows) {
    for (const tag of keysOf(pathValue(definition, row))) {
      weights.set(tag, (weights.get(tag) ?? 0) + weightOf(definition, row, t));
      newestTs = row.occurredAt;
    }
  }
  const total = [...weights.values()].reduce((sum, weight) => sum + weight, 0);
  const scale = definition.options?.of === 'weight' ? 1 : 1 / total;
  const shown = shownOf(definition, new Map([...weights].map(([tag, weight]) => [tag, weight * scale])));
  return found(shown ?? 0, newestTs);
}

function weightOf({ options }: FeatureDefinition, { occurredAt }: FeatureEvent, t: number): number {
  return 2 ** ((occurredAt - t) / (options?.halfLifeMs ?? NaN));
}

function addends(
  definition: FeatureDefinition,
  rows: readonly FeatureEvent[],
): { usable: FeatureEvent[]; approximate: boolean } {
  const usable = rows.filter((row) => Math.abs(numberIn(definition, row)) <= 1e12);
  const approximate = rows.some((row) => !usable.includes(row) && (pathValue(definition, row) ?? null) !== null);
  return { usable, approximate };
}

function keysOf(value: unknown): string[] {
  const items: unknown[] = Array.isArray(value) ? value : [value];
  const scalars = items.filter((item) => ['string', 'number', 'boolean'].includes(typeof item));
  return [...new Set(scalars.map(String))];
}

function newestOf(rows: readonly FeatureEvent[]): number | null {
  return rows.at(-1)?.occurredAt ?? null;
}
