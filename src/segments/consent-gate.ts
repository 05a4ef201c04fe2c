import type { ConsentTerms } from '../profiles/consent.model.js';
import { compileConsent } from './compile-leaf.js';
import type { EvalContext } from './eval-context.model.js';

/** Whether a profile may be used for all that something needs. */
export interface ConsentGate {
  isOpen(ctx: EvalContext, t: number): boolean;
  /** An instant > t up to which (exclusive) that stays so if no more events come; Infinity if for ever. */
  holdsUntil(ctx: EvalContext, t: number): number;
}

/** Null: nothing is needed. */
export function consentGate(
  needed: readonly string[],
  purposes: ReadonlyMap<string, ConsentTerms>,
): ConsentGate | null {
  if (needed.length === 0) return null;
  const nodes = needed.map((purpose) => compileConsent({ purposes }, purpose));
  return {
    isOpen: (ctx, t) => nodes.every((node) => node.evaluate(ctx, t)),
    holdsUntil: (ctx, t) => {
      let until = Infinity;
      for (const node of nodes) until = Math.min(until, node.hold(ctx, t));
      return until;
    },
  };
}
