import type { Clock } from '../platform/clock.js';
import { WeftError } from '../platform/errors.js';
import { newId, type Uuid } from '../platform/ids.js';
import { nameHint } from '../platform/near-names.js';
import type { Database } from '../platform/postgres.js';
import type { Recompute, SegmentWork } from './recompute.model.js';
import { RecomputeStore } from './recompute.store.js';
import { SegmentReader } from './segment.reader.js';
import { SegmentWorkReader } from './segment-work.reader.js';

export interface SegmentWorkDependencies {
  readonly db: Database;
  readonly clock: Clock;
  /** Called when there may be something to do. */
  readonly onRequested: () => void;
}

/** Use cases of whoever looks after what is done about segments behind live traffic. */
export class SegmentWorkService {
  readonly #store = new RecomputeStore();
  readonly #reader: SegmentWorkReader;

  constructor(private readonly deps: SegmentWorkDependencies) {
    this.#reader = new SegmentWorkReader(deps.db);
  }

  read(): Promise<SegmentWork> {
    return this.#reader.read(this.deps.clock.now());
  }

  /** @throws WeftError NOT_FOUND */
  async demand(id: Uuid): Promise<Recompute> {
    const found = await this.#reader.recompute(id, this.deps.clock.now());
    if (found !== null) return found;
    throw new WeftError('NOT_FOUND', `there is no recomputation ${id}`, { hint: 'the latest 100 are kept' });
  }

  /**
   * Has everybody evaluated anew, behind live traffic. One that is asked for and has not begun is joined: two at once
   * are one. What has begun has passed some people already, so the one that answers this begins after it.
   *
   * @param keys segments whose changes are counted; empty: all. An evaluation is of all segments, because the next
   * instant at which time alone changes something is that of all
   * @param requestId of who asks, where asking again must not be another one
   * @throws WeftError NOT_FOUND, CONFLICT (a segment that is not evaluated)
   */
  async recompute(keys: readonly string[], requestId: Uuid | null = null): Promise<Recompute> {
    const { db, clock, onRequested } = this.deps;
    const segmentIds = await this.#evaluated(keys);
    const requestedAt = clock.now();
    const id = await db.transaction((tx) =>
      this.#store.request(tx, { id: newId(requestedAt), requestId, segmentIds, requestedAt }),
    );
    onRequested();
    return this.demand(id);
  }

  /** That there are such segments, and that they are evaluated. @throws WeftError NOT_FOUND, CONFLICT */
  async demandEvaluated(keys: readonly string[]): Promise<void> {
    await this.#evaluated(keys);
  }

  /**
   * Has evaluating anew and reading history rest between batches, in all processes, until it is resumed. Live traffic
   * and timers go on; new definitions are in progress for as long.
   */
  async pause(): Promise<SegmentWork> {
    await this.#store.pause(this.deps.db, this.deps.clock.now());
    return this.read();
  }

  async resume(): Promise<SegmentWork> {
    const { db, clock, onRequested } = this.deps;
    await db.transaction((tx) => this.#store.resume(tx, clock.now()));
    onRequested();
    return this.read();
  }

  /**
   * Ends what was asked for and is not over; whoever was evaluated stays so. Who has a turn already, a batch of each
   * worker, is evaluated still.
   * @throws WeftError CONFLICT where there is none; what a change of definitions needs cannot be cancelled
   */
  async cancel(): Promise<SegmentWork> {
    const { db, clock } = this.deps;
    const cancelled = await db.transaction((tx) => this.#store.cancel(tx, null, clock.now()));
    const work = await this.read();
    if (cancelled > 0) return work;
    if (work.eventsLeft === 0 && work.profilesLeft === 0) {
      throw new WeftError('CONFLICT', 'nothing is being recomputed', {
        hint: 'weft segment progress shows what is under way',
      });
    }
    throw new WeftError('CONFLICT', 'people are evaluated because definitions changed, which cannot be cancelled', {
      hint: 'write the version before instead: weft segment restore <key> <version>, then weft segment activate <key>',
    });
  }

  /** Where a request is not wanted any more: cancels what nobody else asked for. */
  async withdraw(requestId: Uuid): Promise<void> {
    const { db, clock } = this.deps;
    await db.transaction((tx) => this.#store.cancel(tx, requestId, clock.now()));
  }

  async #evaluated(keys: readonly string[]): Promise<number[]> {
    if (keys.length === 0) return [];
    const segments = await new SegmentReader(this.deps.db).all();
    const byKey = new Map(segments.map((segment) => [segment.key, segment]));
    const ids = keys.map((key) => {
      const found = byKey.get(key);
      if (found === undefined) {
        throw new WeftError('NOT_FOUND', `there is no segment ${key.slice(0, 100)}`, {
          where: 'keys',
          hint: nameHint(key, [...byKey.keys()], 'weft segment list shows all of them'),
        });
      }
      if (found.stage !== 'active') {
        throw new WeftError('CONFLICT', `the segment ${key} is not active, so nobody is evaluated for it`, {
          where: 'keys',
          hint: `weft segment activate ${key} lets it decide, which evaluates everybody`,
        });
      }
      return found.id;
    });
    return [...new Set(ids)].sort((a, b) => a - b);
  }
}
