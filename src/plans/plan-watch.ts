import type { EventSource } from '../events/accept.model.js';
import type { EventPlan, EventPlans } from '../events/event-plan.model.js';
import { Periodic } from '../platform/periodic.js';
import type { Queryable } from '../platform/postgres.js';
import { compilePlan } from './compile-plan.js';
import { PlanReader } from './plan.reader.js';
import { checkStoredPlan, Turns } from './schema-budget.js';
import type { TrackingPlan } from './tracking-plan.model.js';

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

/**
 * The tracking plans in force, and renewed in the background when somebody applied another. A plan is in force once all of
 * it is compiled, which lets events through in between: no event waits for the compiler, whatever its plan holds.
 */
export class PlanWatch implements EventPlans {
  readonly #options: PlanWatchOptions;
  readonly #polls: Periodic;
  #plans: ReadonlyMap<number, WatchedPlan> = new Map();
  #isStopped = false;

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
    this.#isStopped = true;
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
    this.#plans = new Map([...this.#plans].filter(([id]) => versions.has(id)));
    for (const [id, { version, plan }] of loaded) {
      const compiled = await this.#compile(id, plan);
      if (this.#isStopped) return;
      this.#plans = new Map(this.#plans).set(id, { version, plan: compiled });
    }
  }

  /** The plan before it, if there is one, where it cannot be used. That is told once. */
  async #compile(sourceId: number, plan: TrackingPlan): Promise<EventPlan | null> {
    try {
      await checkStoredPlan(plan);
      const compiled = compilePlan(plan);
      const turns = new Turns();
      for (const _step of compiled?.prepare() ?? []) {
        await turns.breathe();
        if (this.#isStopped) break;
      }
      return compiled;
    } catch (error) {
      this.#options.onError(error);
      return this.#plans.get(sourceId)?.plan ?? null;
    }
  }
}
