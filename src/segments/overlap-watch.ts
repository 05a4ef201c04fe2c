import type { Clock } from '../platform/clock.js';
import { Periodic } from '../platform/periodic.js';
import type { Database } from '../platform/postgres.js';
import { OverlapStore } from './overlap.store.js';

/** Memberships that one measurement reads, about: some two minutes of one core of PostgreSQL. */
export const MAX_MEASURED_MEMBERSHIPS = 20_000_000;
const LOOK_EVERY_MS = 60_000;

/** Measures every hour what segments have in common, and soon after one was activated. Several processes may. */
export class OverlapWatch {
  readonly #looks: Periodic;

  constructor(db: Database, clock: Clock, onError: (error: unknown) => void) {
    const store = new OverlapStore(db);
    this.#looks = new Periodic(
      async () => {
        await store.measureIfDue({ nowMs: clock.now(), maxMemberships: MAX_MEASURED_MEMBERSHIPS });
      },
      LOOK_EVERY_MS,
      onError,
    );
  }

  start(): void {
    this.#looks.start();
  }

  stop(): Promise<void> {
    return this.#looks.stop();
  }
}
