import { describe, expect, test } from 'vitest';

import type { FeatureType } from '../features/feature.model.js';
import { FIXTURE_MODELS, fixtureCatalog, harmlessTrial, readModelFixture } from '../../test/support/model-fixtures.js';
import { withImputed, type ModelManifest } from './model-manifest.model.js';
import { checkFills } from './check-model.js';
import { verifyModel, type FeatureCatalog } from './verify-model.js';

async function refusalOf(bytes: Uint8Array, manifest: ModelManifest, catalog = fixtureCatalog): Promise<string> {
  const outcome = await verifyModel(bytes, manifest, catalog, harmlessTrial).then(
    () => 'accepted',
    (error: unknown) => error,
  );
  expect(outcome).toMatchObject({ name: 'WeftError', code: 'MODEL_INVALID' });
  return (outcome as Error).message;
}

describe('registering a model', () => {
  test.each(FIXTURE_MODELS)('%s answers its golden vectors as scikit-learn did', async (name) => {
    const { bytes, manifest } = await readModelFixture(name);
    await expect(verifyModel(bytes, manifest, fixtureCatalog, harmlessTrial)).resolves.toMatchObject({
      bytes: bytes.length,
    });
  });

  test('a golden vector outside the tolerance is refused with what was expected and what came', async () => {
    const { bytes, manifest } = await readModelFixture('benign_forest');
    const goldenVectors = manifest.goldenVectors.map((vector, i) =>
      i === 2 ? { ...vector, expected: { score: (vector.expected.score ?? 0) + 2e-5 } } : vector,
    );
    const message = await refusalOf(bytes, { ...manifest, goldenVectors });
    expect(message).toContain('1 of 6 golden vectors are outside the tolerance 0.00001');
    expect(message).toMatch(/vector +output +expected +got +difference\n +2 +score +[\d.]+ +[\d.]+ +2\.\de-5/);
  });

  test('a golden vector inside the tolerance passes', async () => {
    const { bytes, manifest } = await readModelFixture('benign_forest');
    const goldenVectors = manifest.goldenVectors.map((vector) => ({
      ...vector,
      expected: { score: (vector.expected.score ?? 0) + 5e-6 },
    }));
    await expect(
      verifyModel(bytes, { ...manifest, goldenVectors }, fixtureCatalog, harmlessTrial),
    ).resolves.toMatchObject({ bytes: bytes.length });
  });

  test('another fill than the model was trained with is caught by the golden vectors', async () => {
    const { bytes, manifest } = await readModelFixture('benign_forest');
    expect(await refusalOf(bytes, { ...manifest, fill: {} })).toContain('golden vectors are outside');
  });

  test('features in another order than the model was trained with are caught by the golden vectors', async () => {
    const { bytes, manifest } = await readModelFixture('benign_logistic');
    const [input] = manifest.inputs;
    const inputs = [{ tensor: 'features', type: 'float' as const, features: [...(input?.features ?? [])].reverse() }];
    expect(await refusalOf(bytes, { ...manifest, inputs })).toContain('golden vectors are outside');
  });

  test('a wrong class is refused', async () => {
    const { bytes, manifest } = await readModelFixture('iris_clusters');
    const outputs = { ...manifest.outputs, label: { output: 'label', names: ['third', 'second', 'first'] } };
    expect(await refusalOf(bytes, { ...manifest, outputs })).toMatch(/label +first +third/);
  });

  test('wrong names are refused all at once, with the names that there are', async () => {
    const { bytes, manifest } = await readModelFixture('iris_named');
    const inputs = manifest.inputs.map((input, i) => (i === 0 ? { ...input, tensor: 'sepal' } : input));
    const outputs = { score: { output: 'probability', index: 0 }, label: { output: 'label' } };
    const message = await refusalOf(bytes, { ...manifest, inputs, outputs });
    expect(message).toContain(
      'inputs[0].tensor: the model has no input sepal (its inputs are sepals (float32 [?, 2]), petal_length',
    );
    expect(message).toContain("inputs: the model's input sepals (float32 [?, 2]) gets no features");
    expect(message).toContain(
      'outputs.score.output: the model has no output probability (its outputs are label (string [?]), probabilities',
    );
  });

  test('wrong types and widths are refused', async () => {
    const { bytes, manifest } = await readModelFixture('iris_clusters');
    const double = [{ tensor: 'features', type: 'double' as const, features: manifest.featureService.features }];
    expect(await refusalOf(bytes, { ...manifest, inputs: double })).toContain(
      'is bound as double, but is features (float32 [?, 4])',
    );
    const narrow = [
      { tensor: 'features', type: 'float' as const, features: manifest.featureService.features.slice(1) },
    ];
    expect(await refusalOf(bytes, { ...manifest, inputs: narrow })).toContain(
      'gets 3 features, but is features (float32 [?, 4])',
    );
  });

  test('a list can be the columns of a tensor', async () => {
    const { bytes, manifest } = await readModelFixture('iris_clusters');
    const { features } = manifest.featureService;
    const asList: ModelManifest = {
      ...manifest,
      featureService: { name: 'iris_list', features: ['sizes'] },
      inputs: manifest.inputs.map((input) => ({
        ...input,
        features: ['sizes'],
        sequence: { length: features.length, pad: 'left' },
      })),
      fill: {},
      goldenVectors: manifest.goldenVectors.map((vector) => ({
        ...vector,
        features: { sizes: features.map((name) => vector.features[name] as number) },
      })),
    };
    const typed = (type: FeatureType): FeatureCatalog => ({
      typeOf: () => type,
      neededFieldOf: () => undefined,
      serviceFeatures: () => undefined,
      serviceVersion: () => undefined,
      imputationsOf: () => undefined,
    });
    await expect(verifyModel(bytes, asList, typed('double_list'), harmlessTrial)).resolves.toMatchObject({
      bytes: bytes.length,
    });
    expect(await refusalOf(bytes, asList, typed('double'))).toContain('sizes is double, not a list');
    expect(await refusalOf(bytes, asList, typed('string_list'))).toContain(
      'sizes is string_list, which a float tensor cannot hold',
    );
    expect(await refusalOf(bytes, asList, typed('double_map'))).toContain('a float tensor cannot hold');
    expect(await refusalOf(bytes, manifest, typed('double_list'))).toContain(
      'is a list (give it an input of its own, with sequence: { length: 50 })',
    );
    const short = asList.inputs.map((input) => ({ ...input, sequence: { length: 3, pad: 'left' as const } }));
    expect(await refusalOf(bytes, { ...asList, inputs: short }, typed('double_list'))).toContain(
      'inputs[0].sequence.length: features gets 3 items, but is features (float32 [?, 4])',
    );
  });

  test('a column beyond the output, and an output of the wrong type, are refused', async () => {
    const { bytes, manifest } = await readModelFixture('iris_named');
    const outputs = {
      score: { output: 'probabilities', index: 3 },
      label: { output: 'label' },
      cluster: { output: 'label' },
    };
    const message = await refusalOf(bytes, { ...manifest, outputs });
    expect(message).toContain('probabilities (float32 [?, 3]) has no column 3 (use 0 to 2)');
    expect(message).toContain('outputs.cluster.output: label (string [?]) is not of a type that can be read here');
  });

  test('dictionaries as output are refused with the fix', async () => {
    const { bytes, manifest } = await readModelFixture('benign_logistic_zipmap');
    const message = await refusalOf(bytes, manifest);
    expect(message).toContain('output_probability is a list of dictionaries (ZipMap)');
    expect(message).toContain('zipmap=False');
  });

  test('bytes that are no model, and operators that the runtime does not know, are refused', async () => {
    const { bytes, manifest } = await readModelFixture('iris_clusters');
    expect(await refusalOf(Buffer.from('not a model'), manifest)).toBe('this is not an ONNX model');
    const unknown = Buffer.from(bytes.toString('latin1').replaceAll('Scaler', 'Scalex'), 'latin1');
    const message = await refusalOf(unknown, manifest);
    expect(message).toContain('the model cannot be loaded');
    expect(message).toContain('Scalex');
    // Where the runtime was built is nobody's business.
    expect(message).not.toMatch(/\/onnxruntime\//);
  });

  test('a text or an integer input needs a fill, of the manifest or of the feature service', async () => {
    const { manifest } = await readModelFixture('iris_clusters');
    const [first] = manifest.inputs;
    const [name = ''] = manifest.featureService.features;
    const bound = (type: 'string' | 'int64'): ModelManifest => ({
      ...manifest,
      missing: 'nan',
      fill: {},
      inputs: [{ tensor: first?.tensor ?? '', type, features: [name] }],
    });
    const where = `fill.${name}`;
    expect(checkFills(bound('string'))).toMatchObject([{ where, message: 'a text input has no fill' }]);
    expect(checkFills(bound('int64'))).toMatchObject([
      { where, message: 'an int64 input has no integer for a missing value' },
    ]);
    expect(checkFills(withImputed(bound('int64'), { [name]: { value: 12.5 } }))).toHaveLength(1);
    expect(checkFills(withImputed(bound('int64'), { [name]: { value: 12 } }))).toEqual([]);
    expect(checkFills(withImputed(bound('string'), { [name]: { value: 'web' } }))).toEqual([]);
    expect(checkFills({ ...withImputed(bound('int64'), { [name]: { value: 12.5 } }), fill: { [name]: 3 } })).toEqual(
      [],
    );
  });

  test('features that do not exist, or are of a kind that the tensor cannot hold, are refused', async () => {
    const { bytes, manifest } = await readModelFixture('iris_clusters');
    const message = await refusalOf(bytes, manifest, {
      typeOf: (feature) =>
        feature === 'petal_width_cm' ? undefined : feature === 'petal_length_cm' ? 'string' : 'double',
      neededFieldOf: () => undefined,
      serviceFeatures: () => ['petal_width_cm'],
      serviceVersion: () => 3,
      imputationsOf: () => undefined,
    });
    expect(message).toContain('differs from the registered feature service iris_v1');
    expect(message).toContain('featureService.features[3]: there is no feature petal_width_cm');
    expect(message).toContain('inputs[0].features[2]: petal_length_cm is string, which a float tensor cannot hold');
  });
});
