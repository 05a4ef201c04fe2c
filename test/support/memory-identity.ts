import type { IdentifierOrigin, LoggedEvent, RawIdentifier } from '../../src/events/event.model.js';
import type { Assignment } from '../../src/identity/assignment.store.js';
import { addMember, newComponent, type Component, type KnownProfile } from '../../src/identity/component.model.js';
import { ContestedComponentStore } from '../../src/identity/contested-component.store.js';
import {
  compareEvidence,
  evidenceKey,
  evidenceOf,
  leastEvidence,
  type Evidence,
} from '../../src/identity/evidence.model.js';
import { inAnchorOrder } from '../../src/identity/generic-value.model.js';
import { GenericValueStore } from '../../src/identity/generic-value.store.js';
import { CachedIdentifierPolicy } from '../../src/identity/identifier-policy.js';
import type { IdentityLink, LinkDecision, NewLink } from '../../src/identity/identity-decision.model.js';
import {
  IdentityDecisionReader,
  type StandingIdentifier,
  type StoredMove,
} from '../../src/identity/identity-decision.reader.js';
import type { IdentityLinks } from '../../src/identity/identity-links.model.js';
import { IdentityLinkStore } from '../../src/identity/identity-link.store.js';
import { founderOfNobody, IdentityRetractionStore } from '../../src/identity/identity-retraction.store.js';
import type { RevisionInputOf } from '../../src/identity/identity-revision.model.js';
import { IdentityRevisionStep } from '../../src/identity/identity-revision.step.js';
import type { IdentityRules } from '../../src/identity/identity-rules.model.js';
import { IdentityStep } from '../../src/identity/identity.step.js';
import { countedIn, IdentityStore } from '../../src/identity/identity.store.js';
import type { IdentityWrites } from '../../src/identity/save-identity.js';
import { RevisionDecider } from '../../src/identity/revision-decider.js';
import type { RevisionInput } from '../../src/identity/revised-identity.model.js';
import type { Uuid } from '../../src/platform/ids.js';
import type { Transaction } from '../../src/platform/postgres.js';

/*
 * The steps that resolve identities, as they are, with tables in memory: so that thousands of histories take seconds.
 * Each store does what its statements say, and hands out copies, as a database does.
 */

interface IdentifierRow {
  readonly id: Uuid;
  readonly ns: string;
  readonly value: string;
  readonly componentId: Uuid;
  readonly profileId: Uuid;
  readonly firstPos: number;
  readonly firstAt: number | null;
}

type EvidenceRow = Omit<Evidence, 'identifiers' | 'uncounted'> & { readonly identifierIds: readonly Uuid[] };

/** The rows of all tables of identity. */
class Tables {
  readonly identifiers = new Map<Uuid, IdentifierRow>();
  readonly profiles = new Map<Uuid, KnownProfile>();
  readonly evidence = new Map<string, EvidenceRow>();
  readonly links = new Map<Uuid, IdentityLink>();
  readonly assignments = new Map<string, Assignment>();
  readonly moves: StoredMove[] = [];

  founded(id: Uuid): KnownProfile | null {
    const found = [...this.profiles.values()].find(({ foundingId }) => foundingId === id);
    return found === undefined ? null : { ...found };
  }

  /** Of an identifier; one that never moved has stood for the same since it was first seen. */
  assignmentsOf(id: Uuid): Assignment[] {
    const rows = [...this.assignments.values()].filter(({ identifierId }) => identifierId === id);
    const standing = this.identifiers.get(id);
    if (rows.length > 0 || standing === undefined || standing.firstAt === null) return rows;
    const { profileId, firstPos: fromPos, firstAt: fromAt } = standing;
    return [{ identifierId: id, profileId, fromPos, fromAt }];
  }

  membersOf(ids: readonly Uuid[]): IdentifierRow[] {
    const components = new Set(ids.flatMap((id) => this.identifiers.get(id)?.componentId ?? []));
    return [...this.identifiers.values()].filter(({ componentId }) => components.has(componentId));
  }

