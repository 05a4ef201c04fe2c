import { partitionOf, type Uuid } from '../platform/ids.js';
import type { Transaction } from '../platform/postgres.js';
import type { Assignment } from './assignment.store.js';
import {
  absorb,
  addMember,
  newComponent,
  type Component,
  type KnownIdentifier,
  type KnownProfile,
} from './component.model.js';
import type { ContestedComponentStore } from './contested-component.store.js';
import { genericBoundOf, isSuspicious } from './generic-value.model.js';
import type { GenericValueStore } from './generic-value.store.js';
import { withAwaited } from './awaited-evidence.reader.js';
import { placedEvidence, type Evidence } from './evidence.model.js';
import type { Identifier } from '../events/event.model.js';
import { linksAfter, type LinkDecision } from './identity-decision.model.js';
import type { IdentityLinkStore } from './identity-link.store.js';
import type { IdentifierPair, IdentityLinks } from './identity-links.model.js';
import { movesOf, type IdentifierMove } from './identity-move.model.js';
import type { IdentityRetractionStore } from './identity-retraction.store.js';
import { isHeardOnce, type IdentityRules } from './identity-rules.model.js';
import type { IdentityStore } from './identity.store.js';
import { MAX_REPLAY_ROWS } from './resolve-component.js';
import { joinedBy } from './join-components.js';
import { lockComponents, lockLinkedComponents } from './lock-components.js';
import { nothingFound, type IdentityRevision, type RevisionInput } from './revised-identity.model.js';
import { Reassignment } from './reassign-profiles.js';
import { MAX_SPLIT_ROWS, splitComponent, type SplitComponent } from './split-component.js';

