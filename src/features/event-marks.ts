import type { WhereFilter } from './compile-where.js';
import type { FeatureEvent, FunnelStep } from './feature.model.js';

/**
 * What the events of a ring are told apart by.
 *
 * - tokens: 1 for the first of the names, 2 for the second, and so on, 0 for all others. Models are trained on them, so
 *   they depend on the definition alone.
 * - steps: bit i is set for an event that can be step i + 1 of a funnel. An event that can be none is not kept.
 */
export type EventMarks =
  | { readonly kind: 'tokens'; readonly names: readonly string[] }
  | { readonly kind: 'steps'; readonly steps: readonly FunnelStep[] };

/** Gives the mark of an event, −1 for one that is not kept. */
export type MarkReader = (event: FeatureEvent) => number;

/** @param compile makes the filter of a condition */
export function markReader(marks: EventMarks, compile: (where: string) => WhereFilter): MarkReader {
  if (marks.kind === 'tokens') {
    const tokens = new Map(marks.names.map((name, i) => [name, i + 1]));
    return ({ name }) => tokens.get(name) ?? 0;
  }
  const steps = marks.steps.map(({ event, where }) => ({
    event,
    filter: where === null ? null : compile(where),
  }));
  return (event) => {
    let mask = 0;
    for (let i = 0; i < steps.length; i++) {
      const step = steps[i];
      if (step?.event === event.name && (step.filter === null || step.filter(event))) mask |= 1 << i;
    }
    return mask === 0 ? -1 : mask;
  };
}
