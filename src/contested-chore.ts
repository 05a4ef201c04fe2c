import type { LoadedDefinitions } from './definitions.js';
import { LeaseLost } from './events/partition-lease.model.js';
import type { PartitionLeases } from './events/partition-lease.store.js';
import { LANE_PAUSE_MS } from './identity/contested-component.model.js';
import type { ContestedComponentStore } from './identity/contested-component.store.js';
import { ContestedResolution } from './identity/contested-resolution.js';
import type { IdentityLinkStore } from './identity/identity-link.store.js';
import { MAX_REPLAY_ROWS } from './identity/resolve-component.js';
import type { MatchingMarks } from './matching-marks.js';
import { mayPass } from './passing-failure.js';
import { DefinitionsChanged } from './pipeline-transaction.js';
import type { Pipeline } from './pipeline.js';
import type { Clock } from './platform/clock.js';
import { WeftError } from './platform/errors.js';
import type { Database } from './platform/postgres.js';

export interface ContestedObserver {
  /** Told with each look how many components are contested. */
  contested(components: number): void;
}

export interface ContestedChoreParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly leases: PartitionLeases;
  readonly contested: ContestedComponentStore;
  readonly links: IdentityLinkStore;
  readonly pipeline: Pipeline;
  readonly matching: Pick<MatchingMarks, 'ofComponent'>;
  readonly observer: ContestedObserver & { retrying(error: unknown, attempt: number): void };
  /** Rows of evidence up to which a component is replayed between two events. */
  readonly maxReplayRows?: number;
  /** Rows of one piece of work. */
  readonly sliceRows?: number;
}

/** Least time between two looks for components where there was none. */
const LOOK_MS = 1_000;
/** A component is resolved again after so many times what it took, or more: at most a tenth of all time goes there. */
const PAUSE_FACTOR = 9;

/**
 * Resolves components that have too much evidence to be replayed between two events: piece by piece between batches,
 * one component at a time (`contested-resolution.ts`).
 *
 * 1. The holder of the first partition does it, so that never two workers are at it.
 * 2. Groups that are not what a profile is get placed some at a time, each in one transaction with all that comes of it,
 *    while every other worker stands still. A process that dies leaves whole groups behind; the next one begins anew
 *    and finds those in place.
 * 3. Between two resolutions of one component there is a pause, so that news is resolved together.
 * 4. What fails is tried again, later and later, and holds up no other component.
 */
export class ContestedChore {
  readonly #parts: ContestedChoreParts;
  #at: ContestedResolution | null = null;
  #begunAt = 0;
  #lookAt = Number.NEGATIVE_INFINITY;

  constructor(parts: ContestedChoreParts) {
    this.#parts = parts;
  }

  /**
   * One piece of work; false if there is nothing to do here.
   * @throws DefinitionsChanged, LeaseLost; WeftError where the failure may pass
   */
  async runOne(definitions: LoadedDefinitions): Promise<boolean> {
    const { leases } = this.#parts;
    if (!leases.held.some(({ part }) => part === 0)) {
      this.#at = null;
      return false;
    }
    // What was replayed by older rules is of no use.
    if (this.#at !== null && this.#at.rules.version !== definitions.identityRules.version) this.#at = null;
    const resolution = (this.#at ??= await this.#next(definitions));
    if (resolution === null) return false;
    try {
      await this.#advance(definitions, resolution);
    } catch (error) {
      if (error instanceof DefinitionsChanged || error instanceof LeaseLost || mayPass(error)) throw error;
      await this.#giveUp(resolution, error);
    }
    return true;
  }

  async #next({ identityRules: rules }: LoadedDefinitions): Promise<ContestedResolution | null> {
    const { clock, contested, db } = this.#parts;
    const now = clock.now();
    if (now < this.#lookAt) return null;
    this.#parts.observer.contested(await contested.count(db));
    const component = await contested.next(db, now);
    if (component === null) {
      this.#lookAt = now + LOOK_MS;
      return null;
    }
    this.#begunAt = now;
    return new ContestedResolution(component, { ...this.#parts, rules });
  }

  async #advance(definitions: LoadedDefinitions, resolution: ContestedResolution): Promise<void> {
    if (resolution.phase === 'reading') return resolution.advance(this.#parts.db);
    const groups = resolution.phase === 'placing' ? resolution.next() : [];
    if (groups.length === 0) return this.#finish(definitions, resolution);
    const { pipeline } = this.#parts;
    pipeline.forget();
    await pipeline.revise(definitions, {
      revisionId: null,
      decide: () => Promise.resolve({ ids: [], groups, decision: null, cause: 'contested' }),
      note: () => Promise.resolve(),
    });
    pipeline.forget();
    resolution.placed(groups.length);
  }

  async #finish(definitions: LoadedDefinitions, resolution: ContestedResolution): Promise<void> {
    const { clock, contested, db, matching, maxReplayRows = MAX_REPLAY_ROWS } = this.#parts;
    const { component, size, phase } = resolution;
    const nowMs = clock.now();
    this.#at = null;
    this.#lookAt = Number.NEGATIVE_INFINITY;
    const dueAt = nowMs + Math.max(LANE_PAUSE_MS, PAUSE_FACTOR * (nowMs - this.#begunAt));
    await db.transaction(async (tx) => {
      if (phase === 'placing' && size.evidenceRows <= maxReplayRows) await contested.settle(tx, component);
      await contested.resolved(tx, component.id, {
        ...size,
        news: component.news,
        nowMs,
        dueAt,
        isBeyond: phase === 'beyond',
      });
      // Its members are compared from now on, or no more.
      await matching.ofComponent(tx, definitions, component.id);
    });
  }

  async #giveUp({ component }: ContestedResolution, error: unknown): Promise<void> {
    const { clock, contested, db, observer, pipeline } = this.#parts;
    this.#at = null;
    pipeline.forget();
    await contested.fail(db, component.id, reasonOf(error), clock.now());
    observer.retrying(error, component.failures + 1);
  }
}

/** For people to read: other errors than our own may quote what they were about, and are only in the worker's log. */
function reasonOf(error: unknown): string {
  if (error instanceof WeftError) return `${error.code}: ${error.message}`;
  return `INTERNAL: ${error instanceof Error ? error.name : 'an error'}; the worker's log says more`;
}
