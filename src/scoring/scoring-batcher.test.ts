import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';

import { A_QUICK_PROBE, noHost, readModelFixture } from '../../test/support/model-fixtures.js';
import { goldenRow } from './bind-features.js';
import type { FeatureRow, RowScorer } from './prediction.model.js';
import { Scorer } from './scorer.js';
import { ScoringBatcher } from './scoring-batcher.js';

const runs: [string, number][] = [];
let scorer: Scorer;
let forestRows: FeatureRow[];
let irisRows: FeatureRow[];

beforeAll(async () => {
  const [forest, iris] = [await readModelFixture('benign_forest'), await readModelFixture('iris_clusters')];
  const models = [forest, iris].map(({ manifest }) => ({
    key: manifest.key,
    version: 1,
    digest: manifest.key,
    edge: false,
    stage: 'active' as const,
    manifest,
    createdAt: 0,
    canaryPercent: null,
    probe: A_QUICK_PROBE,
  }));
  const blobs = new Map([forest, iris].map(({ bytes, manifest }) => [manifest.key, bytes]));
  scorer = new Scorer({
    loadBytes: async (digest) => Promise.resolve(blobs.get(digest) ?? Buffer.alloc(0)),
    startHost: noHost,
    observer: { onRun: (model, rows) => runs.push([model, rows]) },
  });
  await scorer.reload(models);
  forestRows = forest.manifest.goldenVectors.map((v) => goldenRow(forest.manifest.featureService.features, v));
  irisRows = iris.manifest.goldenVectors.map((v) => goldenRow(iris.manifest.featureService.features, v));
});

afterAll(async () => {
  await scorer.close();
});

beforeEach(() => {
  runs.length = 0;
});

function manyOf(rows: readonly FeatureRow[], count: number): FeatureRow[] {
  return Array.from({ length: count }, (_, i) => rows[i % rows.length] ?? []);
}

describe('the scoring batcher', () => {
  test('concurrent calls become one run per model, and each gets its own answer', async () => {
    const batcher = new ScoringBatcher();
    const rows = manyOf(forestRows, 100);
    const [forest, iris] = await Promise.all([
      Promise.all(rows.map((row, i) => batcher.predict(scorer, 'benign_forest', row, i))),
      Promise.all(irisRows.map((row) => batcher.predict(scorer, 'iris_clusters', row, 7))),
    ]);
    expect(runs).toEqual([
      ['benign_forest', 100],
      ['iris_clusters', 6],
    ]);
    const times = rows.map((_, i) => i);
    expect(forest).toEqual(await scorer.predict('benign_forest', rows, times));
    expect(iris.map((p) => p.asOf)).toEqual([7, 7, 7, 7, 7, 7]);
  });

  test('calls of independent requests in one turn of the loop share the run', async () => {
    const batcher = new ScoringBatcher();
    const request = async (row: FeatureRow) => {
      await Promise.resolve();
      await Promise.resolve();
      return batcher.predict(scorer, 'benign_forest', row, 0);
    };
    await Promise.all(forestRows.map(request));
    expect(runs).toEqual([['benign_forest', 6]]);
  });

  test('more rows than one run may hold are cut', async () => {
    const batcher = new ScoringBatcher();
    await Promise.all(manyOf(forestRows, 1_500).map((row) => batcher.predict(scorer, 'benign_forest', row, 0)));
    expect(runs).toEqual([
      ['benign_forest', 1_024],
      ['benign_forest', 476],
    ]);
  });

  test('a call that cannot be answered fails alone', async () => {
    const batcher = new ScoringBatcher();
    const [good, short, unknown] = await Promise.allSettled([
      batcher.predict(scorer, 'benign_forest', forestRows[0] ?? [], 0),
      batcher.predict(scorer, 'benign_forest', [], 0),
      batcher.predict(scorer, 'nothing', [], 0),
    ]);
    expect(good.status).toBe('fulfilled');
    expect(short).toMatchObject({ status: 'rejected', reason: { code: 'BAD_REQUEST' } });
    expect(unknown).toMatchObject({ status: 'rejected', reason: { code: 'NOT_FOUND' } });
  });

  test('what exceeds the queue is refused at once, and there is room again after the run', async () => {
    const batcher = new ScoringBatcher({ maxQueuedRows: 4 });
    const ask = (row: FeatureRow) => batcher.predict(scorer, 'benign_forest', row, 0);
    const outcomes = await Promise.allSettled(forestRows.map(ask));
    expect(outcomes.map((outcome) => outcome.status)).toEqual([
      ...['fulfilled', 'fulfilled', 'fulfilled', 'fulfilled'],
      ...['rejected', 'rejected'],
    ]);
    expect(outcomes[5]).toMatchObject({ reason: { code: 'OVERLOADED' } });
    await expect(ask(forestRows[5] ?? [])).resolves.toMatchObject({ modelKey: 'benign_forest' });
  });

  test('a run that fails fails its own calls, and the next one is not held up', async () => {
    const batcher = new ScoringBatcher({ maxQueuedRows: 2 });
    const broken: RowScorer = {
      models: scorer.models,
      canaries: scorer.canaries,
      predict: async () => Promise.reject(new Error('broken')),
    };
    const row = forestRows[0] ?? [];
    const [bad, good] = await Promise.allSettled([
      batcher.predict(broken, 'benign_forest', row, 0),
      batcher.predict(scorer, 'benign_forest', row, 0),
    ]);
    expect(bad).toMatchObject({ status: 'rejected', reason: { message: 'broken' } });
    expect(good.status).toBe('fulfilled');
    await expect(batcher.predict(scorer, 'benign_forest', row, 0)).resolves.toBeDefined();
  });
});
