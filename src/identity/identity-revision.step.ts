import { partitionOf, type Uuid } from '../platform/ids.js';
import { WeftError } from '../platform/errors.js';
import type { Transaction } from '../platform/postgres.js';
import { assignProfiles } from './assign-profiles.js';
import { absorb, type Component, type KnownIdentifier, type KnownProfile } from './component.model.js';
import type { Evidence } from './evidence.model.js';
import { NO_CHANGE, type LinkChange, type LinkDecision, type NewLink } from './identity-decision.model.js';
import type { IdentityLinkStore } from './identity-link.store.js';
import { unionOfLinks, type IdentityLinks } from './identity-links.model.js';
import { movesOf, type IdentifierMove } from './identity-move.model.js';
import { founderOfNobody, type IdentityRetractionStore } from './identity-retraction.store.js';
import { compareByPriority, mayAllMerge, type IdentityRules } from './identity-rules.model.js';
import type { Assignment, IdentityStore } from './identity.store.js';
import { MAX_REPLAY_ROWS } from './resolve-component.js';
import { splitComponent, type ComponentPart, type SplitComponent } from './split-component.js';

/*
 * Who is who once something changed that no event brought: events were taken back, or somebody decided who is, or is
 * not, the same person.
 *
 * Invariants
 * 1. Identifiers that no evidence names any more are gone, as if they had never been seen. What is left of a component
 *    falls into the parts that evidence and must-links connect, and each is resolved by itself (`split-component.ts`).
 * 2. A profile keeps its id as long as anybody is left of it who founded no other: where its founding identifier is gone,
 *    the eldest of those takes the identifier's place.
 * 3. Otherwise those that are left have older profiles of their own, and the profile becomes an alias of what the eldest
 *    of them is now. Where nobody is left, it is gone, and so are its aliases.
 * 4. An alias whose founding identifier is gone stays an alias for good: nothing can revive it.
 * 5. Components resolved anew come out as if their evidence had arrived, in any order, with these links standing.
 */

export interface IdentityRevisionOptions {
  readonly store: IdentityStore;
  readonly links: IdentityLinkStore;
  readonly retractions: IdentityRetractionStore;
  readonly rules: IdentityRules;
  readonly partitions: number;
  /** A new id, of a profile or a move, as of `nowMs`. */
  readonly newId: (nowMs: number) => Uuid;
  /** Rows of evidence beyond which a component is contested. */
  readonly maxReplayRows?: number;
}

/** What is resolved anew, and because of what. */
export interface RevisionInput {
  /** Identifiers whose components are looked at; the ends of all links that change are among them. */
  readonly ids: readonly Uuid[];
  /** Anchors whose evidence changed, with all that is left of it; default: none. */
  readonly left?: { readonly anchorIds: readonly Uuid[]; readonly evidence: readonly Evidence[] };
  /** Links that change; default: none. */
  readonly links?: LinkChange;
  /** What else has to be linked, given what the links so far come to; asked again until that is nothing. */
  readonly amend?: (groups: readonly (readonly Uuid[])[]) => readonly NewLink[];
  /** Log position and instant, ms, from which the new assignments count. */
  readonly pos: number;
  readonly at: number;
  /** The revision that this is; null where it is none. */
  readonly revisionId: Uuid | null;
}

export interface RevisedMove {
  readonly identifierId: Uuid;
  readonly from: Uuid;
  /** Null: the identifier is gone. */
  readonly to: Uuid | null;
}

/** What resolving anew changed. */
export interface IdentityRevision {
  /** In no two of them the same identifier. */
  readonly moves: RevisedMove[];
  /** Profiles that ended and live on as part of another. */
  readonly merged: Map<Uuid, Uuid>;
  /** Profiles of which nobody is left. */
  readonly gone: Set<Uuid>;
  /** Profiles of anchors whose evidence changed, as of before. */
  readonly touched: Set<Uuid>;
  /** Created, or changed. */
  readonly profiles: Map<Uuid, KnownProfile>;
  readonly identifiers: Set<KnownIdentifier>;
  /** Components with more evidence than is replayed: their members stay where they are. */
  contested: number;
  /** All links that changed, amendments among them. */
  links: LinkChange;
}

