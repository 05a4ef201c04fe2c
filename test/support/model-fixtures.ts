import { readFile } from 'node:fs/promises';

import type { FeatureType } from '../../src/features/feature.model.js';
import type { ModelManifest, ModelProbe } from '../../src/scoring/model-manifest.model.js';
import { OnnxSession } from '../../src/scoring/onnx-session.js';
import { parseManifest } from '../../src/scoring/parse-manifest.js';
import type { FeatureCatalog, GraphTrial } from '../../src/scoring/verify-model.js';

const FOLDER = new URL('../fixtures/models/', import.meta.url);

/** Models that `trainer/make_test_models.py` trains on public data. */
export const FIXTURE_MODELS = [
  'benign_logistic',
  'benign_forest',
  'benign_forest_100',
  'iris_clusters',
  'iris_named',
] as const;
/** Models that `trainer/make_odd_models.py` makes. */
type OddModel = 'never_ends' | 'eats_memory' | 'refuses_rows' | 'several_outputs' | 'quantised' | 'newer_operators';
export type FixtureModel = (typeof FIXTURE_MODELS)[number] | OddModel | 'benign_logistic_zipmap';

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
  serviceVersion: () => undefined,
  imputationsOf: () => undefined,
};

/** Of a model that is quick in every way. */
export const A_QUICK_PROBE: ModelProbe = {
  inputs: [],
  outputs: [],
  opsets: { 'ai.onnx': 20 },
  unboundedOps: [],
  bytes: 1_000,
  speed: { loadMs: 1, oneRowP99Ms: 0.02, rowMs: 0.001 },
  featureServiceVersion: null,
  mixesRows: false,
};

/** A trial in this very process, for graphs that are known to be harmless: it costs no process. */
export function harmlessTrial(): GraphTrial {
  let session: OnnxSession | null = null;
  return {
    load: async (bytes) => {
      session = await OnnxSession.load(bytes);
      const { inputs, outputs, opsets, unboundedOps } = session;
      return { graph: { inputs, outputs, opsets, unboundedOps }, loadMs: 1 };
    },
    run: (feeds, outputs) => (session as OnnxSession).run(feeds, outputs),
    measure: () => Promise.resolve({ oneRowP99Ms: 0.02, manyMs: 0.256 }),
    close: () => {
      void session?.release();
    },
  };
}

/** For scorers of models that are quick enough to be run by whoever asks. */
export function noHost(): never {
  throw new Error('no process of a model was to be started');
}
