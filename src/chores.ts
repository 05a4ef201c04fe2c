import type { LoadedDefinitions } from './definitions.js';
import type { EventLog } from './events/event-log.model.js';
import type { LoggedEvent } from './events/event.model.js';
import type { PartitionLeases } from './events/partition-lease.store.js';
import type { AnchorStateStore, PackedAnchor } from './features/anchor-state.store.js';
import type { AnchorState } from './features/anchor-state.model.js';
import { FeatureSet } from './features/feature-set.model.js';
import type { PendingBackfill, StreamBackfillStore } from './features/stream-backfill.store.js';
import { readingsOf, streamOf } from './features/stream.model.js';
import { raiseClock, readLogTime } from './next-place.js';
import { DefinitionsChanged } from './pipeline-transaction.js';
import type { Pipeline } from './pipeline.js';
import { ChoreTurns, type Chore, type ChoreObserver } from './chore-turns.js';
import type { ContestedChore } from './contested-chore.js';
import type { ErasureChore } from './erasure-chore.js';
import type { GroupChore } from './group-chore.js';
import type { MatchingChore } from './matching-chore.js';
import type { EntityFoldChore } from './entity-fold-chore.js';
import type { EntityRecordChore } from './entity-record-chore.js';
import type { RetentionChore } from './retention-chore.js';
import type { RetractionChore } from './retraction-chore.js';
import type { SealingChore } from './sealing-chore.js';
import type { RevisionChore } from './revision-chore.js';
import type { Clock } from './platform/clock.js';
import { LEAST_ID, type Uuid } from './platform/ids.js';
import type { Database, Transaction } from './platform/postgres.js';
import { MAX_SWEPT_PROFILES, type RecomputeChore } from './recompute-chore.js';
import type { SearchIndexChore } from './search-index-chore.js';
import type { TraitRefoldChore } from './trait-refold-chore.js';
import type { TermKeyingChore } from './term-keying-chore.js';
import { SqlError } from './platform/sql-errors.js';
import { RecomputeStore } from './segments/recompute.store.js';
import type { TimerStore } from './segments/timer.store.js';

export interface ChoreParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly log: EventLog;
  readonly leases: PartitionLeases;
  readonly anchors: AnchorStateStore;
  readonly backfills: StreamBackfillStore;
  readonly timers: TimerStore;
  readonly pipeline: Pipeline;
  readonly retractions: RetractionChore;
  readonly revisions: RevisionChore;
  readonly contested: ContestedChore;
  readonly traitRefolds: TraitRefoldChore;
  readonly searchIndex: SearchIndexChore;
  readonly groups: GroupChore;
  readonly matching: MatchingChore;
  readonly erasures: ErasureChore;
  readonly sealing: SealingChore;
  readonly termKeying: TermKeyingChore;
  readonly retention: RetentionChore;
  readonly entityFolds: EntityFoldChore;
  readonly entityRecords: EntityRecordChore;
  readonly recomputes: RecomputeChore;
  readonly observer: ChoreObserver;
  /** Definitions are to be loaded anew. */
  readonly invalidate: () => void;
  /** Events of one chunk of a backfill, at most 10,000. */
  readonly maxBackfillEvents?: number;
}

const MAX_BACKFILL_EVENTS = 5_000;
const MAX_BACKFILL_BYTES = 8 * 1024 * 1024;
/** Least time between two looks for publications that were left behind. */
const REPUBLISH_LOOK_MS = 1_000;
const FOREIGN_KEY_VIOLATION = '23503';

/** How far a partition is swept. */
interface Sweeping {
  readonly version: number;
  readonly part: number;
  readonly afterId: Uuid;
  /** Whether nothing changed since the sweep before but which versions of models answer. */
  readonly isOfModels: boolean;
  /** What was under way when it began with this partition: whoever it evaluates need not be once more. */
  readonly recomputeId: Uuid | null;
}

