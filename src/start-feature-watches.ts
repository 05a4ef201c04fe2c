import { startParity, type ParityParts } from './start-parity.js';
import { startStatistics, type StatisticsParts } from './start-statistics.js';

/** Starts what looks at how features are doing; for processes that apply events and last. */
export async function startFeatureWatches(parts: ParityParts & Pick<StatisticsParts, 'listen'>): Promise<void> {
  await startParity(parts);
  await startStatistics(parts);
}
