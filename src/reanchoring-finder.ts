import { AnchorFold } from './anchor-fold.js';
import type { LoadedDefinitions } from './definitions.js';
import { DamagedRows, type PassedOverObserver } from './events/damaged-rows.model.js';
import type { LoggedEvent } from './events/event.model.js';
import type { RetractionStore } from './events/retraction.store.js';
import { countEvidenceOf, evidenceOfAnchors } from './identity/anchor-evidence.reader.js';
import { inAnchorOrder } from './identity/generic-value.model.js';
import type { GenericValueStore } from './identity/generic-value.store.js';
import { StandingEvidence } from './identity/standing-evidence.js';
import { keepWords, OutlivedAnchors } from './outlived-anchors.js';
import type { Reanchored } from './pipeline-work.js';
import { WeftError } from './platform/errors.js';
import { partitionOf, type Uuid } from './platform/ids.js';
import type { Database, Transaction } from './platform/postgres.js';
import type { Traits } from './profiles/trait.model.js';
import { readStandingWords } from './profiles/standing-words.reader.js';

export interface ReanchoringFinderParts {
  readonly generics: GenericValueStore;
  readonly retractions: RetractionStore;
  readonly partitions: number;
  readonly observer: PassedOverObserver;
  /** Anchors that are folded anew in one step, at most, beside the values. */
  readonly maxStepAnchors?: number;
  /** Events that one step moves, at most. */
  readonly maxStepEvents?: number | undefined;
  /** Events and rows of evidence that the anchors of one step have in all, at most, beside those of the values and unless it is one anchor. */
  readonly maxStepReads?: number | undefined;
}

const MAX_STEP_ANCHORS = 500;
const MAX_STEP_EVENTS = 5_000;
const MAX_STEP_READS = 50_000;
/** For reading the values and a single anchor, however long their history is. */
const READ_TIMEOUT_MS = 10 * 60_000;

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
  /** What was read before, to be used once; null: nothing, and all of it is read now. */
  readonly read: ReadAnchors | null;
  /** Of this step so far: it is smaller after each. */
  readonly failures: number;
}

interface FoldedStep {
  readonly fold: AnchorFold;
  /** Null: the log has all events of these anchors, and all could be read. */
  readonly outlived: OutlivedAnchors | null;
  readonly anchorIds: readonly Uuid[];
  /** Of all these anchors. */
  readonly evidence: StandingEvidence;
  /** See `RetractionStore.lostAfter`, of the least of `applied`. */
  readonly lost: number;
  /** Up to where each partition was applied: what comes later is not in the fold. */
  readonly applied: AppliedPositions;
}

/** Of one step, at most. */
interface StepBounds {
  readonly anchors: number;
  /** That are moved. */
  readonly events: number;
  /** Events of the anchors in all, and rows of their evidence. */
  readonly reads: number;
}

/** What a step moves, as of when it was read. */
export interface ReadAnchors extends FoldedStep {
  /** See `RetractionStore.changes`. */
  readonly changes: number;
}

/** Events were taken back between reading and writing: what was read is to be read again. */
export class ReadTooEarly extends WeftError {
  constructor(message: string) {
    super('UNAVAILABLE', message, { retryAfterMs: 0 });
  }
}

/**
 * Finds the events that belong elsewhere since values became generic, or are so no more, some anchors at a time.
 *
 * 1. The values are folded anew in each step with all of their events, and each anchor that events move to with all of
 *    its own. However long these histories are, they are read while all others work (`read`), and not in the transaction
 *    that writes, in which everybody stands still.
 * 2. What is applied between the two is folded in addition, in that transaction (`find`): the order of events does not
 *    show in what is folded. Nobody but the holder of the first partition moves events, and that is who reads. Where
 *    events were taken back in between, what was read is void.
 * 3. Evidence is read beforehand too, page by page, and kept up with the events that are applied since: it is as long as
 *    the history is, and in the transaction only rows are written that change (`standing-evidence.ts`).
 * 4. Once a retention has removed events, what stands of the anchors counts too: their states are read in that transaction,
 *    all else beforehand all the same. Where events were removed in between that would move, or that were not read, what
 *    was read is void.
 * 5. A row whose bytes are damaged stays where it is and holds up no others. What came of it is treated as what came of an
 *    event that a retention removed.
 */
export class ReanchoringFinder {
  constructor(private readonly parts: ReanchoringFinderParts) {}

