import type { Uuid } from '../platform/ids.js';

export type IdentifierPair = readonly [Uuid, Uuid];

/** Decisions by people. Pairs with an end that is not in the evidence have no effect. */
export interface IdentityLinks {
  /** Joined before any evidence, limits aside; the values so joined count as one towards limits. */
  readonly mustLinks: readonly IdentifierPair[];
  /** Never in one group, whatever the evidence; stronger than must-links. */
  readonly cannotLinks: readonly IdentifierPair[];
}

export const NO_LINKS: IdentityLinks = { mustLinks: [], cannotLinks: [] };
