import { startModelScores, type ModelScoresParts } from './start-model-scores.js';
import { startParity, type ParityParts } from './start-parity.js';
import { startSegmentWatch, type SegmentWatchParts } from './start-segment-watch.js';
import { startStatistics, type StatisticsParts } from './start-statistics.js';

/** Starts what looks at how features and segments are doing; for processes that apply events and last. */
export async function startWatches(
  parts: ParityParts &
    Pick<StatisticsParts, 'listen' | 'logger'> &
    Pick<ModelScoresParts, 'engine'> &
    Pick<SegmentWatchParts, 'config'>,
): Promise<void> {
  await startParity(parts);
  await startStatistics(parts);
  await startSegmentWatch(parts);
  await startModelScores(parts);
}
