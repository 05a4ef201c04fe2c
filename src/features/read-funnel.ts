import type { FeatureDefinition } from './feature.model.js';
import type { RecentEvents, RingAnswer } from './recent-events.model.js';

/**
 * The deepest step that somebody reached: the greatest k for which there are k different events in the window, one for
 * each of the steps 1 … k, in the order of the ring, the last of them at most `withinMs` after the first. 0: not even the
 * first step. Each event is one step at most in a chain; other events may lie between.
 *
 * For every depth the chain that began last is kept: whatever event comes next, it goes on with that one if with any
 * (the rule of `windowFunnel` in ClickHouse). So one pass is enough, and the beginning of the chain that reaches the
 * answer last is the event with which the answer goes.
 */
export function readFunnel({ options }: FeatureDefinition, recent: RecentEvents): RingAnswer {
  const { times, marks, from, mayMissOlder } = recent;
  const steps = options?.steps?.length ?? 0;
  const withinMs = options?.withinMs ?? Infinity;
  /** Index of the first event of the latest chain that reached step i + 1; −1: none did. */
  const starts = new Array<number>(steps).fill(-1);
  for (let i = from; i < times.length; i++) {
    const mark = marks[i] ?? 0;
    // Deepest first, so that no event is two steps of one chain.
    for (let step = steps - 1; step > 0; step--) {
      const start = starts[step - 1] ?? -1;
      if (((mark >> step) & 1) === 0 || start < 0 || (times[i] ?? 0) - (times[start] ?? 0) > withinMs) continue;
      if (start > (starts[step] ?? -1)) starts[step] = start;
    }
    if ((mark & 1) === 1) starts[0] = i;
  }
  let depth = 0;
  while (depth < steps && (starts[depth] ?? -1) >= 0) depth++;
  const changesWith = depth === 0 ? times.length - 1 : (starts[depth - 1] ?? from);
  return { value: depth, changesWith, approximate: mayMissOlder && depth < steps };
}

/**
 * Times of the events that the answer rests on, one for each step that was reached, in order; ms. Of the chains that
 * are as deep, that which began last; of each step the first event that may be it.
 */
export function funnelTimes(definition: FeatureDefinition, recent: RecentEvents): number[] {
  const { value: depth, changesWith } = readFunnel(definition, recent);
  const { times, marks } = recent;
  const chain: number[] = [];
  for (let i = changesWith; i < times.length && chain.length < Number(depth); i++) {
    if ((((marks[i] ?? 0) >> chain.length) & 1) === 1) chain.push(times[i] ?? 0);
  }
  return chain;
}
