import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';

import {
  A_QUICK_PROBE,
  FIXTURE_MODELS,
  noHost,
  readModelFixture,
  type FixtureModel,
} from '../../test/support/model-fixtures.js';
import type { FeatureValue } from '../features/feature.model.js';
import { goldenRow } from './bind-features.js';
import type { RegisteredModel } from './model-manifest.model.js';
import { sha256Hex } from './onnx-session.js';
import type { FeatureRow } from './prediction.model.js';
import { Scorer, type ScorerOptions } from './scorer.js';

const open: Scorer[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((scorer) => scorer.close()));
});

async function registered(name: FixtureModel, version = 1): Promise<RegisteredModel & { bytes: Buffer }> {
  const { bytes, manifest } = await readModelFixture(name);
  const digest = await sha256Hex(bytes);
  const model = {
    key: name,
    version,
    digest,
    edge: false,
    stage: 'active',
    manifest,
    createdAt: 0,
    canaryPercent: null,
  } as const;
  return { ...model, probe: A_QUICK_PROBE, bytes };
}

async function aScorer(names: readonly FixtureModel[], options: Partial<ScorerOptions> = {}): Promise<Scorer> {
  const models = await Promise.all(names.map((name) => registered(name)));
  const blobs = new Map(models.map((model) => [model.digest, model.bytes]));
  const loadBytes = async (digest: string) => Promise.resolve(blobs.get(digest) ?? Buffer.alloc(0));
  const scorer = new Scorer({ loadBytes, startHost: noHost, ...options });
  open.push(scorer);
  await scorer.reload(models);
  return scorer;
}

function feature(value: number | string | null, validUntil = Number.POSITIVE_INFINITY): FeatureValue {
  return { status: value === null ? 'NOT_FOUND' : 'PRESENT', value, eventTs: null, validUntil, approximate: false };
}

async function goldenRows(name: FixtureModel): Promise<FeatureRow[]> {
  const { manifest } = await readModelFixture(name);
  return manifest.goldenVectors.map((vector) => goldenRow(manifest.featureService.features, vector));
}

/** Rows like those of the golden vectors, with values swapped between them and holes. */
function mixedRows(golden: readonly FeatureRow[], count: number): fc.Arbitrary<FeatureRow[]> {
  const width = golden[0]?.length ?? 0;
  const cell = (column: number) => fc.constantFrom(...golden.map((row) => row[column] as FeatureValue), feature(null));
  return fc.array(fc.tuple(...Array.from({ length: width }, (_, column) => cell(column))), {
    minLength: 1,
    maxLength: count,
  });
}