  saveEvidence(rows: readonly Evidence[]): void {
    for (const { identifiers, uncounted = [], ...row } of rows) {
      const key = `${row.anchorId} ${evidenceKey(row)}`;
      const standing = this.evidence.get(key);
      if (standing !== undefined && compareEvidence(row, standing) >= 0) continue;
      this.evidence.set(key, {
        ...row,
        knownAt: Math.min(row.knownAt, standing?.knownAt ?? Infinity),
        identifierIds: [...identifiers, ...uncounted].map(({ id }) => id),
      });
    }
  }
}

function keyOf({ identifierId, fromPos }: Assignment): string {
  return `${identifierId} ${String(fromPos)}`;
}

class MemoryIdentityStore extends IdentityStore {
  constructor(private readonly tables: Tables) {
    super();
  }

  override loadComponents(_: Transaction, ids: readonly Uuid[]): Promise<Component[]> {
    const components = new Map<Uuid, Component>();
    for (const row of this.tables.membersOf(ids)) {
      const component = components.get(row.componentId) ?? newComponent(row.componentId, false);
      components.set(row.componentId, component);
      addMember(component, { ...row, founded: this.tables.founded(row.id) });
    }
    return Promise.resolve([...components.values()]);
  }

  override loadStandingComponents(tx: Transaction, ids: readonly Uuid[]): Promise<Component[]> {
    return this.loadComponents(tx, ids);
  }

  override componentsOf(_: Transaction, ids: readonly Uuid[]): Promise<Map<Uuid, Uuid>> {
    const known = ids.flatMap((id) => this.tables.identifiers.get(id) ?? []);
    return Promise.resolve(new Map(known.map(({ id, componentId }) => [id, componentId])));
  }

  override loadWritten(): Promise<Evidence[]> {
    return Promise.resolve([]);
  }

  override loadEvidence(
    _: Transaction,
    components: readonly Component[],
    { rules, perDay, limit }: { readonly rules: IdentityRules; readonly perDay: boolean; readonly limit: number },
  ): Promise<Map<Component, Evidence[]>> {
    const found = new Map(components.map((component): [Component, Evidence[]] => [component, []]));
    for (const [component, rows] of found) {
      const standing = [...this.tables.evidence.values()]
        .filter(({ anchorId }) => this.tables.identifiers.get(anchorId)?.componentId === component.id)
        .sort(compareEvidence);
      const least = new Map<string, EvidenceRow>();
      for (const row of standing) {
        const key = perDay ? evidenceKey(row) : row.setId;
        if (!least.has(key)) least.set(key, row);
      }
      for (const { identifierIds, ...row } of [...least.values()].slice(0, limit)) {
        rows.push({ ...row, ...countedIn(identifierIds, component.members, rules) });
      }
    }
    return Promise.resolve(found);
  }

  override save(_: Transaction, writes: IdentityWrites): Promise<void> {
    const { assignments, identifiers, moves, profiles } = this.tables;
    for (const profile of writes.added?.profiles ?? []) {
      if (profiles.has(profile.id)) throw new Error(`profile ${profile.id} is there already`);
      profiles.set(profile.id, { ...profile });
    }
    for (const { founded: _founded, ...row } of writes.added?.identifiers ?? []) {
      if (identifiers.has(row.id)) throw new Error(`identifier ${row.id} is there already`);
      identifiers.set(row.id, row);
    }
    for (const { identifierId } of writes.assignments) {
      for (const each of this.tables.assignmentsOf(identifierId)) assignments.set(keyOf(each), each);
    }
    for (const profile of writes.profiles) {
      const standing = profiles.get(profile.id);
      profiles.set(
        profile.id,
        standing === undefined ? { ...profile } : { ...standing, mergedInto: profile.mergedInto },
      );
    }
    for (const { founded: _founded, ...row } of writes.identifiers) {
      const standing = identifiers.get(row.id);
      const { componentId, profileId } = row;
      identifiers.set(row.id, standing === undefined ? row : { ...standing, componentId, profileId });
    }
    this.tables.saveEvidence(writes.evidence);
    for (const each of writes.assignments) assignments.set(keyOf(each), each);
    for (const { cause, ...move } of writes.moves) {
      if (cause !== 'contested') moves.push({ ...move, cause, seq: moves.length });
    }
    return Promise.resolve();
  }
}