  /**
   * The anchors of a step, read beforehand. To be called by the holder of the first partition.
   * @param ids as those of {@link find}
   * @param failures as there
   */
  async read(
    db: Database,
    definitions: LoadedDefinitions,
    ids: readonly Uuid[],
    failures: number,
  ): Promise<ReadAnchors> {
    const { retractions } = this.parts;
    const read = async (tx: Transaction): Promise<ReadAnchors> => {
      const hasLost = await retractions.hasLostEvents(tx);
      // Before all else: what changes from here on is seen in the end.
      const changes = await retractions.changes(tx);
      return { ...(await this.#fold(tx, definitions, ids, { hasLost, failures })), changes };
    };
    return db.transaction(read, { readOnly: true, timeoutMs: READ_TIMEOUT_MS });
  }

  /**
   * The anchors of this step, folded anew with the events that belong to them. To be called with nobody else at work.
   * @param ids values: events that hang on those that are generic are moved away, others of which evidence names those
   *   that are not to where these belong
   * @throws ReadTooEarly
   */
  async find(
    tx: Transaction,
    definitions: LoadedDefinitions,
    ids: readonly Uuid[],
    { at, others = [], read, failures }: FindOptions,
  ): Promise<FoundAnchors> {
    const { generics, maxStepAnchors = MAX_STEP_ANCHORS, partitions, retractions } = this.parts;
    const hasLost = await retractions.hasLostEvents(tx);
    if (read !== null) await this.#goOn(tx, read, hasLost);
    const found = read ?? (await this.#fold(tx, definitions, ids, { hasLost, failures }));
    const { anchorIds, evidence, fold, outlived } = found;
    const released = releasedAmong(ids, definitions);
    if ((await outlived?.keepIn(tx, fold, { evidence, released: new Set(released), at })) === true) fold.isCut = true;
    keepWords(await readStandingWords(tx, anchorIds, { areAllKept: false }), fold, definitions.features);
    const anchors = new Set(anchorIds);
    const mentions = await generics.mentions(tx, released, maxStepAnchors);
    if (mentions.length === maxStepAnchors || mentions.some((id) => !anchors.has(id))) fold.isCut = true;
    const part = (anchorId: Uuid): number => partitionOf(anchorId, partitions);
    return {
      isLast: !fold.isCut,
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
        standing: evidence,
      },
    };
  }

  async #fold(
    tx: Transaction,
    definitions: LoadedDefinitions,
    ids: readonly Uuid[],
    { hasLost, failures }: { readonly hasLost: boolean; readonly failures: number },
  ): Promise<FoldedStep> {
    const { generics, retractions } = this.parts;
    const bounds = this.#boundsAfter(failures);
    const applied = await appliedPositions(tx);
    const lost = await retractions.lostAfter(tx, applied.least);
    const released = releasedAmong(ids, definitions);
    const generic = ids.filter((id) => !released.includes(id));
    const targets = await this.#targets(tx, definitions, generic, { applied, hasLost, bounds });
    const mentions = await generics.mentions(tx, released, bounds.anchors);
    const anchorIds = [...ids, ...(await this.#admitted(tx, ids, [...targets, ...mentions], bounds.reads))];
    const outlived = hasLost ? new OutlivedAnchors(definitions, anchorIds) : null;
    const fold = new AnchorFold(definitions, {
      outlived,
      anchors: new Set(anchorIds),
      released: new Set(released),
      movableUpTo: applied.least,
      maxEvents: bounds.events,
    });
    const damaged = new DamagedRows();
    for await (const event of this.#events(tx, anchorIds, applied, damaged)) fold.add(event);
    if (damaged.count > 0 && !hasLost) return this.#fold(tx, definitions, ids, { hasLost: true, failures });
    await this.#tell(damaged);
    return { fold, outlived, anchorIds, applied, lost, evidence: await StandingEvidence.read(tx, anchorIds) };
  }

  async #tell(damaged: DamagedRows): Promise<void> {
    if (damaged.count > 0) await this.parts.observer.rowsPassedOver('moves', damaged);
  }

  #boundsAfter(failures: number): StepBounds {
    const { maxStepAnchors = MAX_STEP_ANCHORS, maxStepEvents = MAX_STEP_EVENTS } = this.parts;
    const { maxStepReads = MAX_STEP_READS } = this.parts;
    const less = (most: number): number => Math.max(1, most >> (2 * failures));
    return { anchors: less(maxStepAnchors), events: less(maxStepEvents), reads: less(maxStepReads) };
  }

  /** Adds what was applied since it was read. */
  async #goOn(tx: Transaction, read: ReadAnchors, hasLost: boolean): Promise<void> {
    const { applied, anchorIds, changes, evidence, fold, lost, outlived } = read;
    const { maxStepReads = MAX_STEP_READS, partitions, retractions } = this.parts;
    const isWhole = outlived !== null || !hasLost;
    if (!isWhole || (await retractions.changes(tx)) !== changes)
      throw new ReadTooEarly('events were taken back meanwhile');
    // What came of these is in nothing that was read.
    if ((await retractions.lostAfter(tx, applied.least)) !== lost)
      throw new ReadTooEarly('a retention removed events meanwhile that were not read');
    // Words of an event that a retention removes are noted where the event is.
    const moved = fold.moved.map(({ pos }) => pos);
    if (outlived !== null && !(await retractions.areLogged(tx, moved)))
      throw new ReadTooEarly('a retention removed events meanwhile that were to be moved');
    const now = await appliedPositions(tx);
    const damaged = new DamagedRows();
    const added = await retractions.between(
      tx,
      anchorIds,
      { afterPos: applied.least, toPos: now.most },
      maxStepReads + 1,
      damaged.note,
    );
    if (damaged.count > 0) throw new ReadTooEarly('an event was applied that cannot be read');
    if (added.length > maxStepReads) throw new ReadTooEarly('more events than one step reads were applied meanwhile');
    for (const event of added) {
      const part = partitionOf(event.identifiers[0]?.id ?? '', partitions);
      if (event.pos <= applied.of(part) || event.pos > now.of(part)) continue;
      fold.add(event);
      evidence.note(event);
    }
  }

  /** Of these, beside the values, as many as have no more events and evidence than one step reads; the first in any case. */
  async #admitted(
    tx: Transaction,
    values: readonly Uuid[],
    candidates: readonly Uuid[],
    maxReads: number,
  ): Promise<Uuid[]> {
    const others = [...new Set(candidates)].filter((id) => !values.includes(id));
    const events = await this.parts.retractions.countsOf(tx, others, maxReads);
    const rows = await countEvidenceOf(tx, others, maxReads);
    let reads = 0;
    return others.filter((id, i) => (reads += (events.get(id) ?? 0) + (rows.get(id) ?? 0)) <= maxReads || i === 0);
  }

