import type { ConsentTerms } from '../profiles/consent.model.js';
import { compileConsent } from './compile-leaf.js';
import type { EvalContext } from './eval-context.model.js';

/** Whether something is open to a profile: it may be used for all that is needed, or the time has come. */
export interface Gate {
  isOpen(ctx: EvalContext, t: number): boolean;
  /** An instant > t up to which (exclusive) that stays so if no more events come; Infinity if for ever. */
  holdsUntil(ctx: EvalContext, t: number): number;
}

/** Null: nothing is needed. */
export function consentGate(needed: readonly string[], purposes: ReadonlyMap<string, ConsentTerms>): Gate | null {
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

/** Open from `from` on and before `until`, ms. Null: always. */
export function periodGate(from: number | null, until: number | null): Gate | null {
  if (from === null && until === null) return null;
  const [begin, end] = [from ?? -Infinity, until ?? Infinity];
  return {
    isOpen: (_, t) => t >= begin && t < end,
    holdsUntil: (_, t) => (t < begin ? begin : t < end ? end : Infinity),
  };
}

/** Open while all of them are. Null: nothing is ever closed. */
export function bothGates(a: Gate | null, b: Gate | null): Gate | null {
  if (a === null || b === null) return a ?? b;
  return {
    isOpen: (ctx, t) => a.isOpen(ctx, t) && b.isOpen(ctx, t),
    holdsUntil: (ctx, t) => Math.min(a.holdsUntil(ctx, t), b.holdsUntil(ctx, t)),
  };
}
