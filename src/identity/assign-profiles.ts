import type { Identifier } from '../events/event.model.js';
import type { Uuid } from '../platform/ids.js';
import { NO_PROFILE } from './component.model.js';
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
 * 4. A group that has not changed gives nothing, so only those that may have are looked at.
 * 5. The outcome is a function of the input's sets, but for the ids of new profiles; those are drawn in the order of
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
  /** Its profile so far; `NO_PROFILE` if it is new. */
  readonly profileId: Uuid;
}

interface AssignmentInput {
  /**
   * The groups that may have changed: whatever else the component has of groups keeps its profiles. Every identifier
   * that left a group must be in one of these.
   */
  readonly groups: readonly (readonly PlacedIdentifier[])[];
  /** The profile, living or not, that an identifier of these groups founded. */
  readonly foundedBy: (identifierId: Uuid) => FoundedProfile | undefined;
  readonly rules: IdentityRules;
  /** Log position of the event that is being applied. */
  readonly pos: number;
  readonly newProfileId: () => Uuid;
}

export interface ProfileAssignment {
  /** The identifiers whose profile changed, in order of (firstPos, priority). */
  readonly moved: readonly { readonly identifierId: Uuid; readonly from: Uuid | null; readonly to: Uuid }[];
  readonly created: readonly FoundedProfile[];
  /**
   * Profiles that are aliases of another one than before, with the identifiers that founded them. `previously` is the
   * one they were aliases of, null if they were alive: only those are merges that anybody could have noticed.
   */
  readonly merged: readonly {
    readonly from: Uuid;
    readonly foundingId: Uuid;
    readonly into: Uuid;
    readonly previously: Uuid | null;
  }[];
  /** Former aliases that stand for a group of their own again, and whose alias they were. */
  readonly revived: readonly { readonly id: Uuid; readonly foundingId: Uuid; readonly previously: Uuid }[];
}

/** Costs one look at each identifier of the groups. */
export function assignProfiles(input: AssignmentInput): ProfileAssignment {
  const order = (a: PlacedIdentifier, b: PlacedIdentifier): number =>
    a.firstPos - b.firstPos || compareByPriority(input.rules, a, b);
  const groups: { eldest: PlacedIdentifier; members: readonly PlacedIdentifier[] }[] = [];
  for (const members of input.groups) {
    const [first, ...others] = members;
    if (first === undefined) continue;
    groups.push({
      eldest: others.reduce((eldest, other) => (order(other, eldest) < 0 ? other : eldest), first),
      members,
    });
  }
  groups.sort((a, b) => order(a.eldest, b.eldest));

  const moved: { identifier: PlacedIdentifier; to: Uuid }[] = [];
  const created: FoundedProfile[] = [];
  const merged: { from: Uuid; foundingId: Uuid; into: Uuid; previously: Uuid | null }[] = [];
  const revived: { id: Uuid; foundingId: Uuid; previously: Uuid }[] = [];
  for (const { eldest, members } of groups) {
    const [oldest, ...younger] = claimantsOf(members, input.foundedBy);
    let survivor = oldest;
    if (survivor === undefined) {
      survivor = { id: input.newProfileId(), foundingId: eldest.id, foundedPos: input.pos, mergedInto: null };
      created.push(survivor);
    } else if (survivor.mergedInto !== null) {
      revived.push({ id: survivor.id, foundingId: survivor.foundingId, previously: survivor.mergedInto });
    }
    const into = survivor.id;
    for (const { id: from, foundingId, mergedInto: previously } of younger) {
      if (previously !== into) merged.push({ from, foundingId, into, previously });
    }
    for (const identifier of members) if (identifier.profileId !== into) moved.push({ identifier, to: into });
  }
  moved.sort((a, b) => order(a.identifier, b.identifier));
  return {
    moved: moved.map(({ identifier: { id, profileId }, to }) => {
      return { identifierId: id, from: profileId === NO_PROFILE ? null : profileId, to };
    }),
    created,
    merged,
    revived,
  };
}

/** The profiles founded by members of the group, the one that stands for it first. */
function claimantsOf(
  group: readonly PlacedIdentifier[],
  foundedBy: AssignmentInput['foundedBy'],
): readonly FoundedProfile[] {
  const claimants: FoundedProfile[] = [];
  for (const { id } of group) {
    const profile = foundedBy(id);
    if (profile !== undefined) claimants.push(profile);
  }
  return claimants.sort((a, b) => a.foundedPos - b.foundedPos || (a.foundingId < b.foundingId ? -1 : 1));
}
