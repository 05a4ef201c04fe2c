import type { LoadedDefinitions } from './definitions.js';
import { encodePayload } from './events/event-codec.js';
import type { LoggedEvent } from './events/event.model.js';
import type { RetractionStore } from './events/retraction.store.js';
import type { AnchorState } from './features/anchor-state.model.js';
import { readEvidenceOf } from './identity/anchor-evidence.reader.js';
import { addEvidence, evidenceOf, type Evidence } from './identity/evidence.model.js';
import { inAnchorOrder } from './identity/generic-value.model.js';
import type { GenericValueStore } from './identity/generic-value.store.js';
import { keepWords, OutlivedAnchors, type FoldedAnchors } from './outlived-anchors.js';
import type { Reanchored } from './pipeline-work.js';
import { WeftError } from './platform/errors.js';
import { partitionOf, type Uuid } from './platform/ids.js';
import type { Transaction } from './platform/postgres.js';
import { foldGiven } from './profiles/groups.model.js';
import { readStandingWords } from './profiles/standing-words.reader.js';
import type { Traits } from './profiles/trait.model.js';
import { foldTraits } from './profiles/traits.model.js';

export interface ReanchoringFinderParts {
  readonly generics: GenericValueStore;
  readonly retractions: RetractionStore;
  readonly partitions: number;
  /** Anchors that are folded anew in one step, at most, beside the values. */
  readonly maxStepAnchors?: number;
  /** Events that one step moves, at most. */
  readonly maxStepEvents?: number | undefined;
}

const MAX_STEP_ANCHORS = 500;
const MAX_STEP_EVENTS = 5_000;

type MovedEvent = Reanchored['moved'][number];

export interface FoundAnchors {
  readonly reanchored: Reanchored;
  readonly isLast: boolean;
  /** Values that count again, and anchors on which events are left that belong to them: to be noted, or none looks there. */
  readonly left: readonly (readonly [value: Uuid, anchor: Uuid])[];
}

interface FindOptions {
  /** Of the step, ms. */
  readonly at: number;
  /** Who is resolved anew with the values; default: nobody. */
  readonly others?: readonly Uuid[] | undefined;
}

/** Finds the events that belong elsewhere since values became generic, or are so no more, some anchors at a time. */
export class ReanchoringFinder {
  constructor(private readonly parts: ReanchoringFinderParts) {}

