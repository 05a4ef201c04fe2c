/** Cost of scoring, in µs: `npx tsx test/bench/scoring.bench.ts` prints one JSON object. */
import { goldenRow } from '../../src/scoring/bind-features.js';
import type { FeatureRow } from '../../src/scoring/prediction.model.js';
import { Scorer } from '../../src/scoring/scorer.js';
import { ScoringBatcher } from '../../src/scoring/scoring-batcher.js';
import { A_QUICK_PROBE, noHost, readModelFixture } from '../support/model-fixtures.js';

const MODEL = 'benign_forest';

async function medianUs(rounds: number, work: () => Promise<unknown>): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < rounds * 2; i++) {
    const startedMs = performance.now();
    await work();
    // The first half warms up.
    if (i >= rounds) times.push((performance.now() - startedMs) * 1_000);
  }
  times.sort((a, b) => a - b);
  return Math.round((times[rounds >> 1] ?? 0) * 10) / 10;
}

const { bytes, manifest } = await readModelFixture(MODEL);
const scorer = new Scorer({ loadBytes: async () => Promise.resolve(bytes), startHost: noHost });
await scorer.reload([
  {
    key: MODEL,
    version: 1,
    digest: MODEL,
    edge: false,
    stage: 'active',
    manifest,
    createdAt: 0,
    canaryPercent: null,
    probe: A_QUICK_PROBE,
  },
]);
const golden = manifest.goldenVectors.map((vector) => goldenRow(manifest.featureService.features, vector));
const rows = Array.from({ length: 1_024 }, (_, i): FeatureRow => golden[i % golden.length] ?? []);
const times = rows.map(() => 0);
const batcher = new ScoringBatcher();
const hundred = rows.slice(0, 100);

const results = {
  model: `${MODEL}, ${String(bytes.length)} bytes, ${String(manifest.featureService.features.length)} features`,
  predict1Us: await medianUs(2_000, () => scorer.predict(MODEL, rows.slice(0, 1), [0])),
  predict100Us: await medianUs(500, () => scorer.predict(MODEL, hundred, times.slice(0, 100))),
  predict1024Us: await medianUs(200, () => scorer.predict(MODEL, rows, times)),
  coalesced100Us: await medianUs(500, () => Promise.all(hundred.map((row) => batcher.predict(scorer, MODEL, row, 0)))),
};
await scorer.close();
console.log(JSON.stringify(results));