  /** Where the events that hang on the values belong: as many as one step takes, or moves events to. */
  async #targets(
    tx: Transaction,
    { identityRules: rules }: LoadedDefinitions,
    ids: readonly Uuid[],
    {
      applied,
      hasLost,
      bounds,
    }: { readonly applied: AppliedPositions; readonly hasLost: boolean; readonly bounds: StepBounds },
  ): Promise<readonly Uuid[]> {
    const targets = new Set<Uuid>();
    if (ids.length === 0) return [];
    let misplaced = 0;
    const add = ({ identifiers }: Pick<LoggedEvent, 'identifiers'>): void => {
      const [anchor] = inAnchorOrder(identifiers, rules);
      if (anchor === undefined || rules.generics?.ids.has(anchor.id) === true) return;
      misplaced++;
      if (targets.size < bounds.anchors) targets.add(anchor.id);
    };
    if (hasLost) {
      for await (const page of evidenceOfAnchors(tx, ids)) {
        for (const row of page) add(row);
        if (targets.size === bounds.anchors) break;
      }
    }
    misplaced = 0;
    for await (const event of this.#events(tx, ids, applied, new DamagedRows())) {
      add(event);
      if (misplaced === bounds.events || targets.size === bounds.anchors) break;
    }
    return [...targets];
  }

  async *#events(
    tx: Transaction,
    anchorIds: readonly Uuid[],
    applied: AppliedPositions,
    { note }: DamagedRows,
  ): AsyncGenerator<LoggedEvent> {
    const wanted = anchorIds.map((id) => ({ id, toPos: applied.of(partitionOf(id, this.parts.partitions)) }));
    for await (const page of this.parts.retractions.remaining(tx, NO_RETRACTION, wanted, note)) yield* page;
  }
}

/** Nothing is taken back. */
const NO_RETRACTION = { id: '00000000-0000-0000-0000-000000000000', loadId: null, erasureId: null };

/** Values that count again, or count. */
function releasedAmong(ids: readonly Uuid[], { identityRules }: LoadedDefinitions): readonly Uuid[] {
  return ids.filter((id) => identityRules.generics?.ids.has(id) !== true);
}

interface AppliedPositions {
  readonly least: number;
  readonly most: number;
  of(part: number): number;
}

async function appliedPositions(tx: Transaction): Promise<AppliedPositions> {
  const rows = await tx.query<{ part: number; pos: number }>('SELECT part, applied_pos AS pos FROM partitions');
  const byPart = new Map(rows.map(({ part, pos }) => [part, pos]));
  return {
    least: rows.reduce((least, { pos }) => Math.min(least, pos), Number.POSITIVE_INFINITY),
    most: rows.reduce((most, { pos }) => Math.max(most, pos), 0),
    of: (part) => byPart.get(part) ?? 0,
  };
}
