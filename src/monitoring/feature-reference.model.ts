import type { TalliedFeature } from '../features/feature-statistics.model.js';
import { WeftError } from '../platform/errors.js';
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
  const isSound = isWhole && features.every(isTallied);
  if (!isSound || new Set(features.map((each) => each.statistics.feature)).size < features.length)
    throw noManifest(file, 'the statistics of the manifest are damaged');
  return { service: isObject(service) ? String(service['name']) : null, madeAt, rows, features };
}

function isTallied(value: unknown): value is TalliedFeature {
  if (!isObject(value) || !isObject(value['statistics'])) return false;
  const { statistics, sample } = value;
  const { feature, profiles, nulls, distinct, topValues } = statistics;
  return (
    typeof feature === 'string' &&
    [profiles, nulls, distinct].every(isCount) &&
    Array.isArray(topValues) &&
    topValues.every((each) => isObject(each) && typeof each['value'] === 'string' && isCount(each['count'])) &&
    (sample === null || (Array.isArray(sample) && isAscending(sample)))
  );
}

function isAscending(sample: readonly unknown[]): boolean {
  return (
    sample.length > 0 &&
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