/**
 * What a worker does about changed definitions, and about what it or others left undone.
 *
 * 1. A new stream counts live from the moment its partition meets it (`register`); what came before is folded into
 *    partials chunk by chunk, which merge into the states under the same lease (`backfill`). Each event is in once:
 *    up to `sincePos` by the backfill, after it live.
 * 2. Once every stream of the definitions is complete everywhere, that is a new version of the definitions, so that all
 *    workers agree from when on segments that waited are evaluated.
 * 3. Then each partition's profiles are evaluated anew (`sweep`), by giving each a timer that is due now. Before the
 *    first, the sweep waits for all transactions in flight: none that worked with older definitions comes after it. When
 *    that is due is read with the profiles locked (`next-place.ts`).
 * 4. Members are told of their groups (`group-chore.ts`), traits folded anew where their rules changed
 *    (`trait-refold-chore.ts`), profiles indexed by what became searchable (`search-index-chore.ts`), events taken back
 *    (`retraction-chore.ts`), values in stored models of record linkage hashed (`term-keying-chore.ts`), and people compared
 *    by the active one (`matching-chore.ts`).
 *    Whoever asks for everybody to be evaluated anew has it done by `recompute-chore.ts`, behind these sweeps.
 * 5. Nothing is written with definitions other than those in force.
 * 6. Where it was told to rest (`segment_work_pause`), nobody is swept and no history is folded in, between any two steps;
 *    but for history that erasures and retractions wait for.
 * 7. A chore that fails is put off and holds up no other (`chore-turns.ts`), also writing through what was left behind and
 *    sweeps. What streams and versions need is no such chore: segments wait for it.
 */
export class Chores {
  readonly #parts: ChoreParts;
  #registered = '';
  #sweeping: Sweeping | null = null;
  /** The version of the definitions with which no older transaction is in flight. */
  #settledVersion = -1;
  #hasRevised = false;
  readonly #turns: ChoreTurns;
  readonly #recomputes = new RecomputeStore();
  readonly #revisions: Chore;
  readonly #keptUp: Chore;
  readonly #republishing: Chore;
  readonly #sweeps: Chore;
  readonly #inTurns: readonly Chore[];
  #republishLookAt = Number.NEGATIVE_INFINITY;

