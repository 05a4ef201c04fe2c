import type { Clock } from '../platform/clock.js';
import { WeftError } from '../platform/errors.js';
import { newId, type Uuid } from '../platform/ids.js';
import type { Database } from '../platform/postgres.js';
import { BACKGROUND_JOB_LIMITS, type BackgroundJob } from './background-job.model.js';
import { BackgroundJobReader } from './background-job.reader.js';
import { BackgroundJobStore } from './background-job.store.js';
import type { JobKind, JobSettings } from './schedule.model.js';

export interface BackgroundJobServiceParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly kinds: readonly JobKind[];
  /** There is something to be done, or to be stopped. */
  readonly onRequested: () => void;
  /** One was refused, as too many wait or run. */
  readonly onRefused: () => void;
}

/** Use cases of those who want something done that takes long. */
export class BackgroundJobService {
  readonly #parts: BackgroundJobServiceParts;
  readonly #store: BackgroundJobStore;

  constructor(parts: BackgroundJobServiceParts) {
    this.#parts = parts;
    this.#store = new BackgroundJobStore(parts.db);
  }

  /** One line: what it does. */
  describe({ kind, job }: Pick<BackgroundJob, 'kind' | 'job'>): string {
    return this.#parts.kinds.find((each) => each.kind === kind)?.describe(job) ?? kind;
  }

  /**
   * Has something done by a worker, once those that were asked for before have their turn.
   * @param askedBy the name of a key, or of who gave a command
   * @throws WeftError OVERLOADED (too many wait or run), and what its kind finds wrong with it
   */
  async request(kind: string, asked: JobSettings, askedBy: string): Promise<BackgroundJob> {
    const { db, clock, kinds, onRequested, onRefused } = this.#parts;
    const job = (await kinds.find((each) => each.kind === kind)?.prepare?.(asked)) ?? asked;
    const requestedAt = clock.now();
    const id = newId(requestedAt);
    if (!(await db.transaction((tx) => this.#store.insert(tx, { id, kind, job, askedBy, requestedAt })))) {
      onRefused();
      throw new WeftError('OVERLOADED', `${String(BACKGROUND_JOB_LIMITS.maxOpen)} jobs wait or run already`, {
        hint: 'ask again once some are over, or cancel some: weft segment jobs shows them',
        retryAfterMs: 60_000,
      });
    }
    onRequested();
    return this.demand(id);
  }

  /**
   * At once where it waits, within seconds where it runs: the job as it is then.
   * @throws WeftError NOT_FOUND; CONFLICT where it is over
   */
  async cancel(id: Uuid): Promise<BackgroundJob> {
    const { kind } = await this.demand(id);
    if (!(await this.#store.cancel(id, this.#parts.clock.now()))) {
      const { status } = await this.demand(id);
      throw new WeftError('CONFLICT', `the job is ${status}`, {
        where: 'id',
        hint: 'there is nothing to cancel; jobs that are over go by themselves',
      });
    }
    await this.#parts.kinds.find((each) => each.kind === kind)?.withdraw?.(id);
    this.#parts.onRequested();
    return this.demand(id);
  }

  /** @throws WeftError NOT_FOUND */
  async demand(id: Uuid): Promise<BackgroundJob> {
    const found = await new BackgroundJobReader(this.#parts.db).job(id, this.#parts.clock.now());
    if (found !== null) return found;
    throw new WeftError('NOT_FOUND', 'there is no such job', {
      where: 'id',
      hint: 'weft segment jobs shows those that there are; they go seven days after their end',
    });
  }
}