class MemoryRetractionStore extends IdentityRetractionStore {
  constructor(private readonly tables: Tables) {
    super();
  }

  override namedBy(_: unknown, anchorIds: readonly Uuid[]): Promise<Uuid[]> {
    const rows = [...this.tables.evidence.values()].filter(({ anchorId }) => anchorIds.includes(anchorId));
    return Promise.resolve([...new Set(rows.flatMap(({ identifierIds }) => identifierIds))]);
  }

  override replaceEvidence(_: Transaction, anchorIds: readonly Uuid[], evidence: readonly Evidence[]): Promise<void> {
    for (const [key, { anchorId }] of this.tables.evidence) {
      if (anchorIds.includes(anchorId)) this.tables.evidence.delete(key);
    }
    this.tables.saveEvidence(evidence);
    return Promise.resolve();
  }

  override removeIdentifiers(_: Transaction, ids: readonly Uuid[]): Promise<void> {
    for (const id of ids) this.tables.identifiers.delete(id);
    for (const [key, { identifierId }] of this.tables.assignments) {
      if (ids.includes(identifierId)) this.tables.assignments.delete(key);
    }
    return Promise.resolve();
  }

  override saveFounders(_: Transaction, profiles: readonly KnownProfile[]): Promise<void> {
    for (const { id, foundingId } of profiles) {
      const standing = this.tables.profiles.get(id);
      if (standing !== undefined) this.tables.profiles.set(id, { ...standing, foundingId });
    }
    return Promise.resolve();
  }

  override removeProfiles(_: Transaction, ids: readonly Uuid[]): Promise<void> {
    const gone = new Set(ids);
    for (let before = -1; before < gone.size;) {
      before = gone.size;
      for (const { id, mergedInto } of this.tables.profiles.values()) {
        if (mergedInto !== null && gone.has(mergedInto)) gone.add(id);
      }
    }
    for (const id of gone) this.tables.profiles.delete(id);
    return Promise.resolve();
  }
}

class MemoryLinkStore extends IdentityLinkStore {
  constructor(private readonly tables: Tables) {
    super();
  }

  override around(_: unknown, ids: readonly Uuid[]): Promise<IdentityLinks> {
    const found = standing(this.tables).filter(({ a, b }) => ids.includes(a.id) || ids.includes(b.id));
    const of = (wanted: NewLink['kind']) =>
      found.filter(({ kind }) => kind === wanted).map(({ a, b }): readonly [Uuid, Uuid] => [a.id, b.id]);
    return Promise.resolve({ mustLinks: of('must'), cannotLinks: of('cannot') });
  }

  override withoutOthers(_: unknown, removed: readonly NewLink[]): Promise<NewLink[]> {
    return Promise.resolve([...removed]);
  }

  override insert(_: Transaction, links: readonly NewLink[], decision: LinkDecision): Promise<void> {
    const { actor: createdBy, at: createdAt, reason, revisionId } = decision;
    for (const link of links) {
      const isThere = standing(this.tables).some(
        ({ kind, a, b }) => kind === link.kind && a.id === link.a.id && b.id === link.b.id,
      );
      if (isThere) continue;
      const made = { revisionId, createdBy, createdAt, reason, removedBy: null, removedAt: null };
      this.tables.links.set(link.id, { ...link, model: null, ...made });
    }
    return Promise.resolve();
  }

  override remove(_: Transaction, ids: readonly Uuid[], { actor, at }: LinkDecision): Promise<void> {
    for (const id of ids) {
      const link = this.tables.links.get(id);
      if (link?.removedAt === null) this.tables.links.set(id, { ...link, removedBy: actor, removedAt: at });
    }
    return Promise.resolve();
  }
}

class MemoryDecisionReader extends IdentityDecisionReader {
  constructor(private readonly tables: Tables) {
    super();
  }

  override living(_: unknown, ids: readonly Uuid[]): Promise<Map<Uuid, Uuid>> {
    const { profiles } = this.tables;
    const found = ids.flatMap((asked): [Uuid, Uuid][] => {
      let profile = profiles.get(asked);
      while (profile !== undefined && profile.mergedInto !== null) profile = profiles.get(profile.mergedInto);
      return profile === undefined ? [] : [[asked, profile.id]];
    });
    return Promise.resolve(new Map(found));
  }

