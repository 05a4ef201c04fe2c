import { startParity, type ParityParts } from './start-parity.js';
import { startStatistics } from './start-statistics.js';

/** Starts what looks at how features are doing; for processes that apply events and last. */
export async function startFeatureWatches(parts: ParityParts): Promise<void> {
  await startParity(parts);
  await startStatistics(parts);
}
