import type { ModelProbe } from './model-manifest.model.js';

const MAX_INLINE_ROW_MS = 1;
const MAX_INLINE_LOAD_MS = 25;

/**
 * Whether a version may be run on the thread that asks: it is quick, and quick for any row. A loop whose rounds a row
 * decides was measured with the rows that there were.
 */
export function mayRunInline(probe: ModelProbe | null): boolean {
  if (probe === null) return false;
  const { loadMs, oneRowP99Ms } = probe.speed;
  return probe.unboundedOps.length === 0 && oneRowP99Ms <= MAX_INLINE_ROW_MS && loadMs <= MAX_INLINE_LOAD_MS;
}
