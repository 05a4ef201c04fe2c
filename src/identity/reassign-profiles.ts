import { partitionOf, type Uuid } from '../platform/ids.js';
import { assignProfiles } from './assign-profiles.js';
import type { Component, KnownIdentifier, KnownProfile } from './component.model.js';
import { founderOfNobody } from './identity-retraction.store.js';
import { compareByPriority, type IdentityRules } from './identity-rules.model.js';
import type { IdentityRevision, RevisionInput } from './revised-identity.model.js';
import type { ComponentPart } from './split-component.js';

interface ReassignmentOptions {
  readonly rules: IdentityRules;
  readonly partitions: number;
  readonly newId: (nowMs: number) => Uuid;
}

/** Of one component that was resolved anew: who goes where. The invariants are those of `identity-revision.step.ts`. */
export class Reassignment {
  readonly #before = new Map<Uuid, Uuid>();
  readonly #eldestFirst: readonly KnownIdentifier[];

  constructor(
    private readonly component: Component,
    private readonly found: IdentityRevision,
    private readonly place: Pick<RevisionInput, 'pos' | 'at'>,
    private readonly options: ReassignmentOptions,
  ) {
    const { rules } = options;
    for (const { id, profileId } of component.members.values()) this.#before.set(id, profileId);
    this.#eldestFirst = [...component.members.values()].sort(
      (a, b) => a.firstPos - b.firstPos || compareByPriority(rules, a, b),
    );
  }

  run(parts: readonly ComponentPart[], vanished: readonly Uuid[]): void {
    const { members } = this.component;
    const gone = new Set(vanished);
    const orphans: KnownProfile[] = [];
    for (const id of vanished) {
      const member = memberOf(members, id);
      this.found.moves.push({ identifierId: id, from: member.profileId, to: null });
      this.found.touched.add(member.profileId);
      if (member.founded === null) continue;
      if (!this.#refound(member.founded, gone)) orphans.push(member.founded);
      member.founded = null;
    }
    this.#assign(parts);
    for (const part of parts) {
      for (const id of part.members) {
        const member = memberOf(members, id);
        if (member.componentId === part.id) continue;
        member.componentId = part.id;
        this.found.identifiers.add(member);
      }
    }
    // Those that were alive first: their aliases go where they go.
    orphans.sort((a, b) => Number(a.mergedInto !== null) - Number(b.mergedInto !== null));
    for (const orphan of orphans) this.#leave(orphan, gone);
  }

  /** Invariant 2; false if there is nobody. */
  #refound(profile: KnownProfile, gone: ReadonlySet<Uuid>): boolean {
    const heir = this.#eldestFirst.find(
      ({ id, profileId, founded }) => profileId === profile.id && founded === null && !gone.has(id),
    );
    if (heir === undefined) return false;
    heir.founded = { ...profile, foundingId: heir.id };
    this.found.profiles.set(profile.id, heir.founded);
    return true;
  }

  #assign(parts: readonly ComponentPart[]): void {
    const { members } = this.component;
    const { rules, partitions, newId } = this.options;
    const { pos, at } = this.place;
    const assignment = assignProfiles({
      groups: parts.flatMap(({ groups }) => groups ?? []).map((group) => group.map((id) => memberOf(members, id))),
      foundedBy: (id) => memberOf(members, id).founded ?? undefined,
      rules,
      pos,
      newProfileId: () => newId(at),
    });
    for (const { identifierId, to } of assignment.moved) {
      const member = memberOf(members, identifierId);
      this.found.moves.push({ identifierId, from: member.profileId, to });
      member.profileId = to;
      this.found.identifiers.add(member);
    }
    for (const { id, foundingId, foundedPos } of assignment.created) {
      const part = partitionOf(foundingId, partitions);
      const profile = { id, foundingId, foundedPos, createdAt: at, part, mergedInto: null };
      memberOf(members, foundingId).founded = profile;
      this.found.profiles.set(id, profile);
    }
    for (const { from, foundingId, into, previously } of assignment.merged) {
      this.#setAlias(foundingId, into);
      if (previously === null) this.found.merged.set(from, into);
    }
    for (const { foundingId } of assignment.revived) this.#setAlias(foundingId, null);
  }

  /** Invariants 3 and 4. */
  #leave(profile: KnownProfile, gone: ReadonlySet<Uuid>): void {
    const { profiles, merged } = this.found;
    const heir = this.#eldestFirst.find(({ id }) => this.#before.get(id) === profile.id && !gone.has(id));
    const founder = { ...profile, foundingId: founderOfNobody(profile.id) };
    if (heir !== undefined && heir.profileId !== profile.id) {
      profiles.set(profile.id, { ...founder, mergedInto: heir.profileId });
      if (profile.mergedInto === null) merged.set(profile.id, heir.profileId);
    } else if (heir !== undefined || (profile.mergedInto !== null && !this.found.gone.has(profile.mergedInto))) {
      // Of a contested component nobody moves, so it may still stand for somebody who founded another.
      const into = profile.mergedInto === null ? null : (merged.get(profile.mergedInto) ?? profile.mergedInto);
      profiles.set(profile.id, { ...founder, mergedInto: into });
    } else {
      this.found.gone.add(profile.id);
    }
  }

  #setAlias(foundingId: Uuid, into: Uuid | null): void {
    const profile = memberOf(this.component.members, foundingId).founded;
    if (profile === null) throw new Error('a merged profile was not founded in its component');
    profile.mergedInto = into;
    this.found.profiles.set(profile.id, profile);
  }
}

function memberOf(members: ReadonlyMap<Uuid, KnownIdentifier>, id: Uuid): KnownIdentifier {
  const member = members.get(id);
  if (member === undefined) throw new Error('evidence names an identifier outside its component');
  return member;
}
