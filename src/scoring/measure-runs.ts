import type { Feeds } from './bind-features.js';
import type { ModelSession } from './onnx-session.js';

const MAX_RUNS = 200;
/** Time for the runs of few rows, and for those of many; one of each is made however long it takes. */
const MAX_MS = 500;
const MAX_RUNS_OF_MANY = 5;
/** First runs find caches cold and arenas small. */
const WARM_UP_RUNS = 5;

/**
 * How much time runs take of the processor, ms: the 99th percentile of up to 200 with few rows, and the quickest with many.
 * @param now time of the processor that was spent so far, ms
 */
export async function measureRuns(
  session: Pick<ModelSession, 'run'>,
  { few, many, outputs }: { readonly few: Feeds; readonly many: Feeds; readonly outputs: readonly string[] },
  now: () => number,
): Promise<{ oneRowP99Ms: number; manyMs: number }> {
  const timed = async (feeds: Feeds): Promise<number> => {
    const startedMs = now();
    await session.run(feeds, outputs);
    return now() - startedMs;
  };
  const repeated = async (feeds: Feeds, maxRuns: number): Promise<number[]> => {
    const endsMs = now() + MAX_MS;
    const took: number[] = [];
    do took.push(await timed(feeds));
    while (took.length < maxRuns && now() < endsMs);
    return took;
  };
  const first = await repeated(few, WARM_UP_RUNS);
  const runs = await repeated(few, MAX_RUNS);
  // A model that takes a second for a row is not asked for hundreds of them.
  const isSlow = Math.min(...first) > MAX_MS;
  return {
    oneRowP99Ms: percentile99(runs),
    manyMs: isSlow ? NaN : Math.min(...(await repeated(many, MAX_RUNS_OF_MANY))),
  };
}

/** By the nearest rank: of fewer than 100 the longest. */
function percentile99(took: readonly number[]): number {
  const sorted = [...took].sort((a, b) => a - b);
  return sorted[Math.ceil(sorted.length * 0.99) - 1] ?? NaN;
}