/** Rows of evidence of a component that are looked at to see what it falls into; one that has more stays whole. */
const MAX_SPLIT_ROWS = 100_000;
/** More are not needed: what is linked once stays together, or cannot. */
const MAX_AMENDMENTS = 3;

/** What resolving starts from: a component, and all that is known of it. */
interface Loaded {
  readonly component: Component;
  /** Null: more than is looked at. */
  readonly evidence: readonly Evidence[] | null;
}

/** Resolves components anew. Keeps nothing between calls. */
export class IdentityRevisionStep {
  readonly #options: IdentityRevisionOptions;

  constructor(options: IdentityRevisionOptions) {
    this.#options = options;
  }

  /**
   * The same as {@link resolve}, where events were taken back: locks everybody concerned, and replaces the evidence of
   * the anchors.
   * @throws WeftError UNAVAILABLE if another worker joined identities meanwhile: to be repeated
   */
  async retract(
    tx: Transaction,
    input: RevisionInput & Required<Pick<RevisionInput, 'left'>>,
  ): Promise<IdentityRevision> {
    const { anchorIds, evidence } = input.left;
    const named = await this.#options.retractions.namedBy(tx, anchorIds);
    await this.lock(tx, named);
    await this.#options.retractions.replaceEvidence(tx, anchorIds, evidence);
    return this.resolve(tx, { ...input, ids: named });
  }

