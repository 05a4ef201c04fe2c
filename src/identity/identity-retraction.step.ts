import { partitionOf, type Uuid } from '../platform/ids.js';
import { WeftError } from '../platform/errors.js';
import type { Transaction } from '../platform/postgres.js';
import { assignProfiles } from './assign-profiles.js';
import type { Component, KnownIdentifier, KnownProfile } from './component.model.js';
import type { Evidence } from './evidence.model.js';
import { founderOfNobody, type IdentityRetractionStore } from './identity-retraction.store.js';
import { compareByPriority, mayAllMerge, type IdentityRules } from './identity-rules.model.js';
import type { Assignment, IdentityStore } from './identity.store.js';
import { MAX_REPLAY_ROWS } from './resolve-component.js';
import { splitComponent, type ComponentPart } from './split-component.js';

/*
 * Who is who once events were taken back.
 *
 * Invariants
 * 1. Identifiers that no evidence names any more are gone, as if they had never been seen. What is left of a component
 *    falls into its connected parts, and each is resolved by itself (`split-component.ts`).
 * 2. A profile keeps its id as long as anybody is left of it who founded no other: where its founding identifier is gone,
 *    the eldest of those takes the identifier's place.
 * 3. Otherwise those that are left have older profiles of their own, and the profile becomes an alias of what the eldest
 *    of them is now. Where nobody is left, it is gone, and so are its aliases.
 * 4. An alias whose founding identifier is gone stays an alias for good: nothing can revive it.
 */

export interface IdentityRetractionOptions {
  readonly store: IdentityStore;
  readonly retractions: IdentityRetractionStore;
  readonly rules: IdentityRules;
  readonly partitions: number;
  readonly newProfileId: (nowMs: number) => Uuid;
  /** Rows of evidence beyond which a component is contested. */
  readonly maxReplayRows?: number;
}

export interface EvidenceLeft {
  /** Anchors whose evidence changed. */
  readonly anchorIds: readonly Uuid[];
  /** All that is left of theirs. */
  readonly evidence: readonly Evidence[];
  /** Log position and instant, ms, from which the new assignments count. */
  readonly pos: number;
  readonly at: number;
}

export interface RetractedMove {
  readonly identifierId: Uuid;
  readonly from: Uuid;
  /** Null: the identifier is gone. */
  readonly to: Uuid | null;
}

/** What taking events back changed. */
export interface IdentityRetraction {
  /** In no two of them the same identifier. */
  readonly moves: RetractedMove[];
  /** Profiles that ended and live on as part of another. */
  readonly merged: Map<Uuid, Uuid>;
  /** Profiles of which nobody is left. */
  readonly gone: Set<Uuid>;
  /** Profiles of anchors whose events were taken back, as of before. */
  readonly touched: Set<Uuid>;
  /** Created, or changed. */
  readonly profiles: Map<Uuid, KnownProfile>;
  readonly identifiers: Set<KnownIdentifier>;
}

/** Rows of evidence of a component that are looked at to see what it falls into; one that has more stays whole. */
const MAX_SPLIT_ROWS = 100_000;

/** Resolves the identities that are left when events were taken back. Keeps nothing between calls. */
export class IdentityRetractionStep {
  readonly #options: IdentityRetractionOptions;

  constructor(options: IdentityRetractionOptions) {
    this.#options = options;
  }

