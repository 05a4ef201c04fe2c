import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { WeftError } from '../platform/errors.js';
import { sha256Of } from './hashed-file.js';
import type { TrainingSetOrder } from './make-training-set.js';
import type { SplitSpec } from './split.model.js';
import { formatOf, type SplitManifest, type TrainingSetManifest } from './training-set-file.js';
import type { ParseTime } from './training-set-labels.js';
import type { KnownAsOf } from './training-set.model.js';

/**
 * What makes the set of a manifest again: its labels, features in its versions, and the log up to where it was cut.
 * @param labels default: the file of the manifest's name, beside the manifest
 * @throws WeftError NOT_FOUND (no manifest), BAD_REQUEST (it is none, of other labels, or of another format)
 */
export async function orderOfManifest(
  path: string,
  {
    labels,
    out,
    parseTime,
  }: { readonly labels?: string | undefined; readonly out: string; readonly parseTime: ParseTime },
): Promise<{ readonly order: TrainingSetOrder; readonly manifest: TrainingSetManifest }> {
  const manifest = await readManifest(path);
  if (formatOf(out) !== formatOf(manifest.file)) {
    throw new WeftError('BAD_REQUEST', `the set of the manifest is ${formatOf(manifest.file)}`, {
      where: 'out',
      hint: `end the name of the file with .${formatOf(manifest.file)}`,
    });
  }
  const origin = manifest.labels ?? { file: '', sha256: '' };
  const file = labels ?? join(dirname(path), origin.file);
  const sha256 = await sha256Of(file).catch((cause: unknown) => {
    throw new WeftError('NOT_FOUND', 'there is no such labels file', {
      where: file,
      hint: 'give --labels the file that the set was made of',
      cause,
    });
  });
  if (sha256 !== origin.sha256) {
    throw new WeftError('BAD_REQUEST', 'these are not the labels that the set was made of', {
      where: file,
      hint: `give --labels the file whose SHA-256 is ${origin.sha256}`,
    });
  }
  const order = { ...orderOf(manifest, parseTime), labels: file, labelQuery: manifest.labels?.query, out };
  return { order, manifest };
}

function orderOf(manifest: TrainingSetManifest, parseTime: ParseTime): Omit<TrainingSetOrder, 'labels' | 'out'> {
  const { service, features, knownAsOf, consentAsOf, fullNames, imputed, split } = manifest;
  const ages = features.flatMap(({ name, maxAgeMs }) => (maxAgeMs === undefined ? [] : [[name, maxAgeMs] as const]));
  return {
    service: service?.name,
    features: features.map(({ name }) => name),
    knownAsOf:
      knownAsOf === 'now' || knownAsOf === 'event-time' ? (knownAsOf satisfies KnownAsOf) : parseTime(knownAsOf),
    consentAsOf,
    maxAges: { others: null, byFeature: new Map(ages) },
    fullNames,
    isImputed: imputed !== undefined,
    split: split === null ? null : specOf(split),
    again: {
      cut: { toPos: manifest.logPosition, nowMs: parseTime(manifest.startedAt) },
      versions: {
        views: new Map(features.map(({ view, viewVersion }) => [view, viewVersion])),
        service: service?.version ?? null,
      },
    },
  };
}

function specOf({ by, ratios, seed = 1, horizonMs = 0 }: SplitManifest): SplitSpec {
  return by === 'profile' ? { by, ratios, seed } : { by, ratios, horizonMs };
}

/** @throws WeftError NOT_FOUND, BAD_REQUEST where it is none */
export async function readManifest(path: string): Promise<TrainingSetManifest> {
  let read: Partial<TrainingSetManifest> | null;
  try {
    read = JSON.parse(await readFile(path, 'utf8')) as Partial<TrainingSetManifest> | null;
  } catch (cause) {
    const isThere = cause instanceof SyntaxError;
    throw new WeftError(isThere ? 'BAD_REQUEST' : 'NOT_FOUND', isThere ? 'this is no JSON' : 'there is no such file', {
      where: path,
      hint: 'give --reproduce the <out>.manifest.json of a training set',
      cause,
    });
  }
  const needed = ['file', 'sha256', 'labels', 'startedAt', 'logPosition', 'features', 'knownAsOf'] as const;
  const missing = needed.find((name) => read?.[name] == null);
  if (missing !== undefined || read?.format !== 1) {
    throw new WeftError(
      'BAD_REQUEST',
      `this is no manifest by which a set can be made again: it has no ${missing ?? 'format'}`,
      {
        where: path,
        hint: 'give --reproduce the <out>.manifest.json of a training set of this version of Weft',
      },
    );
  }
  return read as TrainingSetManifest;
}
