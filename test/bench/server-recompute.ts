import { setTimeout as sleep } from 'node:timers/promises';

import { InferenceSession, Tensor } from 'onnxruntime-node';

import type { App } from '../../src/app.js';
import type { BatchResult } from '../../src/pipeline-transaction.js';
import { SegmentReader } from '../../src/segments/segment.reader.js';
import { ENTERED_SEGMENT, shopModel } from './shop-workload.js';

/** Visitors whose events are made and handed over at once. */
export const PEOPLE_AT_ONCE = 5_000;
const POLL_MS = 20;
const ENTER_TIMEOUT_MS = 60_000;

/** Has everybody evaluated anew, until that is done. */
export async function recomputed({ engine }: Pick<App, 'engine'>): Promise<void> {
  const { segmentWork } = engine;
  const { id } = await segmentWork.recompute([]);
  while ((await segmentWork.demand(id)).status !== 'done') await sleep(POLL_MS);
}

/** The model of 100 trees in the runtime alone. */
export interface BareForest {
  /** Scores all rows, so many at a time. */
  run(batchRows: number): Promise<void>;
}

/** With the options that the program gives the runtime, on rows that are there as the runtime takes them. */
export async function bareForest(rows: number): Promise<BareForest> {
  const { bytes, manifest } = await shopModel('benign_forest_100');
  const session = await InferenceSession.create(bytes, {
    ...{ executionProviders: ['cpu'], intraOpNumThreads: 1, interOpNumThreads: 1 },
    ...{ executionMode: 'sequential', graphOptimizationLevel: 'all' },
  });
  const [{ tensor: input, features }] = manifest.inputs as [(typeof manifest.inputs)[number]];
  const width = features.length;
  // As people of the shop have them: counts and sums of a few events.
  const data = Float32Array.from({ length: rows * width }, (_, i) => ((i * 7_919) % 97) / ((i % width) + 1));
  const { score } = manifest.outputs;
  if (score === undefined) throw new Error('the model has no score');
  return {
    run: async (batchRows) => {
      for (let from = 0; from < rows; from += batchRows) {
        const count = Math.min(batchRows, rows - from);
        const part = data.subarray(from * width, (from + count) * width);
        await session.run({ [input]: new Tensor('float32', part, [count, width]) }, [score.output]);
      }
    },
  };
}

/** How long each took from the event being handed over to the commit of its change, ms. */
export async function enterLive(
  app: App,
  { count, everyMs, isBeside }: { readonly count: number; readonly everyMs: number; readonly isBeside: boolean },
): Promise<number[]> {
  const source = await app.sources.ensure({ key: 'web', kind: 'http' });
  const entered = await new SegmentReader(app.db).byKey(ENTERED_SEGMENT.key);
  const committed: number[] = [];
  let isListening = true;
  app.onCommitted(({ changes }: BatchResult) => {
    if (!isListening) return;
    const nowMs = performance.now();
    for (const { segmentId, kind } of changes) {
      if (segmentId === entered?.id && kind === 'enter') committed.push(nowMs);
    }
  });
  let isOver = false;
  // As long as somebody enters there is one under way.
  const beside = isBeside
    ? repeat(
        () => recomputed(app),
        () => isOver,
      )
    : Promise.resolve();
  if (isBeside) await sleep(1_000);
  const handedMs: number[] = [];
  const firstMs = performance.now();
  for (let i = 0; i < count; i++) {
    await sleep(Math.max(0, firstMs + i * everyMs - performance.now()));
    handedMs.push(performance.now());
    const cookie = `entering-${String(isBeside)}-${String(i)}-${String(Math.round(firstMs))}`;
    await app.engine.accept.accept(
      source,
      [
        {
          type: 'track',
          name: ENTERED_SEGMENT.event,
          messageId: cookie,
          identifiers: [{ ns: 'anonymous_id', value: cookie }],
          timestampMs: Date.now(),
        },
      ],
      { historical: false },
    );
    app.engine.worker.wake();
  }
  const untilMs = performance.now() + ENTER_TIMEOUT_MS;
  while (committed.length < count && performance.now() < untilMs) await sleep(POLL_MS);
  isOver = true;
  isListening = false;
  await beside;
  if (committed.length !== count) throw new Error(`${String(committed.length)} of ${String(count)} entered`);
  // Each is of a new profile, and events of new profiles are applied in the order in which they are accepted.
  return committed.map((ms, i) => ms - (handedMs[i] ?? NaN));
}

async function repeat(work: () => Promise<void>, isOver: () => boolean): Promise<void> {
  while (!isOver()) await work();
}