  /**
   * Locks everybody concerned, replaces the evidence of the anchors, and finds out what follows from it.
   * @throws WeftError UNAVAILABLE if another worker joined identities meanwhile: to be repeated
   */
  async resolve(tx: Transaction, left: EvidenceLeft): Promise<IdentityRetraction> {
    const { store, retractions, rules } = this.#options;
    const named = await retractions.namedBy(tx, left.anchorIds);
    await this.#lock(tx, named);
    await retractions.replaceEvidence(tx, left.anchorIds, left.evidence);
    const components = await store.loadComponents(tx, named);
    const evidence = await store.loadEvidence(tx, components, {
      perDay: !mayAllMerge(rules),
      limit: MAX_SPLIT_ROWS + 1,
    });
    const found: IdentityRetraction = {
      moves: [],
      merged: new Map(),
      gone: new Set(),
      touched: new Set(),
      profiles: new Map(),
      identifiers: new Set(),
    };
    const anchors = new Set(left.anchorIds);
    for (const component of components) {
      for (const { id, profileId } of component.members.values()) if (anchors.has(id)) found.touched.add(profileId);
      const rows = evidence.get(component) ?? [];
      const { parts, vanished } =
        rows.length <= MAX_SPLIT_ROWS
          ? splitComponent({ ...component, evidence: rows, rules, maxReplayRows: this.#maxReplayRows })
          : await this.#whole(tx, component);
      new Reassignment(component, found, left, this.#options).run(parts, vanished);
    }
    return found;
  }

  async save(tx: Transaction, found: IdentityRetraction, { pos, at }: EvidenceLeft): Promise<void> {
    const { store, retractions } = this.#options;
    const assignments = found.moves.flatMap(({ identifierId, to }): Assignment[] =>
      to === null ? [] : [{ identifierId, profileId: to, fromPos: pos, fromAt: at }],
    );
    const vanished = found.moves.flatMap(({ identifierId, to }) => (to === null ? [identifierId] : []));
    await Promise.all([
      retractions.removeIdentifiers(tx, vanished),
      retractions.saveFounders(tx, [...found.profiles.values()]),
      store.save(tx, {
        identifiers: [...found.identifiers],
        profiles: [...found.profiles.values()],
        evidence: [],
        assignments,
      }),
      retractions.removeProfiles(tx, [...found.gone]),
    ]);
  }

  /** Of these, the profiles and identifiers that are no more. */
  async goneOf(
    tx: Transaction,
    profileIds: readonly Uuid[],
    identifierIds: readonly Uuid[],
  ): Promise<{ profileIds: Set<Uuid>; identifierIds: Uuid[] }> {
    return this.#options.retractions.goneOf(tx, profileIds, identifierIds);
  }

  get #maxReplayRows(): number {
    return this.#options.maxReplayRows ?? MAX_REPLAY_ROWS;
  }

  async #lock(tx: Transaction, named: readonly Uuid[]): Promise<void> {
    const { store } = this.#options;
    const around = await store.membersAround(tx, named);
    const locked = await store.lock(tx, around);
    const now = await store.membersAround(tx, named);
    if (now.every((id) => locked.has(id))) return;
    throw new WeftError('UNAVAILABLE', 'identities were joined by another worker meanwhile', { retryAfterMs: 0 });
  }

  /** Only who is gone, for a component with more evidence than is looked at. */
  async #whole(tx: Transaction, component: Component): Promise<{ parts: ComponentPart[]; vanished: Uuid[] }> {
    const named = await this.#options.retractions.namedIn(tx, component.id);
    const members = [...component.members.keys()].filter((id) => named.has(id));
    const id = members.includes(component.id) ? component.id : (members[0] ?? component.id);
    return {
      parts: members.length === 0 ? [] : [{ id, members, groups: null }],
      vanished: [...component.members.keys()].filter((member) => !named.has(member)),
    };
  }
}

/** Of one component: who goes where. */
class Reassignment {
  readonly #before = new Map<Uuid, Uuid>();
  readonly #eldestFirst: readonly KnownIdentifier[];

  constructor(
    private readonly component: Component,
    private readonly found: IdentityRetraction,
    private readonly left: EvidenceLeft,
    private readonly options: IdentityRetractionOptions,
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
    const { rules, partitions, newProfileId } = this.options;
    const { pos, at } = this.left;
    const assignment = assignProfiles({
      groups: parts.flatMap(({ groups }) => groups ?? []).map((group) => group.map((id) => memberOf(members, id))),
      foundedBy: (id) => memberOf(members, id).founded ?? undefined,
      rules,
      pos,
      newProfileId: () => newProfileId(at),
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
