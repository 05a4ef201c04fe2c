import type { LoadedDefinitions } from './definitions.js';
import type { PartitionLeases } from './events/partition-lease.store.js';
import type { Pipeline } from './pipeline.js';
import type { Clock } from './platform/clock.js';
import type { Database } from './platform/postgres.js';
import type { GroupDelivery, GroupStore, SweepPlace } from './profiles/group.store.js';
import type { TraitRefoldStore } from './profiles/trait-refold.store.js';

export interface GroupChoreParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly leases: PartitionLeases;
  readonly pipeline: Pipeline;
  readonly groups: GroupStore;
  readonly refolds: Pick<TraitRefoldStore, 'owners'>;
  /** Members that one step tells, at most. */
  readonly maxStepMembers?: number;
}

const MAX_STEP_MEMBERS = 500;
/** Least time between two looks for members to be told where there was none: those that another worker knows of. */
const LOOK_MS = 1_000;

/**
 * Tells the members of groups what the traits of these are, once they changed or somebody joined.
 *
 * 1. A step is some members of this worker's partitions. In one transaction with the evaluation of their profiles they
 *    know the traits that are committed by then, and it is noted that they were told: a process that dies leaves whole
 *    steps behind, and a step that is done twice changes nothing.
 * 2. Newcomers and sweeps take turns, and so do the sweeps of groups: one that always changes holds up no other.
 * 3. Its place in acceptance order is that of `next-place.ts`.
 */
export class GroupChore {
  readonly #parts: GroupChoreParts;
  #lookAt = Number.NEGATIVE_INFINITY;
  #isSweepNext = false;
  #sweptAt: SweepPlace | null = null;

  constructor(parts: GroupChoreParts) {
    this.#parts = parts;
  }

  /** There is somebody to be told whom the last look did not show. */
  wake(): void {
    this.#lookAt = Number.NEGATIVE_INFINITY;
  }

  /**
   * One step; false if there is nothing to do here.
   * @throws DefinitionsChanged, LeaseLost; WeftError where the failure may pass
   */
  async runOne(definitions: LoadedDefinitions): Promise<boolean> {
    const { clock, refolds, pipeline } = this.#parts;
    const now = clock.now();
    if (now < this.#lookAt) return false;
    const delivery = await this.#next();
    if (delivery === null) {
      this.#lookAt = now + LOOK_MS;
      return false;
    }
    await pipeline.tellGroups(definitions, {
      ...delivery,
      owners: (tx, anchorIds) => refolds.owners(tx, anchorIds),
    });
    return true;
  }

  async #next(): Promise<GroupDelivery | null> {
    const { db, leases, groups, maxStepMembers = MAX_STEP_MEMBERS } = this.#parts;
    const parts = leases.held.map(({ part }) => part);
    const newcomers = (): Promise<GroupDelivery | null> => groups.newcomers(db, parts, maxStepMembers);
    const swept = async (): Promise<GroupDelivery | null> => {
      const page = await groups.swept(db, parts, this.#sweptAt, maxStepMembers);
      this.#sweptAt = page?.place ?? null;
      return page;
    };
    const [first, second] = this.#isSweepNext ? [swept, newcomers] : [newcomers, swept];
    this.#isSweepNext = !this.#isSweepNext;
    return (await first()) ?? second();
  }
}
