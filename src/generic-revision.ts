import { encodePayload } from './events/event-codec.js';
import type { LoggedEvent } from './events/event.model.js';
import type { RetractionStore } from './events/retraction.store.js';
import type { AnchorState } from './features/anchor-state.model.js';
import type { LoadedDefinitions } from './definitions.js';
import { evidenceKey, evidenceOf, leastEvidence, type Evidence } from './identity/evidence.model.js';
import { genericBoundOf, inAnchorOrder, MAX_GENERIC_VALUES } from './identity/generic-value.model.js';
import { GenericValueReader } from './identity/generic-value.reader.js';
import type { CountedValue, GenericValueStore } from './identity/generic-value.store.js';
import type { IdentityRevisionRecord } from './identity/identity-revision.model.js';
import type { IdentityRevisionStore } from './identity/identity-revision.store.js';
import type { IdentityRules } from './identity/identity-rules.model.js';
import { nextPlace } from './next-place.js';
import { DefinitionsChanged, type Pipeline } from './pipeline.js';
import type { Reanchored } from './pipeline-work.js';
import type { Clock } from './platform/clock.js';
import { newId, partitionOf, type Uuid } from './platform/ids.js';
import type { Database, Transaction } from './platform/postgres.js';
import type { EventLog } from './events/event-log.model.js';
import { foldGiven } from './profiles/groups.model.js';
import type { Traits } from './profiles/trait.model.js';
import { foldTraits } from './profiles/traits.model.js';
import { NO_RESULT, type RevisionResult } from './identity/identity-revision.model.js';
import { resultOf } from './identity/revision-decider.js';

export interface GenericRevisionParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly log: EventLog;
  readonly revisions: IdentityRevisionStore;
  readonly generics: GenericValueStore;
  readonly retractions: RetractionStore;
  readonly pipeline: Pipeline;
  readonly partitions: number;
  /** Anchors that are folded anew in one step, at most. */
  readonly maxStepAnchors?: number;
}

const MAX_STEP_ANCHORS = 500;
const MAX_STEP_EVENTS = 5_000;
/** Revisions that one look asks for, at most. */
const MAX_ASKED = 100;
/** What a revision of a value is at, once it is known whether the value is generic. */
const MOVING = 'moving';
const ACTOR = 'weft';

type MovedEvent = Reanchored['moved'][number];

/**
 * Values that stand for many people: finds them, and has what they joined resolved anew.
 *
 * 1. A look counts the neighbours of values where there may be too many, off the path of events, and asks for a revision
 *    of kind `generic` for each value that is to be another than it is. It counts what the evidence names, whoever
 *    stands where.
 * 2. The first step of a revision decides once more and, if need be, makes the value generic, or none, for all workers at
 *    once, with a new version of the definitions.
 * 3. The steps that follow move events to the anchor that they have by that, some anchors at a time: those anchors are
 *    folded anew from the log, their evidence is where their events belong, and whoever it names is resolved anew, in one
 *    transaction. An event of which another worker has not applied as much yet waits for a later step.
 * 4. What is done is in the log and in the tables alone, so a process that dies leaves whole steps behind.
 */
export class GenericRevision {
  constructor(private readonly parts: GenericRevisionParts) {}

  /** Looks for one value or one component; false if there was none. */
  async look({ identityRules: rules }: LoadedDefinitions): Promise<boolean> {
    const { clock, db, generics } = this.parts;
    const stale = await generics.nextStale(db);
    if (stale !== null) {
      await generics.notStale(db, stale);
      const wanted = await this.#wanted(db, stale, rules);
      if (wanted !== null && (wanted.isChange || (await generics.hasMisplaced(db, stale)))) await this.#ask(wanted);
      return true;
    }
    const begunAt = clock.now();
    const suspect = await generics.nextSuspect(db, begunAt);
    if (suspect === null) return false;
    const crowded = await generics.crowdedIn(db, suspect.id, rules, genericBoundOf(rules));
    let asked = 0;
    for (const { id } of crowded) {
      const wanted = await this.#wanted(db, id, rules);
      if (wanted?.isChange === true && asked < MAX_ASKED) {
        asked++;
        await this.#ask(wanted);
      }
    }
    await generics.cleared(db, suspect, { nowMs: clock.now(), tookMs: clock.now() - begunAt });
    return true;
  }

  /** Has all that are generic counted anew, because other namespaces are unique. */
  async recount(tx: Transaction): Promise<void> {
    await this.parts.generics.markAllStale(tx);
  }

