import type { Clock } from '../platform/clock.js';
import { WeftError } from '../platform/errors.js';
import { newId, type Uuid } from '../platform/ids.js';
import type { Database, Queryable } from '../platform/postgres.js';
import type { EventSource } from './accept.model.js';
import { MAX_RETRACTED_MESSAGES, type Retraction, type RetractionExtent } from './retraction.model.js';
import type { RetractionStore } from './retraction.store.js';

export interface RetractionDependencies {
  readonly db: Database;
  readonly clock: Clock;
  readonly retractions: RetractionStore;
  /** Told of each that there is to do. */
  readonly onRequested: () => void;
  /** Rejects when the signal is aborted. */
  readonly sleep: (ms: number, signal: AbortSignal | undefined) => Promise<void>;
}

export interface WaitOptions {
  readonly onProgress?: (removed: number, events: number) => void;
  readonly signal?: AbortSignal;
}

const POLL_MS = 50;

const unguarded = (): Promise<void> => Promise.resolve();

/**
 * Takes events back: whoever asks is answered once that is on record, and workers do it. Once it is done, profiles,
 * traits and features are what they would be had the events never been accepted; so their message ids are free again.
 */
export class RetractionService {
  constructor(private readonly deps: RetractionDependencies) {}

  /** What taking a load back would touch. */
  extentOfLoad(loadId: Uuid): Promise<RetractionExtent> {
    return this.deps.retractions.extent(this.deps.db, { id: loadId, loadId, erasureId: null });
  }

  /**
   * Takes back what a load brought in, whether it is complete or not. Asked again, the same retraction: it goes on.
   * @throws WeftError NOT_FOUND; CONFLICT for a load of before loads could be reverted
   */
  async takeBackLoad(loadId: Uuid): Promise<Retraction> {
    const { db, clock, retractions } = this.deps;
    const createdAt = clock.now();
    await db.transaction(async (tx) => {
      // Appends of the load share this lock: those before are counted among its events, those after are not written.
      const [load] = await tx.query<{ source_id: number; status: string; is_marked: boolean; accepted: number }>(
        'SELECT source_id, status, is_marked, accepted FROM loads WHERE id = $1 FOR UPDATE',
        [loadId],
      );
      if (load === undefined) {
        throw new WeftError('NOT_FOUND', 'there is no such load', {
          where: loadId,
          hint: 'weft load list shows the loads with their ids',
        });
      }
      if (load.status === 'reverting') await retractions.retry(tx, loadId);
      if (load.status === 'reverting' || load.status === 'reverted') return;
      if (!load.is_marked && load.accepted > 0) {
        throw new WeftError(
          'CONFLICT',
          'this load is older than reverting: its events do not say that they are of it',
          {
            where: loadId,
            hint: 'what it brought in can only be corrected by loading right values over it',
          },
        );
      }
      await tx.query(`UPDATE loads SET status = 'reverting' WHERE id = $1`, [loadId]);
      // Under the lock, so that a load that is running adds nothing to it any more.
      const scope = { id: newId(createdAt), loadId, erasureId: null };
      const extent = await retractions.extent(tx, scope);
      await retractions.insert(tx, { sourceId: load.source_id, ...scope, ...extent, createdAt });
    });
    this.deps.onRequested();
    const retraction = (await retractions.ofLoads(db, [loadId])).get(loadId);
    if (retraction === undefined) throw new Error('a load is reverted without a retraction');
    return retraction;
  }

  /**
   * Takes back the events of a source with these message ids; those that are not in the log are passed over. At most
   * 10,000. Not before it is `done` may they be accepted again.
   * @param guard runs first in the transaction that puts it on record, which is not if this rejects
   * @throws WeftError PAYLOAD_TOO_LARGE; what the guard throws
   */
  async takeBackMessages(
    source: EventSource,
    messageIds: readonly string[],
    guard: (tx: Queryable) => Promise<void> = unguarded,
  ): Promise<Retraction> {
    const { db, clock, retractions } = this.deps;
    if (messageIds.length > MAX_RETRACTED_MESSAGES) {
      throw new WeftError('PAYLOAD_TOO_LARGE', `more than ${String(MAX_RETRACTED_MESSAGES)} message ids`, {
        where: 'messageIds',
        hint: 'take back fewer at a time',
      });
    }
    const createdAt = clock.now();
    const id = newId(createdAt);
    await db.transaction(async (tx) => {
      await guard(tx);
      const scope = { id, loadId: null, erasureId: null };
      await retractions.insert(tx, { ...scope, sourceId: source.id, events: 0, profiles: 0, records: 0, createdAt });
      await retractions.chooseMessages(tx, { id, sourceId: source.id }, messageIds);
      await retractions.setExtent(tx, id, await retractions.extent(tx, scope));
    });
    this.deps.onRequested();
    return this.#get(id);
  }

  /**
   * Resolves once it is done, by whichever worker; rejects when the signal is aborted, and goes on all the same.
   * @throws WeftError NOT_FOUND; CONFLICT where it failed again and again
   */
  async done(id: Uuid, { onProgress, signal }: WaitOptions = {}): Promise<Retraction> {
    for (;;) {
      const retraction = await this.#get(id);
      onProgress?.(retraction.removed, retraction.events);
      if (retraction.status === 'done') return retraction;
      if (retraction.status === 'failed') throw failed(retraction);
      await this.deps.sleep(POLL_MS, signal);
    }
  }

  /** Resolves once no single events of the source are being taken back; rejects when the signal is aborted. */
  async settled(source: EventSource, { signal }: Pick<WaitOptions, 'signal'> = {}): Promise<void> {
    const { db, retractions, sleep, onRequested } = this.deps;
    if (!(await retractions.isTakingMessages(db, source.id))) return;
    onRequested();
    do await sleep(POLL_MS, signal);
    while (await retractions.isTakingMessages(db, source.id));
  }

  async #get(id: Uuid): Promise<Retraction> {
    const retraction = await this.deps.retractions.find(this.deps.db, id);
    if (retraction !== null) return retraction;
    throw new WeftError('NOT_FOUND', 'there is no such retraction', { where: id });
  }
}

function failed({ id, loadId, reason }: Retraction): WeftError {
  return new WeftError('CONFLICT', `the events could not be taken back: ${reason ?? 'no reason is known'}`, {
    where: loadId ?? id,
    hint: 'remove the cause, then ask for it again; what is taken back stays so',
  });
}
