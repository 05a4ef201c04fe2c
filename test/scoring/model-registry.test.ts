import { randomBytes } from 'node:crypto';

import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';

import type { FeatureType } from '../../src/features/feature.model.js';
import { ManualClock } from '../../src/platform/clock.js';
import { goldenRow } from '../../src/scoring/bind-features.js';
import type { ListedModel, ModelManifest } from '../../src/scoring/model-manifest.model.js';
import { ModelReader, type ModelPosition } from '../../src/scoring/model.reader.js';
import { ModelService } from '../../src/scoring/model.service.js';
import { sha256Hex } from '../../src/scoring/onnx-session.js';
import { Scorer } from '../../src/scoring/scorer.js';
import type { FeatureCatalog } from '../../src/scoring/verify-model.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { FIXTURE_MODELS, fixtureCatalog, harmlessTrial, noHost, readModelFixture } from '../support/model-fixtures.js';

let db: TestDatabase;
let clock: ManualClock;
let catalog: FeatureCatalog;
let uses: ReadonlyMap<string, string>;
let models: ModelService;
let reader: ModelReader;

beforeAll(async () => {
  db = await createTestDatabase();
});

afterAll(async () => {
  await db.drop();
});

beforeEach(async () => {
  await db.database.execute('TRUNCATE models, model_blobs');
  clock = new ManualClock(1_000);
  catalog = fixtureCatalog;
  uses = new Map();
  models = new ModelService({
    db: db.database,
    clock,
    catalog: () => Promise.resolve(catalog),
    uses: () => Promise.resolve(uses),
    purposes: () => Promise.resolve(new Set(['ads'])),
    startTrial: harmlessTrial,
  });
  reader = new ModelReader(db.database);
});

/** The same model under another label, which makes it another version. */
function relabelled(manifest: ModelManifest, version: string): ModelManifest {
  return { ...manifest, version };
}

async function definitionsVersion(): Promise<number> {
  const [row] = await db.database.query<{ definitions_version: number }>(
    'SELECT definitions_version FROM installation',
  );
  return row?.definitions_version ?? -1;
}

async function blobCount(): Promise<number> {
  const [row] = await db.database.query<{ blobs: number }>('SELECT count(*)::int AS blobs FROM model_blobs');
  return row?.blobs ?? -1;
}

