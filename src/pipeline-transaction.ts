import { appendChanges } from './activation/change-feed.store.js';
import type { PartitionLeases } from './events/partition-lease.store.js';
import type { FeatureSet } from './features/feature-set.model.js';
import type { IdentityStep } from './identity/identity.step.js';
import type { Clock } from './platform/clock.js';
import type { Uuid } from './platform/ids.js';
import type { Database, Transaction } from './platform/postgres.js';
import type { TraitConflict } from './profiles/trait-rule.model.js';
import type { Publication, PublicationStore, PublishedIdentity } from './publication.store.js';
import type { Definitions } from './segments/definitions.model.js';
import type { FoldChange } from './segments/fold-batch.js';
import type { ProfileWork } from './segments/profile-work.model.js';
import type { SegmentChange } from './segments/segment.model.js';
import type { WorkingSet } from './working-set.js';

export interface TransactionParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly leases: PartitionLeases;
  readonly identity: Pick<IdentityStep, 'use' | 'release' | 'forget'>;
  readonly workingSet: WorkingSet;
  readonly publications: PublicationStore;
  readonly onCommitted: (result: BatchResult) => void;
}

export interface BatchResult {
  readonly events: number;
  readonly timers: number;
  /** Whether all live timers that were due have fired, so that only such may be left as evaluate people anew. */
  readonly areLiveDone?: boolean;
  readonly merges: number;
  readonly contested: number;
  readonly droppedTraits: number;
  /** Values of traits of another type than declared. */
  readonly traitConflicts: readonly TraitConflict[];
  readonly changes: readonly SegmentChange[];
  /** What was written through to the online store; left out: nothing. */
  readonly published?: Publication['entries'];
  /** Of the profiles written through, those that events of loaded history are about; left out: none. */
  readonly loadedIds?: ReadonlySet<Uuid>;
  /** Every event of the log up to here is applied; null where that is not for this process to say. */
  readonly appliedPos: number | null;
}

/** The same while it comes about. */
export type WorkDone = { -readonly [K in keyof BatchResult]: BatchResult[K] } & { publication: Publication | null };

interface SaveOptions {
  /** Events and timers up to it are applied, ms. */
  readonly untilT: number;
  /** What each profile is as of, ms; default: `untilT`. */
  readonly asOf?: (profile: ProfileWork) => number;
  /** Versions of records that this one stands for. */
  readonly replaces?: readonly number[];
}

/** Thrown where the definitions are not the ones that the work was prepared with; the caller reloads and repeats. */
export class DefinitionsChanged extends Error {
  override readonly name = 'DefinitionsChanged';
}

/**
 * What all stages of the pipeline stand in: one transaction, whose first statement moves the log's offsets and whose last
 * lock is the feed. Whatever is in memory changes with it and is dropped if it does not commit.
 *
 * The definitions are compared twice: with the offsets, to save the work, and after all profiles are locked. A change
 * of definitions that this transaction does not see there commits after that look, so that the sweep which follows it
 * (see `chores.ts`) comes after this transaction.
 */
export class PipelineTransaction {
  readonly #parts: TransactionParts;
  /** What the states in memory belong to. */
  #features: FeatureSet | null = null;

  constructor(parts: TransactionParts) {
    this.#parts = parts;
  }

  /**
   * Everything that `stages` do in one transaction, which begins with the leases.
   * @param toPos the events of the held partitions up to here are applied with it; null: no event is
   * @throws DefinitionsChanged, LeaseLost; then nothing is in memory any more
   */
  async run(
    definitions: Definitions,
    toPos: number | null,
    stages: (tx: Transaction, work: WorkDone) => Promise<void>,
  ): Promise<BatchResult> {
    const { db, leases, identity, workingSet, publications, onCommitted } = this.#parts;
    if (!leases.holdsAll || definitions.features !== this.#features) this.forget();
    this.#features = definitions.features;
    identity.use(definitions.identityRules);
    const work = nothingYet();
    try {
      await db.transaction(async (tx) => {
        const version = await leases.advance(tx, toPos);
        if (version !== definitions.version) throw new DefinitionsChanged();
        await stages(tx, work);
      });
    } catch (error) {
      this.forget();
      // It may have committed all the same.
      if (work.publication !== null) await publications.withdraw(work.publication);
      throw error;
    }
    identity.release();
    workingSet.release();
    const { publication, ...result } = work;
    if (publication !== null) await publications.publish(publication);
    onCommitted(publication === null ? result : { ...result, published: publication.entries });
    return result;
  }

  /** Writes what the profiles in memory are now, with what of it is to be published and told. */
  async save(
    tx: Transaction,
    definitions: Definitions,
    work: WorkDone,
    changes: readonly FoldChange[],
    identity: PublishedIdentity,
    { untilT, asOf = () => untilT, replaces = [] }: SaveOptions,
  ): Promise<void> {
    const { clock, workingSet, publications } = this.#parts;
    const options = { asOf, replaces, nowMs: clock.now() };
    // Each begins its statements before its first wait: the server runs them in this order.
    const emitted = changes.filter((change) => change.emit);
    [, work.publication, work.changes] = await Promise.all([
      workingSet.save(tx, definitions, changes, untilT),
      publications.prepare(tx, definitions, workingSet.touched, identity, options),
      appendChanges(tx, emitted),
    ]);
    if (work.publication.definitionsVersion !== definitions.version) throw new DefinitionsChanged();
  }

  /** Drops everything in memory that may differ from what is committed. */
  forget(): void {
    this.#parts.identity.forget();
    this.#parts.workingSet.forget();
  }
}

export function nothingYet(): WorkDone {
  return {
    events: 0,
    timers: 0,
    merges: 0,
    contested: 0,
    droppedTraits: 0,
    traitConflicts: [],
    changes: [],
    appliedPos: null,
    publication: null,
  };
}
