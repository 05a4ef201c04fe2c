import type { Identifier } from '../events/event.model.js';
import { WeftError } from '../platform/errors.js';
import type { Uuid } from '../platform/ids.js';
import { newLink, type IdentityLink, type LinkChange, type NewLink } from './identity-decision.model.js';
import { compareByPriority, type IdentityRules } from './identity-rules.model.js';
import { MAX_NEW_LINKS } from './identity-revision.model.js';

/** One of those that are to be the same person. */
export interface MergeSide {
  /** What it is named by, if not by a profile. */
  readonly named: Identifier | null;
  /** All identifiers of the profile; empty: it has not been seen yet. */
  readonly identifiers: readonly Identifier[];
}

export interface MergeDecision {
  readonly links: LinkChange;
  /** Identifiers whose components are resolved anew. */
  readonly ids: readonly Uuid[];
  /** One that stands for the profile that comes of it; null: none of them has been seen yet. */
  readonly center: Uuid | null;
  /** See `RevisionInput.amend`. */
  readonly amend: (groups: readonly (readonly Uuid[])[]) => readonly NewLink[];
}

/**
 * The links that make some profiles one, whatever evidence says or will say.
 *
 * 1. Each side is represented by the identifier that it was named by, else by its highest-priority one, and every two
 *    representatives must stand together: so the decision outlives any of them that vanishes.
 * 2. Cannot-links between the sides go: the newer decision counts.
 * 3. What a limit would push out of the merged profile is linked to it as well (`amend`), so that a merge is never half
 *    done. Where nothing is pushed out, nothing more is linked, and the profile stays open to what evidence says of it.
 *
 * @param standing links that have an end among the sides' identifiers
 */
export function decideMerge(
  sides: readonly MergeSide[],
  standing: readonly IdentityLink[],
  { rules, newId }: { readonly rules: IdentityRules; readonly newId: () => Uuid },
): MergeDecision {
  const sideOf = new Map<Uuid, number>();
  sides.forEach(({ named, identifiers }, i) => {
    for (const { id } of identifiers) sideOf.set(id, i);
    if (named !== null && !sideOf.has(named.id)) sideOf.set(named.id, i);
  });
  const representatives = sides.map((side) => representativeOf(side, rules));
  const has = (link: Pick<NewLink, 'kind' | 'a' | 'b'>): boolean =>
    standing.some(
      ({ kind, a, b, model }) =>
        // What a model linked it may take back.
        model === null && kind === link.kind && a.id === link.a.id && b.id === link.b.id,
    );
  const removed = standing.filter(({ kind, a, b }) => {
    const [x, y] = [sideOf.get(a.id), sideOf.get(b.id)];
    return kind === 'cannot' && x !== undefined && y !== undefined;
  });
  const added: NewLink[] = [];
  representatives.forEach((x, i) => {
    for (const y of representatives.slice(i + 1)) {
      if (x.id === y.id) continue;
      const link = newLink('must', x, y, newId());
      if (!has(link)) added.push(link);
    }
  });
  const seen = sides.flatMap(({ identifiers }) => identifiers);
  const center = sides.findIndex(({ identifiers }) => identifiers.length > 0);
  const middle = representatives[center];
  return {
    links: { added, removed },
    ids: [...new Set([...representatives.map(({ id }) => id), ...removed.flatMap(({ a, b }) => [a.id, b.id])])],
    center: middle?.id ?? null,
    amend: (groups) => (middle === undefined ? [] : pushedOut(groups, seen, middle, newId)),
  };
}

/** Links to those who do not stand with the middle, though they should. */
function pushedOut(
  groups: readonly (readonly Uuid[])[],
  wanted: readonly Identifier[],
  middle: Identifier,
  newId: () => Uuid,
): NewLink[] {
  const group = groups.find((ids) => ids.includes(middle.id));
  if (group === undefined) {
    throw new WeftError('CONFLICT', 'one of the profiles has more evidence than can be resolved at once', {
      hint: 'it is contested: block the values that many people share first',
    });
  }
  const together = new Set(group);
  const out = new Map(wanted.filter(({ id }) => !together.has(id)).map((identifier) => [identifier.id, identifier]));
  if (out.size > MAX_NEW_LINKS) throw tooManyLinks();
  return [...out.values()].map((identifier) => newLink('must', middle, identifier, newId()));
}

function representativeOf({ named, identifiers }: MergeSide, rules: IdentityRules): Identifier {
  const [first, ...others] = named === null ? identifiers : [named];
  if (first === undefined) throw new RangeError('a side of a merge names nobody');
  return others.reduce((best, other) => (compareByPriority(rules, other, best) < 0 ? other : best), first);
}

export function tooManyLinks(): WeftError {
  return new WeftError('PAYLOAD_TOO_LARGE', `that takes more than ${String(MAX_NEW_LINKS)} links`, {
    hint: 'name fewer identifiers at a time',
  });
}