describe('the scorer', () => {
  test.each(FIXTURE_MODELS)('gives %s the same answer, to the last bit, in any company', async (name) => {
    const scorer = await aScorer([name]);
    const golden = await goldenRows(name);
    await fc.assert(
      fc.asyncProperty(mixedRows(golden, 70), async (rows) => {
        const together = await scorer.score(name, rows);
        const alone = [];
        for (const row of rows) alone.push(...(await scorer.score(name, [row])));
        expect(together).toEqual(alone);
      }),
      { numRuns: 25 },
    );
  });

  test('cuts rows into runs of the bound, and answers them in order', async () => {
    const runs: number[] = [];
    const scorer = await aScorer(['benign_logistic'], {
      maxRowsPerRun: 4,
      observer: { onRun: (_, rows) => runs.push(rows) },
    });
    const golden = await goldenRows('benign_logistic');
    const rows = [...golden, ...golden.slice(0, 3)];
    const answers = await scorer.score('benign_logistic', rows);
    expect(runs).toEqual([4, 4, 1]);
    expect(answers.slice(6)).toEqual(answers.slice(0, 3));
  });

  test('answers no rows with no run', async () => {
    const runs: number[] = [];
    const scorer = await aScorer(['benign_logistic'], { observer: { onRun: (_, rows) => runs.push(rows) } });
    expect(await scorer.score('benign_logistic', [])).toEqual([]);
    expect(runs).toEqual([]);
  });

  test('a prediction says which version, as of when, until when, and on what', async () => {
    const scorer = await aScorer(['iris_clusters']);
    const full = [feature(5), feature(3, 900), feature(1.4, 700), feature(0.2)];
    const holed = [feature(5), feature(null, 800), feature(1.4), feature(0.2)];
    const none = [feature(null), feature(null), feature(null), feature(null)];
    const predictions = await scorer.predict('iris_clusters', [full, holed, none], [500, 501, 502]);
    const { digest } = await registered('iris_clusters');
    expect(predictions[0]).toMatchObject({ modelKey: 'iris_clusters', version: 1, digest });
    expect(predictions.map((p) => p?.asOf)).toEqual([500, 501, 502]);
    expect(predictions.map((p) => p?.inputs)).toEqual(['COMPLETE', 'PARTIAL', 'ABSENT']);
    expect(predictions.map((p) => p?.validUntil)).toEqual([700, 800, Number.POSITIVE_INFINITY]);
  });

  test('tells which models it serves, and refuses others', async () => {
    const scorer = await aScorer(['iris_clusters', 'benign_forest']);
    expect([...scorer.models.keys()]).toEqual(['iris_clusters', 'benign_forest']);
    expect(scorer.models.get('iris_clusters')?.features).toHaveLength(4);
    await expect(scorer.score('iris', [])).rejects.toMatchObject({
      code: 'NOT_FOUND',
      hint: 'active are benign_forest, iris_clusters',
    });
  });

  test('refuses a row of the wrong length by its place', async () => {
    const scorer = await aScorer(['iris_clusters']);
    const [row] = await goldenRows('iris_clusters');
    await expect(scorer.score('iris_clusters', [row ?? [], [feature(1)]])).rejects.toMatchObject({
      code: 'BAD_REQUEST',
      where: 'rows[1]',
    });
  });

  test('ends a call on the version it began with, though that is replaced meanwhile', async () => {
    const loaded: string[] = [];
    const [first, second] = [await registered('iris_clusters'), await registered('iris_clusters', 2)];
    const scorer = new Scorer({
      startHost: noHost,
      maxRowsPerRun: 2,
      loadBytes: async (digest) => {
        loaded.push(digest);
        return Promise.resolve(first.bytes);
      },
    });
    open.push(scorer);
    await scorer.reload([first]);
    const rows = (await goldenRows('iris_clusters')).flatMap((row) => Array.from({ length: 20 }, () => row));
    const times = rows.map(() => 0);
    const [early] = await Promise.all([scorer.predict('iris_clusters', rows, times), scorer.reload([second])]);
    const late = await scorer.predict('iris_clusters', rows, times);
    expect(new Set(early.map((p) => p?.version))).toEqual(new Set([1]));
    expect(new Set(late.map((p) => p?.version))).toEqual(new Set([2]));
    expect(loaded).toEqual([first.digest, first.digest]);
  });

  test('a set goes on answering with the versions that it was made with, whatever is served by now', async () => {
    let loads = 0;
    const [first, second] = [await registered('iris_clusters'), await registered('iris_clusters', 2)];
    const scorer = new Scorer({
      startHost: noHost,
      loadBytes: async () => {
        loads++;
        return Promise.resolve(first.bytes);
      },
    });
    open.push(scorer);
    const rows = await goldenRows('iris_clusters');
    const times = rows.map(() => 0);
    const old = await scorer.reload([first]);
    const before = await old.predict('iris_clusters', rows, times);
    await scorer.reload([second]);
    expect(loads).toBe(2);
    expect(await Promise.all([1, 2].map(() => old.predict('iris_clusters', rows, times)))).toEqual([before, before]);
    expect(loads).toBe(3);
    expect((await scorer.predict('iris_clusters', rows, times)).map((p) => p?.version)).toEqual(times.map(() => 2));
  });

  test('a session that could not be loaded is tried again', async () => {
    const model = await registered('iris_clusters');
    let reachable = true;
    const scorer = new Scorer({
      startHost: noHost,
      loadBytes: async () => (reachable ? Promise.resolve(model.bytes) : Promise.reject(new Error('unreachable'))),
    });
    open.push(scorer);
    const old = await scorer.reload([model]);
    await scorer.close();
    const rows = await goldenRows('iris_clusters');
    reachable = false;
    await expect(old.score('iris_clusters', rows)).rejects.toThrow('unreachable');
    reachable = true;
    await expect(old.score('iris_clusters', rows)).resolves.toHaveLength(6);
  });

  test('keeps the session of a version that stays', async () => {
    let loads = 0;
    const model = await registered('iris_clusters');
    const scorer = new Scorer({
      startHost: noHost,
      loadBytes: async () => {
        loads++;
        return Promise.resolve(model.bytes);
      },
    });
    open.push(scorer);
    await scorer.reload([model]);
    await scorer.reload([model]);
    expect(loads).toBe(1);
  });

  test('serves what it served before where a reload fails', async () => {
    const scorer = await aScorer(['iris_clusters']);
    const broken = { ...(await registered('benign_forest')), digest: 'unknown' };
    await expect(scorer.reload([broken])).rejects.toMatchObject({ code: 'MODEL_INVALID' });
    expect([...scorer.models.keys()]).toEqual(['iris_clusters']);
    await expect(scorer.score('iris_clusters', await goldenRows('iris_clusters'))).resolves.toHaveLength(6);
  });

  test('serves nothing once it is closed, and calls under way still end', async () => {
    const scorer = await aScorer(['benign_forest'], { maxRowsPerRun: 1 });
    const under = scorer.score('benign_forest', await goldenRows('benign_forest'));
    await scorer.close();
    await expect(under).resolves.toHaveLength(6);
    await expect(scorer.score('benign_forest', [])).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});
