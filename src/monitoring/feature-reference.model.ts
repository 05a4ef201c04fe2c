import {
  MAX_SAMPLE,
  MAX_TEXT_LENGTH,
  MAX_TOP_VALUES,
  mayTellText,
  type NumberStatistics,
  type TalliedFeature,
} from '../features/feature-statistics.model.js';
import { WeftError } from '../platform/errors.js';
import { isKey } from '../platform/key.js';
import { isInstant, parseInstant } from '../platform/instant.js';

/** A training set that what is served is compared with, under a name. */
export interface FeatureReference {
  readonly name: string;
  /** When it was registered, ms. */
  readonly setAt: number;
  /** When the training set was begun, ms. */
  readonly madeAt: number;
  /** Of the manifest, in hex. */
  readonly manifestSha256: string;
  /** Rows that the statistics are of. */
  readonly rows: number;
}

/** What a manifest says of how values were spread. */
export interface ManifestStatistics {
  /** Of which the set is; null: of single features. */
  readonly service: string | null;
  readonly madeAt: number;
  readonly rows: number;
  readonly features: readonly TalliedFeature[];
}

/** References that there may be, at once. */
export const MAX_REFERENCES = 100;
const MAX_FEATURES = 2_000;
/** Quantiles, and bins of a histogram, of one feature. */
const MAX_POINTS = 100;

/**
 * Reads the manifest of a training set.
 * @param file how errors name it
 * @throws WeftError BAD_REQUEST where it is none, or has no statistics
 */
export function readManifestStatistics(text: string, file: string): ManifestStatistics {
  let read: unknown;
  try {
    read = JSON.parse(text);
  } catch (cause) {
    throw noManifest(file, 'the file is not JSON', cause);
  }
  if (!isObject(read) || read['format'] !== 1 || typeof read['startedAt'] !== 'string') {
    throw noManifest(file, 'the file is no manifest of a training set');
  }
  const { statistics, service } = read;
  const madeAt = parseInstant(read['startedAt'], { date: 'utc', time: 'utc' });
  if (!isObject(statistics)) {
    throw new WeftError('BAD_REQUEST', 'the manifest does not say how values were spread', {
      where: file,
      hint: 'make the set again: weft export training-set --reproduce <manifest> --out <file>',
    });
  }
  const { rows, features } = statistics;
  const isWhole = isInstant(madeAt) && isCount(rows) && Array.isArray(features) && features.length <= MAX_FEATURES;
  const isSound = isWhole && features.every(isTallied) && (service === null || isNamed(service));
  if (!isSound || new Set(features.map((each) => each.statistics.feature)).size < features.length)
    throw noManifest(file, 'the statistics of the manifest are damaged');
  return { service: service === null ? null : service.name, madeAt, rows, features: features.map(knownFields) };
}

function isNamed(value: unknown): value is { readonly name: string } {
  return isObject(value) && typeof value['name'] === 'string' && isKey(value['name']);
}

/** Nothing else of a manifest is stored: what it says besides may be anything. */
function knownFields({ statistics, sample }: TalliedFeature): TalliedFeature {
  const { feature, profiles, nulls, approximate, distinct, numbers, topValues, newestEventAt, medianAgeMs } =
    statistics;
  return {
    statistics: {
      ...{ feature, profiles, nulls, approximate, distinct },
      numbers: numbers === null ? null : knownNumbers(numbers),
      topValues: topValues.map(({ value, count }) => ({ value, count })),
      ...{ newestEventAt, medianAgeMs },
    },
    sample,
  };
}

function knownNumbers({ min, max, mean, stddev, quantiles, histogram }: NumberStatistics): NumberStatistics {
  return {
    ...{ min, max, mean, stddev },
    quantiles: quantiles.map(({ p, value }) => ({ p, value })),
    histogram: histogram.map(({ from, to, count }) => ({ from, to, count })),
  };
}

function isTallied(value: unknown): value is TalliedFeature {
  if (!isObject(value) || !isObject(value['statistics'])) return false;
  const { statistics, sample } = value;
  const { feature, profiles, nulls, approximate, distinct, numbers, topValues, newestEventAt, medianAgeMs } =
    statistics;
  return (
    typeof feature === 'string' &&
    isKey(feature) &&
    [profiles, nulls, approximate, distinct].every(isCount) &&
    (numbers === null || areNumbers(numbers)) &&
    Array.isArray(topValues) &&
    topValues.length <= MAX_TOP_VALUES &&
    topValues.every((each) => isObject(each) && isText(each['value']) && isCount(each['count'])) &&
    [newestEventAt, medianAgeMs].every((each) => each === null || Number.isFinite(each)) &&
    (sample === null || (Array.isArray(sample) && isAscending(sample)))
  );
}

function isText(value: unknown): boolean {
  return typeof value === 'string' && value.length <= MAX_TEXT_LENGTH && mayTellText(value);
}

function areNumbers(value: unknown): value is NumberStatistics {
  if (!isObject(value)) return false;
  const { min, max, mean, stddev, quantiles, histogram } = value;
  return (
    [min, max, mean, stddev].every(Number.isFinite) &&
    arePoints(quantiles, ['p', 'value']) &&
    arePoints(histogram, ['from', 'to', 'count'])
  );
}

function arePoints(list: unknown, fields: readonly string[]): boolean {
  return (
    Array.isArray(list) &&
    list.length <= MAX_POINTS &&
    list.every((each) => isObject(each) && fields.every((field) => Number.isFinite(each[field])))
  );
}

function isAscending(sample: readonly unknown[]): boolean {
  return (
    sample.length > 0 &&
    sample.length <= MAX_SAMPLE &&
    sample.every((each, i) => Number.isFinite(each) && (i === 0 || Number(sample[i - 1]) <= Number(each)))
  );
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function noManifest(file: string, message: string, cause?: unknown): WeftError {
  return new WeftError('BAD_REQUEST', message, {
    where: file,
    hint: 'give the .manifest.json that weft export training-set wrote beside the set',
    cause,
  });
}
