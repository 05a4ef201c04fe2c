import { readFile } from 'node:fs/promises';

import type { FeatureType } from '../../src/features/feature.model.js';
import type { ModelManifest } from '../../src/scoring/model-manifest.model.js';
import { parseManifest } from '../../src/scoring/parse-manifest.js';
import type { FeatureCatalog } from '../../src/scoring/verify-model.js';

const FOLDER = new URL('../fixtures/models/', import.meta.url);

/** Models that `trainer/make_test_models.py` trains on public data. */
export const FIXTURE_MODELS = ['benign_logistic', 'benign_forest', 'iris_clusters', 'iris_named'] as const;
export type FixtureModel = (typeof FIXTURE_MODELS)[number] | 'benign_logistic_zipmap';

export async function readModelFixture(name: FixtureModel): Promise<{ bytes: Buffer; manifest: ModelManifest }> {
  const [bytes, text] = await Promise.all([
    readFile(new URL(`${name}.onnx`, FOLDER)),
    readFile(new URL(`${name}.manifest.yaml`, FOLDER), 'utf8'),
  ]);
  return { bytes, manifest: parseManifest(text) };
}

const TYPES: Record<string, FeatureType> = { petal_length_tenths: 'int', petal_width_class: 'string' };

/** A registry in which the features of the fixtures exist. */
export const fixtureCatalog: FeatureCatalog = {
  typeOf: (feature) => TYPES[feature] ?? 'double',
  neededFieldOf: () => undefined,
  serviceFeatures: () => undefined,
  imputationsOf: () => undefined,
};
