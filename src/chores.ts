import type { LoadedDefinitions } from './definitions.js';
import type { EventLog } from './events/event-log.model.js';
import type { LoggedEvent } from './events/event.model.js';
import type { PartitionLeases } from './events/partition-lease.store.js';
import type { AnchorStateStore, PackedAnchor } from './features/anchor-state.store.js';
import type { AnchorState } from './features/anchor-state.js';
import { FeatureSet } from './features/feature-set.js';
import type { PendingBackfill, StreamBackfillStore } from './features/stream-backfill.store.js';
import { streamOf } from './features/stream.model.js';
import type { Clock } from './platform/clock.js';
import type { Uuid } from './platform/ids.js';
import type { Database } from './platform/postgres.js';
import type { TimerStore } from './segments/timer.store.js';

export interface ChoreParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly log: EventLog;
  readonly leases: PartitionLeases;
  readonly anchors: AnchorStateStore;
  readonly backfills: StreamBackfillStore;
  readonly timers: TimerStore;
  /** Profiles in memory are out of date. */
  readonly forget: () => void;
  /** Definitions are to be loaded anew. */
  readonly invalidate: () => void;
}

const MAX_BACKFILL_EVENTS = 5_000;
const MAX_BACKFILL_BYTES = 8 * 1024 * 1024;

/**
 * What a worker does about changed definitions.
 *
 * 1. A new stream counts live from the moment its partition meets it (`register`); what came before is folded into
 *    partials chunk by chunk, which merge into the states under the same lease (`backfill`). Each event is in once:
 *    up to `sincePos` by the backfill, after it live.
 * 2. Once every stream of the definitions is complete everywhere, each partition's profiles are evaluated anew
 *    (`sweep`), by giving each a timer that is due now.
 */
export class Chores {
  readonly #parts: ChoreParts;
  #registered = '';

  constructor(parts: ChoreParts) {
    this.#parts = parts;
  }

  /** To be called before events are applied with these definitions. */
  async register(definitions: LoadedDefinitions): Promise<void> {
    const { db, leases, backfills, invalidate } = this.#parts;
    const key = `${String(definitions.version)} ${leases.held.map((l) => `${String(l.part)}@${String(l.epoch)}`).join()}`;
    if (key === this.#registered) return;
    await db.transaction(async (tx) => {
      await leases.advance(tx, null);
      await backfills.register(tx, leases.held, definitions.streamIds);
    });
    this.#registered = key;
    if (!definitions.complete) invalidate();
  }

  /** One piece of work; false if there is none. */
  async runOne(definitions: LoadedDefinitions): Promise<boolean> {
    const { db, leases, backfills } = this.#parts;
    if (!definitions.complete) {
      const pending = await backfills.next(
        db,
        leases.held.map((lease) => lease.part),
      );
      if (pending !== null) {
        await this.#backfill(definitions, pending);
        return true;
      }
      // Whatever is missing is another worker's; look again next time.
      this.#parts.invalidate();
      return false;
    }
    return this.#sweep(definitions.version);
  }

  async #backfill(definitions: LoadedDefinitions, pending: PendingBackfill): Promise<void> {
    const { db, log, leases, anchors, backfills } = this.#parts;
    const batch = await log.readBatch({
      afterPos: pending.donePos,
      toPos: pending.sincePos,
      parts: [pending.part],
      limit: MAX_BACKFILL_EVENTS,
      maxBytes: MAX_BACKFILL_BYTES,
    });
    const partials = foldPartials(definitions, pending.streamIds, batch.events);
    await db.transaction(async (tx) => {
      await leases.advance(tx, null);
      const ids = [...partials.keys()];
      const standing = new Map((await anchors.lock(tx, ids)).map((anchor) => [anchor.id, anchor]));
      const merged: PackedAnchor[] = [];
      for (const [id, partial] of partials) {
        const anchor = standing.get(id);
        const state = definitions.features.decode(partial);
        if (anchor !== undefined) definitions.features.mergeInto(state, definitions.features.decode(anchor.state));
        merged.push({
          id,
          part: pending.part,
          traits: anchor?.traits ?? Buffer.alloc(0),
          state: definitions.features.encode(state),
        });
      }
      await anchors.save(tx, merged);
      await backfills.advance(tx, pending, Math.min(pending.sincePos, batch.scannedPos));
    });
    this.#parts.forget();
    if (batch.scannedPos >= pending.sincePos) this.#parts.invalidate();
  }

  async #sweep(version: number): Promise<boolean> {
    const { db, clock, log, leases, timers } = this.#parts;
    const [stale] = await db.query<{ part: number }>(
      'SELECT part FROM partitions WHERE swept_version < $1 AND part = ANY ($2::int2[]) ORDER BY part LIMIT 1',
      [version, leases.held.map((lease) => lease.part)],
    );
    if (stale === undefined) return false;
    // Not before anything accepted so far: an evaluation never looks back behind an event it has seen.
    const { acceptedAt } = await log.bumpTime(clock.now());
    await db.transaction(async (tx) => {
      await leases.advance(tx, null);
      await timers.sweep(tx, stale.part, acceptedAt + 1, version);
      await tx.query('UPDATE partitions SET swept_version = $2 WHERE part = $1', [stale.part, version]);
    });
    this.#parts.forget();
    return true;
  }
}

/** What these events contribute to these streams, by anchor, packed. */
function foldPartials(
  { features, sourceKeys }: LoadedDefinitions,
  streamIds: readonly number[],
  events: readonly LoggedEvent[],
): Map<Uuid, Buffer> {
  const wanted = new Set(streamIds);
  const idOf = new Map(features.streams.map((stream) => [stream.spec.key, stream.id]));
  const some = FeatureSet.compile(
    features.definitions.filter((definition) => wanted.has(idOf.get(streamOf(definition).key) ?? 0)),
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
