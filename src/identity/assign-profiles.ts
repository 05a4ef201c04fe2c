import type { Identifier } from '../events/event.model.js';
import type { Uuid } from '../platform/ids.js';
import { compareByPriority, type IdentityRules } from './identity-rules.model.js';

/*
 * Which profile each group of identifiers is, given who they were before.
 *
 * Invariants
 * 1. A profile lives where its founding identifier is. Of the profiles whose founding identifiers share a group, the
 *    one with the least (foundedPos, foundingId) stands for the group; the others are aliases of it.
 * 2. A founding identifier never changes and founds one profile at most: so when a group falls apart again, each part
 *    that holds a founding identifier gets its old id back.
 * 3. No profile is ever removed, and aliases point straight at a living profile.
 * 4. The outcome is a function of the input's sets, but for the ids of new profiles; those are drawn in the order of
 *    their founding identifiers.
 */

/** A profile, alive (`mergedInto` null) or an alias. */
export interface FoundedProfile {
  readonly id: Uuid;
  /** The identifier whose group keeps this id. */
  readonly foundingId: Uuid;
  /** Log position of the event that brought it about. */
  readonly foundedPos: number;
  readonly mergedInto: Uuid | null;
}

export interface PlacedIdentifier extends Identifier {
  /** Log position of the first event that carried it. */
  readonly firstPos: number;
  /** Its profile so far; null if it is new. */
  readonly profileId: Uuid | null;
}

interface AssignmentInput {
  /** All identifiers of the component. */
  readonly identifiers: Iterable<PlacedIdentifier>;
  /** A partition of them, by id; what `resolveComponent` gives. */
  readonly groups: readonly (readonly Uuid[])[];
  /** Every profile, living or not, that one of them founded. */
  readonly profiles: Iterable<FoundedProfile>;
  readonly rules: IdentityRules;
  /** Log position of the event that is being applied. */
  readonly pos: number;
  readonly newProfileId: () => Uuid;
}

export interface ProfileAssignment {
  /** Profile of every identifier. */
  readonly profileOf: ReadonlyMap<Uuid, Uuid>;
  /** The identifiers whose profile changed, in order of (firstPos, priority). */
  readonly moved: readonly { readonly identifierId: Uuid; readonly from: Uuid | null; readonly to: Uuid }[];
  readonly created: readonly FoundedProfile[];
  /**
   * Profiles that are aliases of another one than before. `previously` is the one they were aliases of, null if they
   * were alive: only those are merges that anybody could have noticed.
   */
  readonly merged: readonly { readonly from: Uuid; readonly into: Uuid; readonly previously: Uuid | null }[];
  /** Former aliases that stand for a group of their own again, and whose alias they were. */
  readonly revived: readonly { readonly id: Uuid; readonly previously: Uuid }[];
}

/** @throws RangeError if a group names an identifier that is not given */
export function assignProfiles(input: AssignmentInput): ProfileAssignment {
  const order = (a: PlacedIdentifier, b: PlacedIdentifier): number =>
    a.firstPos - b.firstPos || compareByPriority(input.rules, a, b);
  const byId = new Map<Uuid, PlacedIdentifier>();
  for (const identifier of input.identifiers) byId.set(identifier.id, identifier);
  const groups = input.groups
    .filter((ids) => ids.length > 0)
    .map((ids) => ids.map((id) => placed(byId, id)).sort(order))
    .sort((a, b) => order(eldest(a), eldest(b)));
  const foundedBy = new Map<Uuid, FoundedProfile>();
  for (const profile of input.profiles) foundedBy.set(profile.foundingId, profile);

  const profileOf = new Map<Uuid, Uuid>();
  const moved: { identifierId: Uuid; from: Uuid | null; to: Uuid }[] = [];
  const created: FoundedProfile[] = [];
  const merged: { from: Uuid; into: Uuid; previously: Uuid | null }[] = [];
  const revived: { id: Uuid; previously: Uuid }[] = [];

  for (const group of groups) {
    const claimants = claimantsOf(group, foundedBy);
    let [survivor] = claimants;
    if (survivor === undefined) {
      survivor = { id: input.newProfileId(), foundingId: eldest(group).id, foundedPos: input.pos, mergedInto: null };
      created.push(survivor);
    } else if (survivor.mergedInto !== null) {
      revived.push({ id: survivor.id, previously: survivor.mergedInto });
    }
    for (const { id, mergedInto } of claimants.slice(1)) {
      if (mergedInto !== survivor.id) merged.push({ from: id, into: survivor.id, previously: mergedInto });
    }
    for (const { id, profileId } of group) {
      profileOf.set(id, survivor.id);
      if (profileId !== survivor.id) moved.push({ identifierId: id, from: profileId, to: survivor.id });
    }
  }
  moved.sort((a, b) => order(placed(byId, a.identifierId), placed(byId, b.identifierId)));
  return { profileOf, moved, created, merged, revived };
}

/** The profiles founded by members of the group, the one that stands for it first. */
function claimantsOf(
  group: readonly PlacedIdentifier[],
  foundedBy: ReadonlyMap<Uuid, FoundedProfile>,
): FoundedProfile[] {
  const claimants: FoundedProfile[] = [];
  for (const { id } of group) {
    const profile = foundedBy.get(id);
    if (profile !== undefined) claimants.push(profile);
  }
  return claimants.sort((a, b) => a.foundedPos - b.foundedPos || (a.foundingId < b.foundingId ? -1 : 1));
}

function placed(byId: ReadonlyMap<Uuid, PlacedIdentifier>, id: Uuid): PlacedIdentifier {
  const identifier = byId.get(id);
  if (identifier === undefined) throw new RangeError(`group names an identifier outside the component: ${id}`);
  return identifier;
}

function eldest(group: readonly PlacedIdentifier[]): PlacedIdentifier {
  const [first] = group;
  if (first === undefined) throw new RangeError('a group holds at least one identifier');
  return first;
}