  /** Finds out what follows, and writes nothing. To be called with all locked, or in a snapshot. */
  async resolve(tx: Transaction, input: RevisionInput): Promise<IdentityRevision> {
    const found: IdentityRevision = {
      moves: [],
      merged: new Map(),
      gone: new Set(),
      touched: new Set(),
      profiles: new Map(),
      identifiers: new Set(),
      contested: 0,
      links: input.links ?? NO_CHANGE,
    };
    const anchors = new Set(input.left?.anchorIds);
    const standing = await this.#options.store.loadComponents(tx, input.ids);
    const evidence = await this.#loadEvidence(tx, standing);
    const links = await this.#linksOf(tx, standing);
    let loaded = standing.map((component): Loaded => {
      const rows = evidence.get(component) ?? [];
      return { component, evidence: rows.length <= MAX_SPLIT_ROWS ? rows : null };
    });
    const splits: SplitComponent[] = [];
    for (let round = 0; ; round++) {
      const now = applied(links, found.links);
      loaded = this.#joined(loaded, now, found);
      splits.length = 0;
      for (const each of loaded) splits.push(await this.#split(tx, each, now));
      const missing = round === MAX_AMENDMENTS ? [] : (input.amend?.(splits.flatMap(groupsOf)) ?? []);
      if (missing.length === 0) break;
      found.links = { ...found.links, added: [...found.links.added, ...missing] };
    }
    for (const [i, { component }] of loaded.entries()) {
      for (const { id, profileId } of component.members.values()) if (anchors.has(id)) found.touched.add(profileId);
      const { parts, vanished } = splits[i] ?? { parts: [], vanished: [] };
      found.contested += parts.filter(({ groups }) => groups === null).length;
      new Reassignment(component, found, input, this.#options).run(parts, vanished);
    }
    return found;
  }

  /** @param decision who made it; null where nobody did, and no link changes */
  async save(
    tx: Transaction,
    found: IdentityRevision,
    input: RevisionInput,
    decision: LinkDecision | null = null,
  ): Promise<void> {
    const { pos, at } = input;
    const { store, links, retractions } = this.#options;
    const assignments = found.moves.flatMap(({ identifierId, to }): Assignment[] =>
      to === null ? [] : [{ identifierId, profileId: to, fromPos: pos, fromAt: at }],
    );
    const vanished = found.moves.flatMap(({ identifierId, to }) => (to === null ? [identifierId] : []));
    if (decision !== null) {
      const removed = found.links.removed.map(({ id }) => id);
      await Promise.all([links.remove(tx, removed, decision), links.insert(tx, found.links.added, decision)]);
    }
    await Promise.all([
      retractions.removeIdentifiers(tx, vanished),
      retractions.saveFounders(tx, [...found.profiles.values()]),
      store.save(tx, {
        identifiers: [...found.identifiers],
        profiles: [...found.profiles.values()],
        evidence: [],
        assignments,
        moves: this.movesOf(found, input),
      }),
      retractions.removeProfiles(tx, [...found.gone]),
    ]);
  }

  movesOf(found: IdentityRevision, { pos, at, revisionId }: RevisionInput): IdentifierMove[] {
    const cause = revisionId === null ? 'retraction' : 'revision';
    return movesOf(found.moves, new Set(found.merged.keys()), { pos, at, cause, revisionId }, this.#options.newId);
  }

  /** Of these, the profiles and identifiers that are no more. */
  async goneOf(
    tx: Transaction,
    profileIds: readonly Uuid[],
    identifierIds: readonly Uuid[],
  ): Promise<{ profileIds: Set<Uuid>; identifierIds: Uuid[] }> {
    return this.#options.retractions.goneOf(tx, profileIds, identifierIds);
  }

  /** Locks the members of the components of these identifiers. */
  async lock(tx: Transaction, ids: readonly Uuid[]): Promise<void> {
    const { store } = this.#options;
    const around = await store.membersAround(tx, ids);
    const locked = await store.lock(tx, around);
    const now = await store.membersAround(tx, ids);
    if (now.every((id) => locked.has(id))) return;
    throw new WeftError('UNAVAILABLE', 'identities were joined by another worker meanwhile', { retryAfterMs: 0 });
  }

  get #maxReplayRows(): number {
    return this.#options.maxReplayRows ?? MAX_REPLAY_ROWS;
  }

  async #loadEvidence(tx: Transaction, components: readonly Component[]): Promise<Map<Component, Evidence[]>> {
    const { rules, store } = this.#options;
    return store.loadEvidence(tx, components, { perDay: !mayAllMerge(rules), limit: MAX_SPLIT_ROWS + 1 });
  }

  async #linksOf(tx: Transaction, components: readonly Component[]): Promise<IdentityLinks> {
    return this.#options.links.around(
      tx,
      components.flatMap(({ members }) => [...members.keys()]),
    );
  }

  /** Those as one that must-links join. */
  #joined(parts: readonly Loaded[], { mustLinks }: IdentityLinks, found: IdentityRevision): Loaded[] {
    const partOf = new Map<Uuid, Loaded>();
    for (const part of parts) for (const id of part.component.members.keys()) partOf.set(id, part);
    for (const [a, b] of mustLinks) {
      const [x, y] = [partOf.get(a), partOf.get(b)];
      if (x === undefined || y === undefined || x === y) continue;
      const [into, from] = x.component.members.size >= y.component.members.size ? [x, y] : [y, x];
      for (const member of from.component.members.values()) found.identifiers.add(member);
      absorb(into.component, from.component, this.#options.rules);
      const evidence = into.evidence === null || from.evidence === null ? null : [...into.evidence, ...from.evidence];
      const joined = { component: into.component, evidence };
      for (const id of joined.component.members.keys()) partOf.set(id, joined);
    }
    return [...new Set(partOf.values())];
  }

  /** What the component falls into; only who is gone, for one with more evidence than is looked at. */
  async #split(tx: Transaction, { component, evidence }: Loaded, links: IdentityLinks): Promise<SplitComponent> {
    const { rules } = this.#options;
    if (evidence !== null) {
      return splitComponent({ ...component, evidence, links, rules, maxReplayRows: this.#maxReplayRows });
    }
    const named = await this.#options.retractions.namedIn(tx, component.id);
    const members = [...component.members.keys()].filter((id) => named.has(id));
    const id = members.includes(component.id) ? component.id : (members[0] ?? component.id);
    return {
      parts: members.length === 0 ? [] : [{ id, members, groups: null }],
      vanished: [...component.members.keys()].filter((member) => !named.has(member)),
    };
  }
}

function groupsOf({ parts }: SplitComponent): (readonly Uuid[])[] {
  return parts.flatMap(({ groups }) => groups ?? []);
}

/** The links once the change is made. */
function applied(links: IdentityLinks, { added, removed }: LinkChange): IdentityLinks {
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

/** Of one component: who goes where. */
class Reassignment {
  readonly #before = new Map<Uuid, Uuid>();
  readonly #eldestFirst: readonly KnownIdentifier[];

  constructor(
    private readonly component: Component,
    private readonly found: IdentityRevision,
    private readonly place: Pick<RevisionInput, 'pos' | 'at'>,
    private readonly options: IdentityRevisionOptions,
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
