import { entropyOf } from './entropy.js';
import type { FeatureDefinition } from './feature.model.js';
import type { RecentEvents, RingAnswer } from './recent-events.model.js';

/**
 * Sessions of the events in a window: an event that comes `gapMs` or more after the one before begins another. An event
 * at `ts` and its session therefore are over at `ts + gapMs`, as they are out of a window of that length.
 *
 * - session_count: how many there are.
 * - session_depth: events of the last one, or their mean over all.
 * - session_duration: from first to last event of the last one, or its mean over all, in units.
 * - session_entropy: how evenly events are spread over the sessions, in bits: the entropy of their shares.
 *
 * A session that began before the window is in it with the events that are.
 */
export function readSessions({ aggregate, unitMs, options }: FeatureDefinition, recent: RecentEvents): RingAnswer {
  const gapMs = options?.gapMs ?? Infinity;
  if (aggregate === 'session_entropy') return sessionEntropy(recent, gapMs);
  const isDepth = aggregate === 'session_depth';
  if (aggregate !== 'session_count' && options?.of !== 'mean') return lastSession(recent, gapMs, isDepth, unitMs ?? 1);
  const { times, from, mayMissOlder } = recent;
  let sessions = 1;
  let insideMs = 0;
  let oldestEndsAt = times.length - 1;
  for (let i = times.length - 1; i > from; i--) {
    const stepMs = (times[i] ?? 0) - (times[i - 1] ?? 0);
    if (stepMs < gapMs) {
      insideMs += stepMs;
    } else {
      sessions++;
      oldestEndsAt = i - 1;
    }
  }
  if (aggregate === 'session_count') {
    return { value: sessions, changesWith: oldestEndsAt, approximate: mayMissOlder };
  }
  const value = isDepth ? (times.length - from) / sessions : insideMs / (sessions * (unitMs ?? 1));
  return { value, changesWith: from, approximate: mayMissOlder };
}

function sessionEntropy({ times, from, mayMissOlder }: RecentEvents, gapMs: number): RingAnswer {
  const sizes: number[] = [];
  let size = 0;
  for (let i = times.length - 1; i >= from; i--) {
    size++;
    const isFirst = i === from || (times[i] ?? 0) - (times[i - 1] ?? 0) >= gapMs;
    if (!isFirst) continue;
    sizes.push(size);
    size = 0;
  }
  return { value: entropyOf(sizes), changesWith: from, approximate: mayMissOlder };
}

function lastSession(
  { times, from, mayMissOlder }: RecentEvents,
  gapMs: number,
  isDepth: boolean,
  unitMs: number,
): RingAnswer {
  const last = times.length - 1;
  let first = last;
  while (first > from && (times[first] ?? 0) - (times[first - 1] ?? 0) < gapMs) first--;
  const value = isDepth ? times.length - first : ((times[last] ?? 0) - (times[first] ?? 0)) / unitMs;
  return { value, changesWith: first, approximate: mayMissOlder && first === from };
}
