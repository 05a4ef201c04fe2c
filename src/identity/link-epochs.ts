import type { Uuid } from '../platform/ids.js';
import type { LinkKind } from './identity-decision.model.js';
import type { IdentifierPair, IdentityLinks } from './identity-links.model.js';

/** A link, and for how long it stood. */
export interface DatedLink {
  readonly kind: LinkKind;
  readonly a: Uuid;
  readonly b: Uuid;
  /** From then on, ms. */
  readonly createdAt: number;
  /** Until before then, ms; null: it stands. */
  readonly removedAt: number | null;
}

/** The links that stood from an instant on, until the next epoch. */
export interface LinkEpoch {
  readonly fromMs: number;
  readonly links: IdentityLinks;
}

/** By rising instant; before the first nobody had decided anything. */
export function linkEpochs(dated: readonly DatedLink[]): LinkEpoch[] {
  const instants = new Set(dated.flatMap(({ createdAt, removedAt }) => [createdAt, removedAt ?? createdAt]));
  return [...instants]
    .sort((a, b) => a - b)
    .map((fromMs) => {
      const pairs = (kind: LinkKind): IdentifierPair[] =>
        dated
          .filter((link) => link.kind === kind && link.createdAt <= fromMs && (link.removedAt ?? Infinity) > fromMs)
          .map(({ a, b }) => [a, b]);
      return { fromMs, links: { mustLinks: pairs('must'), cannotLinks: pairs('cannot') } };
    });
}
