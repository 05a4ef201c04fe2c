import {
  DAY,
  MAX_DAYS,
  MAX_WEEKS,
  MIN_WEEKS,
  unusualVolume,
  WEEK,
  type HourlyCounts,
} from '../platform/unusual-volume.js';
import { HOUR_MS } from './source-activity.model.js';
import type { Anomaly } from './source-anomaly.model.js';

/*
 * Whether what a source sends is unusual, by what it sent before. Pure. Volumes are held against those of other weeks as
 * `unusual-volume.ts` says.
 *
 * Freshness. The events that are usual in the time since the last one, by a low estimate: the second smallest of the same
 * hour in the weeks before (the smallest of fewer than five), and of its neighbours. Thirty that did not come are
 * unusual, so a busy source is missed within minutes, and nobody is missed at night.
 */

const MIN_MISSED_EVENTS = 30;
const MIN_SILENCE_MS = 15 * 60_000;
const MAX_SILENCE_HOURS = 2 * WEEK;

/** Live events of each full hour, beginning with the first one in which the source was known. */
export interface SourceSeries extends HourlyCounts {
  /** ms; null: never. */
  readonly lastSeenAt: number | null;
}

/** What is unusual now; at most one of volume, and staleness. */
export function detectAnomalies(series: SourceSeries, nowMs: number): readonly Anomaly[] {
  return [volumeAnomaly(series), staleAnomaly(series, nowMs)].filter((anomaly) => anomaly !== null);
}

function volumeAnomaly(series: SourceSeries): Anomaly | null {
  const unusual = unusualVolume(series);
  if (unusual === null) return null;
  const { direction, ...volume } = unusual;
  return { kind: direction === 'low' ? 'volume_low' : 'volume_high', ...volume };
}

function staleAnomaly({ counts, endMs, lastSeenAt }: SourceSeries, nowMs: number): Anomaly | null {
  if (lastSeenAt === null || nowMs - lastSeenAt < MIN_SILENCE_MS) return null;
  const startMs = endMs - counts.length * HOUR_MS;
  const indexOf = (ms: number): number => Math.floor((ms - startMs) / HOUR_MS);
  const seenIndex = indexOf(lastSeenAt);
  const known = Math.min(seenIndex, counts.length);
  let missed = 0;
  const last = Math.min(indexOf(nowMs), seenIndex + MAX_SILENCE_HOURS);
  for (let hour = seenIndex; hour <= last; hour++) {
    const usual = Math.min(...[hour - 1, hour, hour + 1].map((each) => lowEstimate(counts, each, known)));
    if (usual === 0) continue;
    const fromMs = Math.max(lastSeenAt, startMs + hour * HOUR_MS);
    const untilMs = Math.min(nowMs, startMs + (hour + 1) * HOUR_MS);
    missed += (usual * (untilMs - fromMs)) / HOUR_MS;
  }
  if (missed < MIN_MISSED_EVENTS) return null;
  return { kind: 'stale', since: lastSeenAt, expected: Math.round(missed), seen: 0 };
}

/** Of an hour, by the same hour of the weeks before `known`, from which on nothing came; 0 where too little is known. */
function lowEstimate(counts: readonly number[], hour: number, known: number): number {
  const weekly = earlier(counts, hour, known, WEEK, MAX_WEEKS);
  // Seven days hold a Sunday.
  const samples = weekly.length >= MIN_WEEKS ? weekly : earlier(counts, hour, known, DAY, MAX_DAYS);
  if (samples.length < (weekly.length >= MIN_WEEKS ? MIN_WEEKS : 7)) return 0;
  const sorted = samples.sort((a, b) => a - b);
  return (samples.length >= 5 ? sorted[1] : sorted[0]) ?? 0;
}

function earlier(counts: readonly number[], hour: number, known: number, step: number, most: number): number[] {
  const found: number[] = [];
  for (let at = hour - step; at >= 0 && found.length < most; at -= step) {
    if (at < known) found.push(counts[at] ?? 0);
  }
  return found;
}