  /**
   * One step.
   * @throws DefinitionsChanged once the value is another for everybody
   */
  async step(definitions: LoadedDefinitions, revision: IdentityRevisionRecord): Promise<void> {
    const id = revision.kind === 'generic' ? revision.input.ids[0] : undefined;
    if (id === undefined) return this.#finish(revision);
    if (revision.place === MOVING) return this.#move(definitions, revision, id);
    const { db, clock, generics, revisions } = this.parts;
    const wanted = await this.#wanted(db, id, definitions.identityRules);
    if (wanted === null) return this.#finish(revision);
    const hasMore = wanted.isChange || (await generics.hasMisplaced(db, id));
    if (!hasMore) return this.#finish(revision);
    await db.transaction(async (tx) => {
      if (wanted.isChange) await generics.toggle(tx, wanted.value, { isGeneric: wanted.isGeneric, nowMs: clock.now() });
      await revisions.advance(tx, revision.id, { ...this.#progress(revision, 0), place: MOVING });
    });
    if (wanted.isChange) throw new DefinitionsChanged();
  }

  /** What the value is to be; null where nobody knows it. */
  async #wanted(db: Database, id: Uuid, rules: IdentityRules) {
    const standing = await new GenericValueReader(db).find(id);
    const [known] = await db.query<{ id: Uuid; ns: string; value: string }>(
      'SELECT id, ns, value FROM identifiers WHERE id = $1',
      [id],
    );
    const named = known ?? standing;
    if (named === null) return null;
    const neighbours = await this.parts.generics.neighboursOf(db, id, rules);
    const wasGeneric = standing?.isGeneric ?? false;
    const hasRoom = wasGeneric || (rules.generics?.ids.size ?? 0) < MAX_GENERIC_VALUES;
    const isGeneric = standing?.isKept !== true && neighbours > genericBoundOf(rules) && hasRoom;
    const value: CountedValue = { id, ns: named.ns, value: named.value, neighbours };
    return { value, isGeneric, isChange: isGeneric !== wasGeneric };
  }

  async #ask({ value, isGeneric }: { value: CountedValue; isGeneric: boolean }): Promise<void> {
    const { clock, db, revisions } = this.parts;
    if (await revisions.isOpenFor(db, value.id)) return;
    const createdAt = clock.now();
    const reason = `seen with ${String(value.neighbours)} of unique namespaces: ${isGeneric ? 'generic' : 'not generic'}`;
    const input = { ids: [value.id] };
    await revisions.insert(db, { kind: 'generic', input, id: newId(createdAt), actor: ACTOR, reason, createdAt });
  }

  async #finish(revision: IdentityRevisionRecord): Promise<void> {
    const { db, revisions } = this.parts;
    await revisions.advance(db, revision.id, { ...this.#progress(revision, 0), place: null });
  }

  #progress(revision: IdentityRevisionRecord, steps: number) {
    const stepsDone = revision.stepsDone + steps;
    return { result: revision.result ?? NO_RESULT, stepsDone, stepsTotal: null, nowMs: this.parts.clock.now() };
  }

