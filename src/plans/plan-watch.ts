import type { EventSource } from '../events/accept.model.js';
import type { EventPlan, EventPlans } from '../events/event-plan.model.js';
import { Periodic } from '../platform/periodic.js';
import type { Queryable } from '../platform/postgres.js';
import { compilePlan } from './compile-plan.js';
import { PlanReader } from './plan.reader.js';
import { checkStoredPlan } from './schema-budget.js';

export interface PlanWatchOptions {
  readonly db: Queryable;
  /** How soon a plan that another process applied is in force here, ms. Default 5 s. */
  readonly pollMs?: number;
  /** The plans that were in force stay. */
  readonly onError: (error: unknown) => void;
}

const POLL_MS = 5_000;

interface WatchedPlan {
  readonly version: number;
  /** Null: it never has anything to say. */
  readonly plan: EventPlan | null;
}

/** The tracking plans in force, compiled, and renewed in the background when somebody applied another. */
export class PlanWatch implements EventPlans {
  readonly #options: PlanWatchOptions;
  readonly #polls: Periodic;
  #plans: ReadonlyMap<number, WatchedPlan> = new Map();

  constructor(options: PlanWatchOptions) {
    this.#options = options;
    this.#polls = new Periodic(() => this.#poll(), options.pollMs ?? POLL_MS, options.onError);
  }

  of(source: EventSource): EventPlan | null {
    return this.#plans.get(source.id)?.plan ?? null;
  }

  /** Resolves with the plans in force at hand. */
  async start(): Promise<void> {
    await this.#poll();
    this.#polls.start();
  }

  stop(): Promise<void> {
    return this.#polls.stop();
  }

  /** Resolves when what was applied before the call is in force here; if that cannot be read, it is at the next poll. */
  refresh(): Promise<void> {
    return this.#polls.run();
  }

  async #poll(): Promise<void> {
    const reader = new PlanReader(this.#options.db);
    const versions = await reader.currentVersions();
    const changed = [...versions].filter(([id, version]) => this.#plans.get(id)?.version !== version);
    if (changed.length === 0 && versions.size === this.#plans.size) return;
    const loaded = await reader.currentOf(changed.map(([id]) => id));
    const plans = new Map([...this.#plans].filter(([id]) => versions.has(id)));
    for (const [id, { version, plan }] of loaded) {
      try {
        await checkStoredPlan(plan);
        plans.set(id, { version, plan: compilePlan(plan) });
      } catch (error) {
        // Told once; the plan before it stays, if there is one.
        plans.set(id, { version, plan: this.#plans.get(id)?.plan ?? null });
        this.#options.onError(error);
      }
    }
    this.#plans = plans;
  }
}