/*
 * Who is who once something changed that no event brought: events were taken back, or somebody decided who is, or is
 * not, the same person.
 *
 * Invariants
 * 1. Identifiers that no evidence names any more are gone, as if they had never been seen; not so those whom events name
 *    that are yet to be moved away from a generic value (`awaited-evidence.reader.ts`). What is left of a component
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
  readonly contested: ContestedComponentStore;
  readonly generics: GenericValueStore;
  readonly partitions: number;
  /** A new id, of a profile or a move, as of `nowMs`. */
  readonly newId: (nowMs: number) => Uuid;
  /** Rows of evidence beyond which a component is contested. */
  readonly maxReplayRows?: number;
}

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
   * Locks everybody whom evidence of these anchors names, with their components.
   * @returns whom it names
   * @throws WeftError UNAVAILABLE if another worker joined identities meanwhile: to be repeated
   */
  async lockNamed(tx: Transaction, anchorIds: readonly Uuid[]): Promise<Uuid[]> {
    const named = await this.#options.retractions.namedBy(tx, anchorIds);
    await this.lock(tx, named);
    return named;
  }

  /**
   * The same as {@link resolve}, where events were taken back: replaces the evidence of the anchors. To be called with
   * those locked whom it named ({@link lockNamed}), and `ids` being these.
   */
  async retract(
    tx: Transaction,
    input: RevisionInput & Required<Pick<RevisionInput, 'left'>>,
  ): Promise<IdentityRevision> {
    const { anchorIds, evidence } = input.left;
    await this.#options.retractions.replaceEvidence(tx, anchorIds, evidence);
    return this.resolve(tx, input);
  }

  /**
   * The same where events hang on other anchors than before: whoever they name, and was not known or of another
   * component, is of the component of those they are named with. To be called with nobody else at work.
   */
  async reanchor(
    tx: Transaction,
    input: RevisionInput & Required<Pick<RevisionInput, 'left'>>,
  ): Promise<IdentityRevision> {
    const { retractions } = this.#options;
    const { anchorIds, evidence, movedIds, standing } = input.left;
    const named = standing?.names() ?? (await retractions.namedBy(tx, anchorIds));
    if (standing === undefined) await retractions.replaceEvidence(tx, anchorIds, evidence, movedIds);
    else await retractions.changeEvidence(tx, anchorIds, evidence, { movedIds, standing });
    await this.#connect(tx, evidence, input);
    const names = evidence.flatMap(({ identifiers }) => identifiers.map(({ id }) => id));
    return this.resolve(tx, { ...input, ids: [...new Set([...named, ...names, ...input.ids])] });
  }

  async #connect(tx: Transaction, evidence: readonly Evidence[], { pos, at }: RevisionInput): Promise<void> {
    const { contested, store } = this.#options;
    const named = new Map(evidence.flatMap(({ identifiers }) => identifiers.map((each) => [each.id, each])));
    const componentOf = await store.componentsOf(tx, [...named.keys()]);
    const added = [...named.values()]
      .filter(({ id }) => !componentOf.has(id))
      .map((identifier) => this.#newcomer(identifier, { pos, at }));
    for (const { id } of added) componentOf.set(id, id);
    const founded = added.flatMap(({ founded: profile }) => profile ?? []);
    await store.save(tx, { identifiers: added, profiles: founded, evidence: [], assignments: [], moves: [] });
    const joined = joinedBy(evidence, componentOf);
    if (joined.length > 0) await contested.rejoin(tx, joined, at);
  }

  /** Somebody who is not known yet, by themselves. */
  #newcomer({ id, ns, value }: Identifier, { pos, at }: Pick<RevisionInput, 'pos' | 'at'>): KnownIdentifier {
    const { newId, partitions } = this.#options;
    const profileId = newId(at);
    const place = { foundedPos: pos, createdAt: at, part: partitionOf(id, partitions), mergedInto: null };
    const founded: KnownProfile = { id: profileId, foundingId: id, ...place };
    return { id, ns, value, componentId: id, profileId, firstPos: pos, firstAt: at, founded };
  }

  /** Finds out what follows, and writes nothing. To be called with all locked, or in a snapshot. */
  async resolve(tx: Transaction, input: RevisionInput): Promise<IdentityRevision> {
    const found = nothingFound(input.links);
    const anchors = new Set(input.left?.anchorIds);
    const standing = await this.#options.store.loadComponents(tx, input.ids);
    const links = await this.#linksOf(tx, standing, input.released ?? []);
    for (const { id } of standing) found.settledIds.add(id);
    const { rules } = input;
    const before = new Set(await this.#options.contested.among(tx, [...found.settledIds]));
    const evidence = await this.#loadEvidence(tx, input, standing);
    const joins =
      input.released === undefined
        ? []
        : this.#release(standing, evidence, { ...input, released: input.released }, found);
    const all = await withAwaited(tx, evidence, { rules, maxRows: MAX_SPLIT_ROWS });
    let loaded = standing.map((component): Loaded => ({ component, evidence: all.get(component) ?? null }));
    const gone = await this.#options.links.withoutOthers(tx, found.links.removed);
    const splits: SplitComponent[] = [];
    for (let round = 0; ; round++) {
      const now = linksAfter(links, { added: found.links.added, removed: gone });
      loaded = this.#joined(rules, loaded, [...now.mustLinks, ...joins], found);
      splits.length = 0;
      for (const each of loaded) splits.push(await this.#split(tx, rules, each, now));
      const missing = round === MAX_AMENDMENTS ? [] : (input.amend?.(splits.flatMap(groupsOf)) ?? []);
      if (missing.length === 0) break;
      found.links = { ...found.links, added: [...found.links.added, ...missing] };
    }
    for (const [i, { component }] of loaded.entries()) {
      for (const { id, profileId } of component.members.values()) if (anchors.has(id)) found.touched.add(profileId);
      const { parts, vanished } = splits[i] ?? { parts: [], vanished: [] };
      noteContested(found, component.id, parts);
      const isReleased = before.size > 0 && parts.some(({ groups }) => groups !== null);
      if (isReleased) for (const id of component.members.keys()) found.released.add(id);
      if (input.areRulesNew === true) noteSuspects(found, component, parts, rules);
      new Reassignment(component, found, input, { ...this.#options, rules }).run(parts, vanished);
    }
    return found;
  }

  /**
   * Gives identifiers of a contested component the groups that its evidence was found to make. Whoever else is of their
   * profiles, and is in none of these groups, stays together.
   */
  async regroup(
    tx: Transaction,
    groups: readonly (readonly Uuid[])[],
    input: Pick<RevisionInput, 'pos' | 'at' | 'rules'>,
  ): Promise<IdentityRevision> {
    const found = nothingFound();
    const component = await this.#options.store.loadProfilesOf(tx, groups.flat());
    if (component === null) return found;
    const { id, members } = component;
    // Somebody may be gone since.
    const wanted = groups.map((group) => group.filter((each) => members.has(each))).filter(({ length }) => length > 0);
    const placed = new Set(wanted.flat());
    const rest = new Map<Uuid, Uuid[]>();
    for (const member of members.values()) {
      if (placed.has(member.id)) continue;
      rest.set(member.profileId, [...(rest.get(member.profileId) ?? []), member.id]);
    }
    const part = { id, members: [...members.keys()], groups: [...wanted, ...rest.values()] };
    new Reassignment(component, found, input, { ...this.#options, rules: input.rules }).run([part], []);
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
    const { contested, generics } = this.#options;
    if (found.suspects.size > 0) await generics.suspect(tx, [...found.suspects]);
    await Promise.all([
      contested.unmark(tx, [...found.settledIds]),
      contested.mark(tx, [...found.contestedIds], at),
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

  movesOf(found: IdentityRevision, { pos, at, revisionId, ...input }: RevisionInput): IdentifierMove[] {
    const cause = input.cause ?? (revisionId === null ? 'retraction' : 'revision');
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

  /**
   * Locks the members of the components of these identifiers.
   * @param alone identifiers that are locked by themselves, which keeps others from locking their components
   */
  async lock(tx: Transaction, ids: readonly Uuid[], alone: readonly Uuid[] = []): Promise<void> {
    await lockComponents(tx, this.#options, ids, alone);
  }

  /** The same with the components that links of their members lead to; who is locked, or null: all others have to wait. */
  async lockLinked(tx: Transaction, ids: readonly Uuid[]): Promise<ReadonlySet<Uuid> | null> {
    return lockLinkedComponents(tx, this.#options, ids);
  }

  get #maxReplayRows(): number {
    return this.#options.maxReplayRows ?? MAX_REPLAY_ROWS;
  }

  async #loadEvidence(
    tx: Transaction,
    { rules, released = [] }: RevisionInput,
    components: readonly Component[],
  ): Promise<Map<Component, Evidence[]>> {
    const { store } = this.#options;
    const options = { rules, perDay: !isHeardOnce(rules), limit: MAX_SPLIT_ROWS + 1, others: released };
    return store.loadEvidence(tx, components, options);
  }

  /**
   * Puts evidence where it would belong, and values that would count again among the components.
   * @returns pairs by which components would be one
   */
  #release(
    standing: Component[],
    evidence: Map<Component, Evidence[]>,
    input: RevisionInput & Required<Pick<RevisionInput, 'released'>>,
    found: IdentityRevision,
  ): IdentifierPair[] {
    const { released, rules } = input;
    const ids = new Set(released.map(({ id }) => id));
    for (const [component, rows] of evidence) {
      evidence.set(
        component,
        rows.map((row) => placedEvidence(row, rules, ids)),
      );
    }
    const known = new Set(standing.flatMap(({ members }) => [...members.keys()]));
    for (const value of released.filter(({ id }) => !known.has(id))) {
      const component = newComponent(value.id, false);
      const newcomer = this.#newcomer(value, input);
      addMember(component, newcomer);
      if (newcomer.founded !== null) found.profiles.set(newcomer.profileId, newcomer.founded);
      standing.push(component);
      evidence.set(component, []);
    }
    // Also where a row names nobody of its component any more: what falls apart again is for `#split` to see.
    return [...evidence].flatMap(([{ id, members }, rows]) => {
      const others = rows.flatMap(({ identifiers }) => identifiers).filter((named) => !members.has(named.id));
      return [...new Set(others.map((other) => other.id))].map((other): IdentifierPair => [id, other]);
    });
  }

  /**
   * The links of those who stand and of newcomers. Whom a must-link names elsewhere stands with them, and is added: who was
   * in no evidence for a while, and is again, comes back to whom people said that they are.
   */
  async #linksOf(
    tx: Transaction,
    standing: Component[],
    newcomers: readonly Pick<Identifier, 'id'>[],
  ): Promise<IdentityLinks> {
    const { links, store } = this.#options;
    const asked = new Set(newcomers.map(({ id }) => id));
    let added: readonly Component[] = standing;
    for (;;) {
      for (const { members } of added) for (const id of members.keys()) asked.add(id);
      const found = await links.around(tx, [...asked]);
      const others = found.mustLinks.flat().filter((id) => !asked.has(id));
      if (others.length === 0) return found;
      for (const id of others) asked.add(id);
      added = await store.loadComponents(tx, others);
      standing.push(...added);
    }
  }

  /** Those as one that pairs join. */
  #joined(
    rules: IdentityRules,
    parts: readonly Loaded[],
    pairs: readonly IdentifierPair[],
    found: IdentityRevision,
  ): Loaded[] {
    const partOf = new Map<Uuid, Loaded>();
    for (const part of parts) for (const id of part.component.members.keys()) partOf.set(id, part);
    for (const [a, b] of pairs) {
      const [x, y] = [partOf.get(a), partOf.get(b)];
      if (x === undefined || y === undefined || x === y) continue;
      const [into, from] = x.component.members.size >= y.component.members.size ? [x, y] : [y, x];
      for (const member of from.component.members.values()) found.identifiers.add(member);
      absorb(into.component, from.component, rules);
      const evidence = into.evidence === null || from.evidence === null ? null : [...into.evidence, ...from.evidence];
      const joined = { component: into.component, evidence };
      for (const id of joined.component.members.keys()) partOf.set(id, joined);
    }
    return [...new Set(partOf.values())];
  }

  /** What the component falls into; only who is gone, for one with more evidence than is looked at. */
  async #split(
    tx: Transaction,
    rules: IdentityRules,
    { component, evidence }: Loaded,
    links: IdentityLinks,
  ): Promise<SplitComponent> {
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

function noteContested(found: IdentityRevision, id: Uuid, parts: SplitComponent['parts']): void {
  found.settledIds.add(id);
  for (const part of parts) {
    if (part.groups !== null) continue;
    found.contested++;
    found.contestedIds.add(part.id);
    found.settledIds.delete(part.id);
  }
}

/** By other rules more values are neighbours: those that many people share are counted in the evidence by the way. */
function noteSuspects(
  found: IdentityRevision,
  { members }: Component,
  parts: SplitComponent['parts'],
  rules: IdentityRules,
): void {
  for (const part of parts) {
    if (part.members.length + (rules.generics?.ids.size ?? 0) <= genericBoundOf(rules)) continue;
    const counts = new Map<string, number>();
    for (const id of part.members) {
      const ns = members.get(id)?.ns;
      if (ns !== undefined) counts.set(ns, (counts.get(ns) ?? 0) + 1);
    }
    if (isSuspicious(counts, rules)) found.suspects.add(part.id);
  }
}

function groupsOf({ parts }: SplitComponent): (readonly Uuid[])[] {
  return parts.flatMap(({ groups }) => groups ?? []);
}