describe('the model registry', () => {
  test.each(FIXTURE_MODELS)('gives %s back as it was registered, and able to score', async (name) => {
    const { bytes, manifest } = await readModelFixture(name);
    const { model, created } = await models.register(bytes, manifest);
    expect(created).toBe(true);
    expect(model).toMatchObject({
      key: name,
      version: 1,
      digest: await sha256Hex(bytes),
      stage: 'shadow',
      manifest,
      edge: false,
      createdAt: 1_000,
      probe: {
        bytes: bytes.length,
        speed: { oneRowP99Ms: 0.02, rowMs: 0.001 },
        featureServiceVersion: null,
        inputs: expect.any(Array) as unknown,
        outputs: expect.any(Array) as unknown,
        opsets: expect.any(Object) as unknown,
      },
    });
    await models.promote(name, 1);
    expect(await reader.active()).toEqual([{ ...model, stage: 'active' }]);

    const scorer = new Scorer({ loadBytes: (digest) => reader.bytes(digest), startHost: noHost });
    await scorer.reload(await reader.active());
    const rows = manifest.goldenVectors.map((vector) => goldenRow(manifest.featureService.features, vector));
    const answers = await scorer.score(name, rows);
    await scorer.close();
    manifest.goldenVectors.forEach(({ expected }, i) => {
      if (expected.score !== undefined) expect(answers[i]?.score).toBeCloseTo(expected.score, 4);
      expect(answers[i]?.label).toBe(manifest.outputs.label === undefined ? undefined : expected.label);
      expect(answers[i]?.cluster).toBe(expected.cluster);
    });
  });

  test('gives the same version to the same bytes and manifest, whatever the order of its fields', async () => {
    const { bytes, manifest } = await readModelFixture('iris_clusters');
    const first = await models.register(bytes, manifest);
    clock.advance(5);
    const reordered = Object.fromEntries(Object.entries(manifest).reverse()) as unknown as ModelManifest;
    expect(await models.register(bytes, reordered)).toEqual({ model: first.model, created: false });
  });

  test('numbers the versions of a key and keeps equal bytes once', async () => {
    const { bytes, manifest } = await readModelFixture('iris_clusters');
    const registered = await Promise.all(
      ['a', 'b', 'c', 'd'].map((label) => models.register(bytes, relabelled(manifest, label))),
    );
    expect(registered.map(({ model }) => model.version).sort()).toEqual([1, 2, 3, 4]);
    expect(await blobCount()).toBe(1);
    expect((await reader.all()).map((model) => model.version)).toEqual([4, 3, 2, 1]);
  });

  test('lists all versions, however many there are, on pages that give each once', async () => {
    const { bytes, manifest } = await readModelFixture('iris_clusters');
    await models.register(bytes, manifest);
    await db.database.execute(
      `INSERT INTO models (key, version, digest, stage, manifest, created_at)
       SELECT CASE WHEN i % 2 = 0 THEN 'iris' ELSE 'iris_clusters_b' END, i, digest, 'shadow', manifest, i
       FROM models, generate_series(1, 1201) i`,
    );
    const all = await reader.all();
    expect(all).toHaveLength(1_202);
    expect(all.slice(0, 2).map(({ key, version }) => [key, version])).toEqual([
      ['iris', 1_200],
      ['iris', 1_198],
    ]);
    expect(all[0]?.manifest).toEqual({ ...manifest, goldenVectors: undefined });
    const seen: string[] = [];
    for (let after: ModelPosition | null = null; ;) {
      const page: ListedModel[] = await reader.page(after, 100);
      if (page.length === 0) break;
      seen.push(...page.map(({ key, version }) => `${key} ${String(version).padStart(4, '0')}`));
      after = page.at(-1) ?? null;
    }
    expect(seen).toEqual(all.map(({ key, version }) => `${key} ${String(version).padStart(4, '0')}`).sort());
  });

  test('concurrent registrations of one model give one version', async () => {
    const { bytes, manifest } = await readModelFixture('iris_clusters');
    const registered = await Promise.all([1, 2, 3, 4].map(() => models.register(bytes, manifest)));
    expect(registered.map(({ model }) => model.version)).toEqual([1, 1, 1, 1]);
    expect(registered.filter(({ created }) => created)).toHaveLength(1);
  });

  test('a model that fails its checks leaves no trace', async () => {
    const { bytes, manifest } = await readModelFixture('benign_logistic_zipmap');
    await expect(models.register(bytes, manifest)).rejects.toMatchObject({ code: 'MODEL_INVALID' });
    const forest = await readModelFixture('benign_forest');
    await expect(models.register(forest.bytes, { ...forest.manifest, fill: {} })).rejects.toThrow('golden vectors');
    expect(await reader.all()).toEqual([]);
    expect(await blobCount()).toBe(0);
  });

  test('a model over the bound of bytes is refused before anything is loaded', async () => {
    const { manifest } = await readModelFixture('iris_clusters');
    const bytes = Buffer.alloc(64 * 1024 * 1024 + 1);
    await expect(models.register(bytes, manifest)).rejects.toMatchObject({ code: 'PAYLOAD_TOO_LARGE' });
  });

  test('promotion retires the version that was active, and can be taken back', async () => {
    const { bytes, manifest } = await readModelFixture('iris_clusters');
    for (const label of ['a', 'b']) await models.register(bytes, relabelled(manifest, label));
    const stages = async () => (await reader.all()).map((model) => model.stage);
    await models.promote('iris_clusters', 1);
    expect(await stages()).toEqual(['shadow', 'active']);
    await models.promote('iris_clusters', 2);
    expect(await stages()).toEqual(['active', 'retired']);
    await models.promote('iris_clusters', 1);
    expect(await stages()).toEqual(['retired', 'active']);
    await models.retire('iris_clusters', 1);
    expect(await reader.active()).toEqual([]);
  });

  test('promotion is refused where features are gone since, or of a type that does not fit, and names them', async () => {
    const { bytes, manifest } = await readModelFixture('iris_clusters');
    await models.register(bytes, manifest);
    const types = new Map<string, FeatureType>([
      ['sepal_length_cm', 'int'],
      ['petal_length_cm', 'string'],
      ['petal_width_cm', 'double'],
    ]);
    catalog = {
      typeOf: (name) => types.get(name),
      neededFieldOf: () => undefined,
      serviceFeatures: () => ['another', 'order'],
      serviceVersion: () => 1,
      imputationsOf: () => undefined,
    };
    const promoting = models.promote('iris_clusters', 1);
    await expect(promoting).rejects.toMatchObject({ code: 'MODEL_INVALID' });
    await expect(promoting).rejects.toThrow('there is no feature sepal_width_cm');
    await expect(promoting).rejects.toThrow('petal_length_cm is string, which a float tensor cannot hold');
    expect(await reader.active()).toEqual([]);
    // What the registered service lists by now does not matter: the model reads what it was made with.
    types.set('sepal_width_cm', 'double').set('petal_length_cm', 'double');
    expect(await models.promote('iris_clusters', 1)).toMatchObject({ stage: 'active' });
  });

  test('a promotion is taken back in one step, and that again', async () => {
    const { bytes, manifest } = await readModelFixture('iris_clusters');
    for (const label of ['a', 'b', 'c']) await models.register(bytes, relabelled(manifest, label));
    await expect(models.rollback('iris_clusters')).rejects.toMatchObject({ code: 'CONFLICT' });
    await expect(models.rollback('roses')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await models.promote('iris_clusters', 2);
    await expect(models.rollback('iris_clusters')).rejects.toThrow(
      'no other version of model iris_clusters was active',
    );
    // All within the same millisecond.
    for (const version of [3, 1]) await models.promote('iris_clusters', version);
    const active = async () => (await reader.active()).map(({ version }) => version);
    const before = await definitionsVersion();
    expect(await models.rollback('iris_clusters')).toMatchObject({ version: 3, stage: 'active' });
    expect(await active()).toEqual([3]);
    expect(await definitionsVersion()).toBe(before + 1);
    expect(await models.rollback('iris_clusters')).toMatchObject({ version: 1 });
    expect(await active()).toEqual([1]);
    // One that was taken out of service comes back.
    await models.retire('iris_clusters', 1);
    expect(await models.rollback('iris_clusters')).toMatchObject({ version: 1 });
    const stages = (await reader.all()).map(({ stage }) => stage);
    expect(stages).toEqual(['retired', 'retired', 'active']);
  });

  test('a version keeps what its feature service imputed when it was registered', async () => {
    const { bytes, manifest } = await readModelFixture('iris_clusters');
    const [name = ''] = manifest.featureService.features;
    const imputing = (value: number): FeatureCatalog => ({
      ...fixtureCatalog,
      imputationsOf: (service) => (service === manifest.featureService.name ? { [name]: { value } } : undefined),
    });
    const plain = { ...manifest, fill: {} };
    catalog = imputing(1.5);
    const first = await models.register(bytes, plain);
    expect(first.model.manifest.imputed).toEqual({ [name]: { value: 1.5 } });
    expect(await models.register(bytes, plain)).toEqual({ model: first.model, created: false });
    catalog = imputing(2.5);
    expect((await models.promote('iris_clusters', 1)).manifest.imputed).toEqual({ [name]: { value: 1.5 } });
    const second = await models.register(bytes, plain);
    expect(second).toMatchObject({
      created: true,
      model: { version: 2, manifest: { imputed: { [name]: { value: 2.5 } } } },
    });
  });

  test('the version that answers is not retired while it is asked, others are', async () => {
    const { bytes, manifest } = await readModelFixture('iris_clusters');
    for (const label of ['a', 'b']) await models.register(bytes, relabelled(manifest, label));
    await models.promote('iris_clusters', 1);
    uses = new Map([['iris_clusters', 'segment keen']]);
    await expect(models.retire('iris_clusters', 1)).rejects.toMatchObject({
      code: 'CONFLICT',
      message: 'segment keen asks model iris_clusters',
      hint: 'archive or change segment keen first, or promote another version of the model',
    });
    expect(await models.retire('iris_clusters', 2)).toMatchObject({ stage: 'retired' });
    expect(await models.promote('iris_clusters', 2)).toMatchObject({ stage: 'active' });
    expect((await reader.all()).map(({ stage }) => stage)).toEqual(['active', 'retired']);
  });

  test('concurrent promotions leave one version active', async () => {
    const { bytes, manifest } = await readModelFixture('iris_clusters');
    for (const label of ['a', 'b', 'c']) await models.register(bytes, relabelled(manifest, label));
    await Promise.all([1, 2, 3, 1, 2, 3].map((version) => models.promote('iris_clusters', version)));
    expect(await reader.active()).toHaveLength(1);
  });

  test('only what changes the models that are served makes processes reload', async () => {
    const { bytes, manifest } = await readModelFixture('iris_clusters');
    const before = await definitionsVersion();
    for (const label of ['a', 'b']) await models.register(bytes, relabelled(manifest, label));
    await models.retire('iris_clusters', 2);
    expect(await definitionsVersion()).toBe(before);
    await models.promote('iris_clusters', 1);
    await models.promote('iris_clusters', 1);
    expect(await definitionsVersion()).toBe(before + 1);
    await models.retire('iris_clusters', 1);
    expect(await definitionsVersion()).toBe(before + 2);
  });

  test('versions and digests that do not exist are said to', async () => {
    await expect(models.promote('nothing', 1)).rejects.toMatchObject({ code: 'NOT_FOUND', where: 'key' });
    await expect(models.retire('nothing', 1)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(reader.bytes(randomBytes(32).toString('hex'))).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});
