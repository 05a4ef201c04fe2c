import type { Identifier } from '../events/event.model.js';
import type { Uuid } from '../platform/ids.js';
import { unionOfLinks, type IdentityLinks } from './identity-links.model.js';

export const LINK_KINDS = ['must', 'cannot'] as const;
export type LinkKind = (typeof LINK_KINDS)[number];

/** Whose a link is. */
export type LinkOrigin = 'person' | 'model';

/** By which model a link was made, and how much it weighed. */
export interface LinkModel {
  readonly version: string;
  /** log2 of the odds that both ends are of one person. */
  readonly weight: number;
}

/** That two identifiers are, or are not, the same person's; `a.id < b.id`. */
export interface NewLink {
  readonly id: Uuid;
  readonly kind: LinkKind;
  readonly a: Identifier;
  readonly b: Identifier;
  /** Default: people made it. */
  readonly model?: LinkModel | null;
}

/** A link as it is stored, standing or removed. */
export interface IdentityLink extends NewLink {
  /** Null: people made it. */
  readonly model: LinkModel | null;
  readonly revisionId: Uuid;
  readonly createdBy: string;
  /** From when on it counts, ms. */
  readonly createdAt: number;
  readonly reason: string;
  readonly removedBy: string | null;
  /** ms; null while it stands. */
  readonly removedAt: number | null;
}

/** Who decided something, in which revision. */
export interface LinkDecision {
  readonly revisionId: Uuid;
  readonly actor: string;
  readonly reason: string;
  /** The revision's place in acceptance order, ms. */
  readonly at: number;
}

/** What a revision does to the links by hand. */
export interface LinkChange {
  readonly added: readonly NewLink[];
  readonly removed: readonly NewLink[];
}

export const NO_CHANGE: LinkChange = { added: [], removed: [] };

export function newLink(kind: LinkKind, x: Identifier, y: Identifier, id: Uuid): NewLink {
  return x.id < y.id ? { id, kind, a: x, b: y } : { id, kind, a: y, b: x };
}

/** The links once the change is made. */
export function linksAfter(links: IdentityLinks, { added, removed }: LinkChange): IdentityLinks {
  const of = (kind: NewLink['kind'], standing: IdentityLinks['mustLinks']): IdentityLinks['mustLinks'] => {
    const gone = new Set(removed.filter((link) => link.kind === kind).map(({ a, b }) => `${a.id} ${b.id}`));
    return standing.filter((pair) => !gone.has([...pair].sort().join(' ')));
  };
  const pairs = (kind: NewLink['kind']): IdentityLinks['mustLinks'] =>
    added.filter((link) => link.kind === kind).map(({ a, b }) => [a.id, b.id]);
  return unionOfLinks(
    { mustLinks: of('must', links.mustLinks), cannotLinks: of('cannot', links.cannotLinks) },
    { mustLinks: pairs('must'), cannotLinks: pairs('cannot') },
  );
}