  constructor(parts: ChoreParts) {
    this.#parts = parts;
    const { db, clock, pipeline } = parts;
    this.#turns = new ChoreTurns({
      ...{ db, clock, observer: parts.observer },
      forget: () => {
        pipeline.forget();
      },
    });
    this.#revisions = choreOf('revisions', parts.revisions);
    this.#keptUp = {
      name: 'items_keep_up',
      mayRest: false,
      runOne: (definitions) => parts.entityFolds.keepUp(definitions),
    };
    this.#republishing = { name: 'publications', mayRest: true, runOne: (definitions) => this.#republish(definitions) };
    this.#sweeps = { name: 'sweeps', mayRest: true, runOne: (definitions) => this.#sweep(definitions) };
    this.#inTurns = [
      choreOf('groups', parts.groups, false),
      choreOf('trait_refolds', parts.traitRefolds),
      choreOf('search_index', parts.searchIndex),
      choreOf('retractions', parts.retractions),
      choreOf('contested', parts.contested),
      choreOf('erasures', parts.erasures),
      choreOf('sealing', parts.sealing),
      choreOf('term_keying', parts.termKeying),
      choreOf('retention', parts.retention),
      choreOf('items', parts.entityFolds, false),
      choreOf('records', parts.entityRecords),
      // Others have their turns beside it, however long it takes.
      choreOf('recomputes', parts.recomputes, false),
      choreOf('matching', parts.matching),
    ];
  }

  /**
   * To be called before events are applied with these definitions.
   * @throws DefinitionsChanged, LeaseLost
   */
  async register(definitions: LoadedDefinitions): Promise<void> {
    const { db, leases, backfills, invalidate } = this.#parts;
    const key = `${String(definitions.version)} ${leases.held.map((l) => `${String(l.part)}@${String(l.epoch)}`).join()}`;
    if (key === this.#registered) return;
    try {
      await db.transaction(async (tx) => {
        await this.#lease(tx, definitions);
        await backfills.register(tx, leases.held, definitions.streamIds);
      });
    } catch (error) {
      // A stream that these definitions have was retired while this waited.
      if (error instanceof SqlError && error.sqlState === FOREIGN_KEY_VIOLATION) throw new DefinitionsChanged();
      throw error;
    }
    this.#registered = key;
    if (!definitions.complete) invalidate();
  }

  /** Events were applied, or timers fired: what some chores wait for may be over. */
  stir(): void {
    this.#parts.erasures.stir();
  }

  /**
   * One piece of work; false if there is none.
   * @throws DefinitionsChanged, LeaseLost
   */
  async runOne(definitions: LoadedDefinitions): Promise<boolean> {
    // People wait for revisions; but each is followed by something else, so that many of them hold up nothing.
    const [first, second] = this.#hasRevised ? [this.#runOther, this.#revise] : [this.#revise, this.#runOther];
    const isDone = (await first.call(this, definitions)) || (await second.call(this, definitions));
    if (isDone) this.stir();
    return isDone;
  }

  /**
   * What a worker that always has events does every few batches, beside its chores: what is behind is not to fall behind
   * for good. @throws DefinitionsChanged, LeaseLost
   */
  async keepUp(definitions: LoadedDefinitions): Promise<void> {
    if (!definitions.complete) return;
    if (await this.#turns.run(this.#keptUp, definitions)) this.stir();
  }

  async #revise(definitions: LoadedDefinitions): Promise<boolean> {
    return (this.#hasRevised = await this.#turns.run(this.#revisions, definitions));
  }

  async #runOther(definitions: LoadedDefinitions): Promise<boolean> {
    const { db, leases, backfills } = this.#parts;
    this.#hasRevised = false;
    if (definitions.complete) {
      return (
        (await this.#turns.run(this.#republishing, definitions)) ||
        (await this.#turns.run(this.#sweeps, definitions)) ||
        this.#turns.take(this.#inTurns, definitions)
      );
    }
    const parts = leases.held.map((lease) => lease.part);
    const pending = await backfills.next(db, parts, definitions.streamIds);
    if (pending !== null && !(await this.#recomputes.restsFromHistory(db))) {
      await this.#backfill(definitions, pending);
      return true;
    }
    // What is missing is another worker's, or was finished between two looks.
    return (await this.#announce(definitions)) || this.#turns.run(this.#republishing, definitions);
  }

  async #backfill(definitions: LoadedDefinitions, pending: PendingBackfill): Promise<void> {
    const { db, log, anchors, backfills, pipeline, maxBackfillEvents = MAX_BACKFILL_EVENTS } = this.#parts;
    const { part, donePos, sincePos, streamIds } = pending;
    const batch = await log.readBatch({
      afterPos: donePos,
      toPos: sincePos,
      parts: [part],
      limit: maxBackfillEvents,
      maxBytes: MAX_BACKFILL_BYTES,
    });
    const unapplied = await backfills.unapplied(db, donePos, batch.scannedPos);
    const events = batch.events.filter((event) => !unapplied.has(event.pos));
    const partials = foldPartials(definitions, streamIds, events);
    await db.transaction(async (tx) => {
      await this.#lease(tx, definitions);
      const ids = [...partials.keys()];
      const standing = new Map((await anchors.lock(tx, ids)).map((anchor) => [anchor.id, anchor]));
      const merged: PackedAnchor[] = [];
      for (const [id, partial] of partials) {
        const anchor = standing.get(id);
        const state = definitions.features.decode(partial);
        if (anchor !== undefined) definitions.features.mergeInto(state, definitions.features.decode(anchor.state));
        merged.push({
          id,
          part,
          traits: anchor?.traits ?? Buffer.alloc(0),
          state: definitions.features.encode(state),
        });
      }
      await anchors.save(tx, merged);
      await backfills.advance(tx, pending, Math.min(sincePos, batch.scannedPos));
    });
    pipeline.forget();
    if (batch.scannedPos >= sincePos) await this.#announce(definitions);
  }

  async #announce({ streamIds, version }: LoadedDefinitions): Promise<boolean> {
    const { db, backfills, invalidate } = this.#parts;
    if (!(await backfills.announceReady(db, streamIds, version))) return false;
    invalidate();
    return true;
  }

  async #sweep(definitions: LoadedDefinitions): Promise<boolean> {
    const { db, clock, leases, log, timers, pipeline } = this.#parts;
    const { version } = definitions;
    const sweeping = await this.#nextSweep(version);
    if (sweeping === null) return false;
    const { part, afterId, isOfModels, recomputeId } = sweeping;
    const parts = leases.held.map((lease) => lease.part);
    const room = MAX_SWEPT_PROFILES - (await timers.waiting(db, parts, MAX_SWEPT_PROFILES));
    if (room <= 0) return false;
    await raiseClock({ clock, log });
    const last = await db.transaction(async (tx) => {
      await this.#lease(tx, definitions);
      const ids = await timers.lockRange(tx, { part, afterId, limit: room });
      // Not before anything accepted so far: an evaluation never looks back behind an event it has seen. Whoever had one
      // of these in hand has committed by now.
      const dueAt = (await readLogTime(tx)) + 1;
      await timers.sweep(tx, ids, { part, dueAt, sweep: isOfModels ? -version : version });
      if (ids.length === 0) {
        await tx.query('UPDATE partitions SET swept_version = $2 WHERE part = $1', [part, version]);
        if (recomputeId !== null) await this.#recomputes.cover(tx, recomputeId, part);
      }
      return ids.at(-1);
    });
    this.#sweeping = last === undefined ? null : { version, part, afterId: last, isOfModels, recomputeId };
    pipeline.forget();
    return true;
  }

  /** Where to go on; from the start of the partition after a restart, which does no harm. Null: nowhere, or it rests. */
  async #nextSweep(version: number): Promise<Sweeping | null> {
    const { db, leases } = this.#parts;
    const parts = leases.held.map((lease) => lease.part);
    const [next] = await db.query<Omit<Sweeping, 'version' | 'afterId'> & { isPaused: boolean }>(
      `SELECT part, swept_version >= (SELECT edited_version FROM installation) AS "isOfModels",
              EXISTS (SELECT FROM segment_work_pause) AS "isPaused",
              (SELECT id FROM segment_recomputes WHERE status = 'running') AS "recomputeId"
       FROM partitions WHERE swept_version < $1 AND part = ANY ($2::int2[]) ORDER BY part LIMIT 1`,
      [version, parts],
    );
    if (next === undefined) return null;
    if (this.#settledVersion !== version) {
      // Whatever applies anything has updated a row of this table, and holds its lock on it until it commits. Also where it
      // rests: the chores behind this one count on it.
      await db.transaction((tx) => tx.query('LOCK TABLE partitions IN SHARE MODE'));
      this.#settledVersion = version;
    }
    const { isPaused, ...place } = next;
    if (isPaused) return null;
    const sweeping = this.#sweeping;
    if (sweeping?.version === version && parts.includes(sweeping.part)) return sweeping;
    return { version, ...place, afterId: LEAST_ID };
  }

  async #republish(definitions: LoadedDefinitions): Promise<boolean> {
    const { clock, pipeline } = this.#parts;
    const now = clock.now();
    if (now < this.#republishLookAt) return false;
    const republished = await pipeline.republish(definitions);
    this.#republishLookAt = republished === 0 ? now + REPUBLISH_LOOK_MS : now;
    return republished > 0;
  }

  async #lease(tx: Transaction, definitions: LoadedDefinitions): Promise<void> {
    if ((await this.#parts.leases.advance(tx, null)) !== definitions.version) throw new DefinitionsChanged();
  }
}

function choreOf(name: string, chore: Pick<Chore, 'runOne'>, mayRest = true): Chore {
  return { name, mayRest, runOne: (definitions) => chore.runOne(definitions) };
}

/** What these events contribute to these streams, by anchor, packed. */
function foldPartials(
  { features, sourceKeys }: LoadedDefinitions,
  streamIds: readonly number[],
  events: readonly LoggedEvent[],
): Map<Uuid, Buffer> {
  const wanted = new Set(streamIds);
  const idOf = new Map(features.streams.map((stream) => [stream.spec.key, stream.id]));
  // One for each stream: with a feature that reads several, those that are not wanted would be folded in again.
  const byStream = new Map(
    features.definitions.flatMap(readingsOf).map((definition) => [streamOf(definition).key, definition]),
  );
  const some = FeatureSet.compile(
    [...byStream].filter(([key]) => wanted.has(idOf.get(key) ?? 0)).map(([, definition]) => definition),
    idOf,
    new Map([...sourceKeys].map(([id, key]) => [key, id])),
  );
  const states = new Map<Uuid, AnchorState>();
  for (const event of events) {
    const anchorId = event.identifiers[0]?.id ?? '';
    let state = states.get(anchorId);
    if (state === undefined) states.set(anchorId, (state = some.empty()));
    some.apply(state, event);
  }
  const packed = new Map<Uuid, Buffer>();
  for (const [id, state] of states) if (state.size > 0) packed.set(id, some.encode(state));
  return packed;
}