  async #move(definitions: LoadedDefinitions, revision: IdentityRevisionRecord, id: Uuid): Promise<void> {
    const { pipeline, revisions } = this.parts;
    const place = await nextPlace(this.parts);
    let isLast = false;
    pipeline.forget();
    await pipeline.reanchor(definitions, {
      ...place,
      revisionId: revision.id,
      find: async (tx) => {
        const found = await this.#find(tx, definitions, id);
        isLast = found.isLast;
        return found.reanchored;
      },
      note: async (tx, who) => {
        const standing = revision.result ?? NO_RESULT;
        const result: RevisionResult = { ...resultOf(who), moved: standing.moved + who.moves.length, merged: [] };
        await revisions.advance(tx, revision.id, {
          ...this.#progress(revision, 1),
          result,
          place: isLast ? null : MOVING,
        });
      },
    });
    pipeline.forget();
  }

  /** The anchors of this step, folded anew with the events that belong to them. */
  async #find(tx: Transaction, definitions: LoadedDefinitions, id: Uuid) {
    const { generics, maxStepAnchors = MAX_STEP_ANCHORS } = this.parts;
    const applied = await appliedPositions(tx);
    const rules = definitions.identityRules;
    const isGeneric = rules.generics?.ids.has(id) === true;
    const others = isGeneric
      ? await this.#targets(tx, id, rules, applied)
      : await generics.mentions(tx, id, maxStepAnchors);
    const anchorIds = [...new Set([id, ...others])];
    const fold = new AnchorFold(definitions, new Set(anchorIds), applied.least);
    for await (const event of this.#events(tx, anchorIds, applied)) fold.add(event);
    const part = (anchorId: Uuid): number => partitionOf(anchorId, this.parts.partitions);
    return {
      isLast: others.length < maxStepAnchors && !fold.isCut,
      reanchored: {
        ids: [id],
        moved: fold.moved.map((moved) => ({ ...moved, part: part(moved.anchorId) })),
        anchors: anchorIds.map((anchorId) => ({
          id: anchorId,
          part: part(anchorId),
          rebuilt: fold.rebuilt.get(anchorId) ?? null,
        })),
        given: anchorIds.map((anchorId) => ({
          anchorId,
          part: part(anchorId),
          given: fold.given.get(anchorId) ?? new Map<string, Traits>(),
        })),
        evidence: [...fold.evidence.values()],
      },
    };
  }

  /** Where the events that hang on the value belong. */
  async #targets(tx: Transaction, id: Uuid, rules: IdentityRules, applied: AppliedPositions): Promise<Uuid[]> {
    const { maxStepAnchors = MAX_STEP_ANCHORS } = this.parts;
    const targets = new Set<Uuid>();
    for await (const { identifiers } of this.#events(tx, [id], applied)) {
      const [anchor] = inAnchorOrder(identifiers, rules);
      if (anchor !== undefined && anchor.id !== id && targets.size < maxStepAnchors) targets.add(anchor.id);
    }
    return [...targets].sort();
  }

  async *#events(tx: Transaction, anchorIds: readonly Uuid[], applied: AppliedPositions): AsyncGenerator<LoggedEvent> {
    const wanted = anchorIds.map((id) => ({ id, toPos: applied.of(partitionOf(id, this.parts.partitions)) }));
    for await (const page of this.parts.retractions.remaining(tx, NO_RETRACTION, wanted)) yield* page;
  }
}

/** Nothing is taken back. */
const NO_RETRACTION = { id: '00000000-0000-0000-0000-000000000000', loadId: null, erasureId: null };

interface AppliedPositions {
  readonly least: number;
  of(part: number): number;
}

async function appliedPositions(tx: Transaction): Promise<AppliedPositions> {
  const rows = await tx.query<{ part: number; pos: number }>('SELECT part, applied_pos AS pos FROM partitions');
  const byPart = new Map(rows.map(({ part, pos }) => [part, pos]));
  return {
    least: rows.reduce((least, { pos }) => Math.min(least, pos), Number.POSITIVE_INFINITY),
    of: (part) => byPart.get(part) ?? 0,
  };
}

/** Folds events by the anchors that they belong to. */
class AnchorFold {
  readonly rebuilt = new Map<Uuid, { traits: Traits; state: AnchorState }>();
  readonly given = new Map<Uuid, Map<string, Traits>>();
  readonly evidence = new Map<string, Evidence>();
  readonly moved: Omit<MovedEvent, 'part'>[] = [];
  /** Whether events are left that belong elsewhere. */
  isCut = false;

  constructor(
    private readonly definitions: LoadedDefinitions,
    private readonly anchors: ReadonlySet<Uuid>,
    private readonly movableUpTo: number,
  ) {}

  add(logged: LoggedEvent): void {
    const { features, identityRules, traitRules } = this.definitions;
    const ordered = inAnchorOrder(logged.identifiers, identityRules);
    const placed = ordered === logged.identifiers ? logged : { ...logged, identifiers: ordered };
    const event = this.#moves(logged, placed) ? placed : logged;
    const id = event.identifiers[0]?.id ?? '';
    let anchor = this.rebuilt.get(id);
    if (anchor === undefined) this.rebuilt.set(id, (anchor = { traits: new Map(), state: features.empty() }));
    features.apply(anchor.state, event);
    foldTraits(anchor.traits, event, traitRules);
    let given = this.given.get(id);
    if (given === undefined) this.given.set(id, (given = new Map<string, Traits>()));
    foldGiven(given, event);
    const row = evidenceOf(placed, identityRules);
    const known = this.evidence.get(evidenceKey(row));
    this.evidence.set(evidenceKey(row), known === undefined ? row : leastEvidence(known, row));
  }

  #moves(logged: LoggedEvent, placed: LoggedEvent): boolean {
    const [from, to] = [logged.identifiers[0]?.id, placed.identifiers[0]?.id];
    if (to === undefined || from === to) return false;
    if (!this.anchors.has(to) || logged.pos > this.movableUpTo || this.moved.length >= MAX_STEP_EVENTS) {
      this.isCut = true;
      return false;
    }
    this.moved.push({ pos: logged.pos, anchorId: to, payload: encodePayload(placed) });
    return true;
  }
}
