import type { FeatureDefinition } from './feature.model.js';
import type { RecentEvents, RingAnswer } from './recent-events.model.js';

/**
 * The times between neighbouring events in a window, in units: the last, the least, their mean, or their standard
 * deviation, which is that of the population (divided by n), as that of values is.
 *
 * @returns null where there are too few events
 */
export function readGaps({ unitMs, options }: FeatureDefinition, recent: RecentEvents): RingAnswer | null {
  const { times, from, mayMissOlder } = recent;
  const unit = unitMs ?? 1;
  const last = times.length - 1;
  const gaps = last - from;
  if (gaps < 1) return null;
  const gapBefore = (i: number): number => (times[i] ?? 0) - (times[i - 1] ?? 0);
  const meanMs = ((times[last] ?? 0) - (times[from] ?? 0)) / gaps;
  switch (options?.of) {
    case 'last':
      return { value: gapBefore(last) / unit, changesWith: last - 1, approximate: false };
    case 'min': {
      let least = last;
      for (let i = last - 1; i > from; i--) if (gapBefore(i) < gapBefore(least)) least = i;
      return { value: gapBefore(least) / unit, changesWith: least - 1, approximate: mayMissOlder };
    }
    case 'stddev': {
      let squares = 0;
      for (let i = from + 1; i <= last; i++) squares += (gapBefore(i) - meanMs) ** 2;
      return { value: Math.sqrt(squares / gaps) / unit, changesWith: from, approximate: mayMissOlder };
    }
    default:
      return { value: meanMs / unit, changesWith: from, approximate: mayMissOlder };
  }
}