  override identifiersOf(_: unknown, profileIds: readonly Uuid[]): Promise<StandingIdentifier[]> {
    return Promise.resolve(
      [...this.tables.identifiers.values()].filter(({ profileId }) => profileIds.includes(profileId)),
    );
  }

  override identifiers(_: unknown, ids: readonly Uuid[]): Promise<StandingIdentifier[]> {
    return Promise.resolve(ids.flatMap((id) => this.tables.identifiers.get(id) ?? []));
  }

  override stoodBefore(_: unknown, move: StoredMove, ids: readonly Uuid[]): Promise<Uuid[]> {
    const isByEvent = move.cause === 'event';
    const upTo = isByEvent ? move.pos - 1 : move.pos;
    const since = this.tables.moves.filter(
      ({ to, from, pos, cause, seq, revisionId }) =>
        (to === move.to || from === move.to) &&
        pos === move.pos &&
        cause !== 'event' &&
        (seq >= move.seq || revisionId === move.revisionId),
    );
    const stood = ids.filter((id) => {
      const own = this.tables.assignmentsOf(id).filter(({ fromPos }) => fromPos <= upTo);
      const last = own.sort((a, b) => a.fromPos - b.fromPos).at(-1);
      const undone = isByEvent ? undefined : since.find(({ identifierIds }) => identifierIds.includes(id));
      return (undone?.from ?? last?.profileId) === move.to;
    });
    return Promise.resolve(stood);
  }

  override link(_: unknown, id: Uuid): Promise<IdentityLink | null> {
    return Promise.resolve(this.tables.links.get(id) ?? null);
  }

  override linksAround(_: unknown, ids: readonly Uuid[]): Promise<IdentityLink[]> {
    return Promise.resolve(standing(this.tables).filter(({ a, b }) => ids.includes(a.id) || ids.includes(b.id)));
  }

  override move(_: unknown, id: Uuid): Promise<StoredMove | null> {
    return Promise.resolve(this.tables.moves.find((move) => move.id === id) ?? null);
  }
}

/** None ever is contested. */
class MemoryContestedStore extends ContestedComponentStore {
  constructor(private readonly tables: Tables) {
    super();
  }

  override among(): Promise<Uuid[]> {
    return Promise.resolve([]);
  }

  override unmark(): Promise<void> {
    return Promise.resolve();
  }

  override rejoin(_: Transaction, joined: readonly { readonly from: Uuid; readonly into: Uuid }[]): Promise<void> {
    const { identifiers } = this.tables;
    for (const { from, into } of joined) {
      for (const row of identifiers.values()) {
        if (row.componentId === from) identifiers.set(row.id, { ...row, componentId: into });
      }
    }
    return Promise.resolve();
  }
}

class MemorySuspects extends GenericValueStore {
  readonly componentIds = new Set<Uuid>();

  override suspect(_: unknown, componentIds: readonly Uuid[]): Promise<void> {
    for (const id of componentIds) this.componentIds.add(id);
    return Promise.resolve();
  }

  override markStale(): Promise<void> {
    return Promise.resolve();
  }
}

function standing({ links }: Tables): IdentityLink[] {
  return [...links.values()].filter(({ removedAt }) => removedAt === null);
}

const policies = new Map<IdentityRules['namespaces'], CachedIdentifierPolicy>();

/** They take long to make, so one is for all that have these rules. Which values are generic is not known to it. */
function policyOf({ generics: _, ...rules }: IdentityRules): CachedIdentifierPolicy {
  const known = policies.get(rules.namespaces) ?? new CachedIdentifierPolicy(rules, { cacheEntries: 1_000 });
  policies.set(rules.namespaces, known);
  return known;
}

/** Nothing looks into it: the stores are in memory. */
const TX = {} as Transaction;

export interface MemoryEvent {
  readonly atMs: number;
  readonly sourceId: number;
  readonly messageId: string;
  readonly raw: readonly RawIdentifier[];
  readonly origin: IdentifierOrigin;
}