  /**
   * The anchors of this step, folded anew with the events that belong to them. To be called with nobody else at work.
   * @param ids values: events that hang on those that are generic are moved away, others of which evidence names those
   *   that are not to where these belong
   */
  async find(
    tx: Transaction,
    definitions: LoadedDefinitions,
    ids: readonly Uuid[],
    { at, others = [] }: FindOptions,
  ): Promise<FoundAnchors> {
    const { generics, partitions, retractions, ...bounds } = this.parts;
    const { maxStepAnchors = MAX_STEP_ANCHORS, maxStepEvents = MAX_STEP_EVENTS } = bounds;
    const hasLost = await retractions.hasLostEvents(tx);
    const applied = await appliedPositions(tx);
    const isGeneric = (id: Uuid): boolean => definitions.identityRules.generics?.ids.has(id) === true;
    const released = ids.filter((id) => !isGeneric(id));
    const targets = await this.#targets(tx, definitions, ids.filter(isGeneric), { applied, hasLost });
    const mentions = await generics.mentions(tx, released, maxStepAnchors);
    const anchorIds = [...new Set([...ids, ...targets, ...mentions])];
    const outlived = hasLost ? await OutlivedAnchors.read(tx, anchorIds, definitions) : null;
    const fold = new AnchorFold(definitions, {
      outlived,
      anchors: new Set(anchorIds),
      released: new Set(released),
      movableUpTo: applied.least,
      maxEvents: maxStepEvents,
    });
    for await (const event of this.#events(tx, anchorIds, applied)) fold.add(event);
    // A retention takes no lease: one that began meanwhile may have taken events that came before those read here.
    if (!hasLost && (await retractions.hasLostEvents(tx))) {
      throw new WeftError('UNAVAILABLE', 'a retention removed its first events meanwhile', { retryAfterMs: 0 });
    }
    if (outlived?.keepIn(fold, new Set(released), at) === true) fold.isCut = true;
    keepWords(await readStandingWords(tx, anchorIds, { areAllKept: false }), fold, definitions.features);
    const part = (anchorId: Uuid): number => partitionOf(anchorId, partitions);
    return {
      isLast: Math.max(targets.length, mentions.length) < maxStepAnchors && !fold.isCut,
      left: [...fold.left].flatMap(([anchorId, values]) =>
        [...values].map((id): readonly [Uuid, Uuid] => [id, anchorId]),
      ),
      reanchored: {
        ids: [...ids, ...others],
        valueIds: ids,
        moved: fold.moved.map((moved) => ({ ...moved, part: part(moved.anchorId) })),
        anchors: anchorIds.map((id) => ({ id, part: part(id), rebuilt: fold.rebuilt.get(id) ?? null })),
        given: anchorIds.map((anchorId) => ({
          anchorId,
          part: part(anchorId),
          given: fold.given.get(anchorId) ?? new Map<string, Traits>(),
        })),
        evidence: [...fold.evidence.values()],
      },
    };
  }

  /** Where the events that hang on the values belong. */
  async #targets(
    tx: Transaction,
    { identityRules: rules }: LoadedDefinitions,
    ids: readonly Uuid[],
    { applied, hasLost }: { readonly applied: AppliedPositions; readonly hasLost: boolean },
  ): Promise<Uuid[]> {
    const { maxStepAnchors = MAX_STEP_ANCHORS } = this.parts;
    const targets = new Set<Uuid>();
    if (ids.length === 0) return [];
    const add = ({ identifiers }: Pick<LoggedEvent, 'identifiers'>): void => {
      const [anchor] = inAnchorOrder(identifiers, rules);
      if (anchor === undefined || rules.generics?.ids.has(anchor.id) === true) return;
      if (targets.size < maxStepAnchors) targets.add(anchor.id);
    };
    if (hasLost) for (const row of await readEvidenceOf(tx, ids)) add(row);
    for await (const event of this.#events(tx, ids, applied)) add(event);
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

interface AnchorFoldInput {
  /** Null: the log has all events of these anchors. */
  readonly outlived: OutlivedAnchors | null;
  readonly anchors: ReadonlySet<Uuid>;
  /** Values that count again. */
  readonly released: ReadonlySet<Uuid>;
  readonly movableUpTo: number;
  /** Events that are moved, at most. */
  readonly maxEvents: number;
}

/** Folds events by the anchors that they belong to. */
class AnchorFold implements FoldedAnchors {
  readonly rebuilt = new Map<Uuid, { traits: Traits; state: AnchorState }>();
  readonly given = new Map<Uuid, Map<string, Traits>>();
  readonly evidence = new Map<string, Evidence>();
  readonly moved: Omit<MovedEvent, 'part'>[] = [];
  /** Whether events are left that belong elsewhere. */
  isCut = false;
  /** By the anchor that such events hang on, the values that count again to which they belong. */
  readonly left = new Map<Uuid, Set<Uuid>>();

  constructor(
    private readonly definitions: LoadedDefinitions,
    private readonly input: AnchorFoldInput,
  ) {}

  add(logged: LoggedEvent): void {
    this.input.outlived?.note(logged);
    const { features, identityRules, traitRules } = this.definitions;
    const placed = this.#placed(logged);
    const event = this.#moves(logged, placed) ? placed : logged;
    const id = event.identifiers[0]?.id ?? '';
    let anchor = this.rebuilt.get(id);
    if (anchor === undefined) this.rebuilt.set(id, (anchor = { traits: new Map(), state: features.empty() }));
    features.apply(anchor.state, event);
    foldTraits(anchor.traits, event, traitRules);
    let given = this.given.get(id);
    if (given === undefined) this.given.set(id, (given = new Map<string, Traits>()));
    foldGiven(given, event);
    addEvidence(this.evidence, evidenceOf(event, identityRules));
  }

  /**
   * With its identifiers in the order that they belong in. Because of these values alone, and not of priorities that are
   * others than when it was accepted: an event keeps its anchor through those.
   */
  #placed(logged: LoggedEvent): LoggedEvent {
    const { identityRules: rules } = this.definitions;
    const ordered = inAnchorOrder(logged.identifiers, rules);
    const [from] = logged.identifiers;
    const [to] = ordered;
    if (from === undefined || to === undefined || from === to) return logged;
    const isGeneric = (id: Uuid): boolean => rules.generics?.ids.has(id) === true;
    const belongsElsewhere = isGeneric(from.id) ? !isGeneric(to.id) : this.input.released.has(to.id);
    return belongsElsewhere ? { ...logged, identifiers: ordered } : logged;
  }

  #moves(logged: LoggedEvent, placed: LoggedEvent): boolean {
    const [to] = placed.identifiers;
    if (to === undefined || placed === logged) return false;
    const { anchors, maxEvents, movableUpTo } = this.input;
    if (!anchors.has(to.id) || logged.pos > movableUpTo || this.moved.length >= maxEvents) {
      this.isCut = true;
      const [from] = logged.identifiers;
      if (from !== undefined && this.input.released.has(to.id)) {
        this.left.set(from.id, (this.left.get(from.id) ?? new Set<Uuid>()).add(to.id));
      }
      return false;
    }
    this.input.outlived?.arrive(placed);
    this.moved.push({ pos: logged.pos, anchorId: to.id, payload: encodePayload(placed) });
    return true;
  }
}
