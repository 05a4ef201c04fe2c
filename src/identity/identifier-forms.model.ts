import type { Identifier, IdentifierPolicy, RawIdentifier } from '../events/event.model.js';
import { hashId, type Uuid } from '../platform/ids.js';

/** What somebody may be known by who is named like this. */
export interface IdentifierForms {
  /** By the rules in force; undefined: it does not count by them. */
  readonly now: Identifier | undefined;
  /** Those that somebody may be known by, the likeliest first: as it is written, as it is now, by former rules. */
  readonly ids: readonly Uuid[];
}

/**
 * The forms of an identifier. Rules leave identifiers that are there as they are, so somebody may be known by a form that
 * events do not have any more, or by one that is blocked by now.
 */
export function formsOf(policy: IdentifierPolicy, { ns, value }: RawIdentifier): IdentifierForms {
  const { identifiers, formerIds = [] } = policy.resolve([{ ns, value }]);
  const [now] = identifiers;
  const ids = [hashId(ns, value), ...(now === undefined ? [] : [now.id]), ...formerIds];
  return { now, ids: [...new Set(ids)] };
}

/**
 * What somebody may be known by of whom events with this identifier tell, by the rules in force first; empty: nobody can
 * be. For whoever asks by what people are named by outside, page after page: it costs no more than `resolve`.
 */
export function knownIds(policy: IdentifierPolicy, raw: RawIdentifier): readonly Uuid[] {
  const { identifiers, formerIds = [] } = policy.resolve([raw]);
  const [now] = identifiers;
  return now === undefined ? formerIds : [now.id, ...formerIds];
}

/** Of the forms the one that is known; else the one that counts now. */
export function knownForm({ now, ids }: IdentifierForms, known: ReadonlyMap<Uuid, Identifier>): Identifier | undefined {
  for (const id of ids) {
    const found = known.get(id);
    if (found !== undefined) return { id, ns: found.ns, value: found.value };
  }
  return now;
}