interface BatchOptions {
  /** Whether the worker has lost its memory. */
  readonly isCold: boolean;
  /** What is prepared meanwhile; default: nothing. */
  readonly next?: readonly LoggedEvent[];
}

/** Identity resolution as a worker does it, without the rest of the pipeline. */
export class MemoryIdentity {
  readonly tables = new Tables();
  readonly log: LoggedEvent[] = [];
  /** Identifiers that rules block: no event that is accepted carries them. */
  readonly blocked = new Set<Uuid>();
  #rules: IdentityRules;
  #hasLinks = false;
  #ids = 0;
  readonly #suspects = new MemorySuspects();
  readonly #step: IdentityStep;
  readonly #revisions: IdentityRevisionStep;
  readonly #decider: RevisionDecider;

  constructor(rules: IdentityRules) {
    this.#rules = rules;
    const newId = (): Uuid => `00000000-0000-7000-8000-${String(++this.#ids).padStart(12, '0')}`;
    const parts = {
      store: new MemoryIdentityStore(this.tables),
      links: new MemoryLinkStore(this.tables),
      retractions: new MemoryRetractionStore(this.tables),
      contested: new MemoryContestedStore(this.tables),
      generics: this.#suspects,
      partitions: 16,
      newId,
    };
    this.#step = new IdentityStep({ ...parts, rules, rowsAhead: 2 });
    this.#revisions = new IdentityRevisionStep(parts);
    const reader = new MemoryDecisionReader(this.tables);
    this.#decider = new RevisionDecider({ reader, policy: policyOf(rules), rules: () => this.#rules, newId });
  }

  /** Position of the last event that was taken in. */
  get pos(): number {
    return this.log.length;
  }

  /** Takes an event in; null if nothing of it counts. It is applied by the next `apply`. */
  accept({ raw, origin, ...key }: MemoryEvent): LoggedEvent | null {
    const resolved = policyOf(this.#rules).resolve(raw, origin);
    const counting = resolved.identifiers.filter(({ id }) => !this.blocked.has(id));
    if (counting.length === 0) return null;
    const identifiers = inAnchorOrder(counting, this.#rules);
    const pos = this.pos + 1;
    const event: LoggedEvent = {
      pos,
      part: 0,
      sourceId: key.sourceId,
      messageId: key.messageId,
      type: 'track',
      name: 'seen',
      occurredAt: key.atMs,
      acceptedAt: pos,
      historical: false,
      identifiers,
      properties: {},
      traits: {},
      context: {},
      groupId: null,
    };
    this.log.push(event);
    return event;
  }

  /** One batch. */
  async apply(events: readonly LoggedEvent[], { isCold, next }: BatchOptions): Promise<void> {
    if (isCold) this.#step.forget();
    const batch = await this.#step.resolve(TX, events, this.#hasLinks);
    // Before anything of this batch is written, as on another connection.
    if (next !== undefined) await this.#step.prepare(TX, next);
    await this.#step.save(TX, batch);
    this.#step.release();
  }

  use(rules: IdentityRules): void {
    this.#rules = rules;
    this.#step.use(rules);
  }

  /** Links that stand from the start. */
  link(links: Iterable<IdentityLink>): void {
    this.#hasLinks = true;
    for (const link of links) this.tables.links.set(link.id, link);
  }

  async decide(revision: RevisionInputOf): Promise<void> {
    this.#hasLinks = true;
    const place = this.#place();
    const decision = { ...place, actor: 'a test', reason: '' };
    const { resultOf: _, ...plan } = await this.#decider.decide(TX, revision, this.pos);
    await this.#revise({ ...plan, ...place }, decision);
  }

  async resolveAll(): Promise<void> {
    await this.#revise({ ids: [...this.tables.identifiers.keys()], ...this.#place() }, null);
  }

  /** That a value stands for many people, or does not any more: the events that hang on it, or on others because of it, move. */
  async setGenerics(value: Uuid, ids: ReadonlySet<Uuid>): Promise<void> {
    this.use({ ...this.#rules, generics: { version: (this.#rules.generics?.version ?? 0) + 1, ids } });
    const anchorIds = new Set<Uuid>();
    const evidence = new Map<string, Evidence>();
    for (const event of this.log) {
      if (!event.identifiers.some(({ id }) => id === value)) continue;
      anchorIds.add(event.identifiers[0]?.id ?? '');
      anchorIds.add(inAnchorOrder(event.identifiers, this.#rules)[0]?.id ?? '');
    }
    for (const [i, event] of this.log.entries()) {
      const placed = { ...event, identifiers: inAnchorOrder(event.identifiers, this.#rules) };
      if (!anchorIds.has(placed.identifiers[0]?.id ?? '')) continue;
      this.log[i] = placed;
      const row = evidenceOf(placed, this.#rules);
      const known = evidence.get(evidenceKey(row));
      evidence.set(evidenceKey(row), known === undefined ? row : leastEvidence(known, row));
    }
    const input = {
      ids: this.tables.identifiers.has(value) ? [value] : [],
      left: { anchorIds: [...anchorIds], evidence: [...evidence.values()] },
      ...this.#place(),
    };
    this.#step.forget();
    const found = await this.#revisions.reanchor(TX, input);
    await this.#revisions.save(TX, found, input);
  }

  #place() {
    const revisionId: Uuid = `00000000-0000-7000-8001-${String(++this.#ids).padStart(12, '0')}`;
    return { rules: this.#rules, pos: this.pos, at: this.pos, revisionId };
  }

  async #revise(input: RevisionInput, decision: LinkDecision | null): Promise<void> {
    this.#step.forget();
    const found = await this.#revisions.resolve(TX, input);
    await this.#revisions.save(TX, found, input, decision);
    this.#step.forget();
  }

  /** Whom the evidence names that components have in which there may be generic values; each is told once. */
  takeSuspects(): Uuid[] {
    const anchors = new Set(this.tables.membersOf([...this.#suspects.componentIds]).map(({ id }) => id));
    this.#suspects.componentIds.clear();
    const rows = [...this.tables.evidence.values()].filter(({ anchorId }) => anchors.has(anchorId));
    return [...new Set(rows.flatMap(({ identifierIds }) => identifierIds))];
  }

  nameOf(id: Uuid): string {
    const row = this.tables.identifiers.get(id);
    return row === undefined ? id : `${row.ns}:${row.value}`;
  }

  get partition(): Uuid[][] {
    const groups = new Map<Uuid, string[]>();
    for (const { id, profileId } of this.tables.identifiers.values()) {
      groups.set(profileId, [...(groups.get(profileId) ?? []), this.nameOf(id)]);
    }
    return [...groups.values()].map((group) => group.sort()).sort((a, b) => ((a[0] ?? '') < (b[0] ?? '') ? -1 : 1));
  }

  /** Where aliases lead to; undefined: to nobody. */
  #livingOf(id: Uuid | null): Uuid | null | undefined {
    const profile = id === null ? undefined : this.tables.profiles.get(id);
    if (profile === undefined) return id === null ? null : undefined;
    return profile.mergedInto === null ? profile.id : this.#livingOf(profile.mergedInto);
  }

  /** Profiles whose founding identifier does not stand where it should. */
  get strays(): string[] {
    const { identifiers, profiles } = this.tables;
    const found: string[] = [];
    for (const { id, profileId } of identifiers.values()) {
      if (profiles.get(profileId)?.mergedInto !== null) found.push(`${this.nameOf(id)} stands for an alias or nobody`);
    }
    for (const { id, foundingId, mergedInto } of profiles.values()) {
      const founder = identifiers.get(foundingId);
      const stands = founder === undefined ? null : founder.profileId;
      if (founder === undefined && foundingId !== founderOfNobody(id)) found.push(`${id} has lost its founder`);
      const target = this.#livingOf(mergedInto);
      if (target === undefined) found.push(`${id} is an alias of nobody`);
      // Whose founder is gone with what was generic stays an alias, of aliases too.
      if (founder !== undefined && target !== mergedInto) found.push(`${id} is an alias of an alias`);
      if (stands !== null && stands !== (mergedInto ?? id)) found.push(`${id} is not where its founder is`);
      const isLiving = [...identifiers.values()].some((each) => each.profileId === id);
      if (mergedInto === null && !isLiving) found.push(`${id} is nobody`);
    }
    return found;
  }
}
