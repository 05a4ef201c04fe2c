import type { EventSource } from '../events/accept.model.js';
import { EventSampleReader } from '../events/event-sample.reader.js';
import { NO_SEALER, type EventSealer } from '../events/event-seal.model.js';
import type { Clock } from '../platform/clock.js';
import { WeftError } from '../platform/errors.js';
import { nameHint } from '../platform/near-names.js';
import type { Database } from '../platform/postgres.js';
import { diffPlans } from './diff-plans.js';
import { PlanInference, type InferredPlan } from './infer-plan.js';
import { parsePlan } from './parse-plan.js';
import { PlanReader } from './plan.reader.js';
import { PlanStore } from './plan.store.js';
import { checkStoredPlan } from './schema-budget.js';
import type { PlanVersion, TrackingPlan } from './tracking-plan.model.js';

export interface PlanServiceOptions {
  readonly db: Database;
  readonly clock: Clock;
  /** Default: the log is not sealed. */
  readonly sealer?: EventSealer;
  readonly sources: {
    findByKey(key: string): Promise<EventSource | null>;
    list(): Promise<readonly EventSource[]>;
  };
  /** Called when a plan was applied, so that it is in force here at once. */
  readonly onApplied: () => Promise<void>;
}

/** A plan that was applied, or would be. */
export interface PlanChange {
  readonly source: EventSource;
  readonly plan: TrackingPlan;
  /** What it changes, in lines for people; empty: nothing. */
  readonly changes: readonly string[];
  /** The version in force: before a dry run, or after the change. Null: there is none yet. */
  readonly version: PlanVersion | null;
  readonly applied: boolean;
}

/** A draft of a plan, and what of the log it was made of. */
export interface PlanDraft extends InferredPlan {
  /** Positions of the log that were looked at, of those that there are since then. */
  readonly scanned: number;
  readonly positions: number;
}

const MAX_SAMPLED_EVENTS = 20_000;
const MAX_SAMPLED_POSITIONS = 1_000_000;
const MAX_NAME_LENGTH = 200;

/** Applies tracking plans. Each change of a plan is a version; going back is applying an older one. */
export class PlanService {
  readonly #options: PlanServiceOptions;
  readonly #store = new PlanStore();

  constructor(options: PlanServiceOptions) {
    this.#options = options;
  }

  /**
   * Applies a plan as its author wrote it; what is in force already is left alone.
   * @param file how messages call the text
   * @param by who does it, for people
   * @throws WeftError DEFINITION_INVALID, PAYLOAD_TOO_LARGE, NOT_FOUND (the source)
   */
  async applyText(
    text: string,
    options: { readonly file: string; readonly by: string; readonly isDryRun: boolean },
  ): Promise<PlanChange> {
    const { source: key, plan } = await parsePlan(text, options.file);
    return this.#apply(await this.sourceOf(key, 'tracking_plan'), plan, options);
  }

  /** Makes an older version the newest one. @throws WeftError NOT_FOUND, DEFINITION_INVALID (it is too large by now) */
  async restore(
    sourceKey: string,
    version: number,
    options: { readonly by: string; readonly isDryRun: boolean },
  ): Promise<PlanChange> {
    const source = await this.sourceOf(sourceKey, 'source');
    const { plan } = await this.versionOf(source, version);
    await checkStoredPlan(plan);
    return this.#apply(source, plan, options);
  }

  /**
   * Drafts a plan of what a source sent.
   * @param sinceMs accepted then or later
   * @throws WeftError NOT_FOUND
   */
  async infer(
    sourceKey: string,
    { sinceMs, onProgress }: { readonly sinceMs: number; readonly onProgress?: (done: number, parts: number) => void },
  ): Promise<PlanDraft> {
    const source = await this.sourceOf(sourceKey, 'source');
    const inference = new PlanInference();
    const sample = { sourceId: source.id, sinceMs, maxEvents: MAX_SAMPLED_EVENTS, maxPositions: MAX_SAMPLED_POSITIONS };
    let [scanned, positions] = [0, 0];
    for await (const part of new EventSampleReader(this.#options.db, this.#options.sealer ?? NO_SEALER).parts(sample)) {
      for (const event of part.events) inference.add(event);
      ({ scanned, positions } = part);
      onProgress?.(part.done, part.parts);
    }
    return { ...inference.result(source.key), scanned, positions };
  }

  /** @throws WeftError NOT_FOUND */
  async versionOf(source: EventSource, version: number): Promise<PlanVersion> {
    const found = await new PlanReader(this.#options.db).version(source.id, version);
    if (found !== null) return found;
    throw new WeftError('NOT_FOUND', `the tracking plan of ${source.key} has no version ${String(version)}`, {
      where: 'version',
      hint: `weft plan list ${source.key} shows those that there are`,
    });
  }

  /** @throws WeftError NOT_FOUND */
  async sourceOf(key: string, where: string): Promise<EventSource> {
    const { sources } = this.#options;
    const found = await sources.findByKey(key);
    if (found !== null) return found;
    const keys = (await sources.list()).map((source) => source.key);
    throw new WeftError('NOT_FOUND', `there is no source ${key.slice(0, MAX_NAME_LENGTH)}`, {
      where,
      hint: nameHint(key, keys, 'weft sources list shows all of them; weft sources create makes one'),
    });
  }

  async #apply(
    source: EventSource,
    plan: TrackingPlan,
    { by, isDryRun }: { readonly by: string; readonly isDryRun: boolean },
  ): Promise<PlanChange> {
    const { db, clock, onApplied } = this.#options;
    if (isDryRun) {
      const version = await new PlanReader(db).current(source.id);
      return { source, plan, changes: diffPlans(version?.plan ?? null, plan), version, applied: false };
    }
    const change = await db.transaction(async (tx): Promise<PlanChange> => {
      await this.#store.lock(tx, source.id);
      const current = await new PlanReader(tx).current(source.id);
      const changes = diffPlans(current?.plan ?? null, plan);
      if (current !== null && changes.length === 0) return { source, plan, changes, version: current, applied: false };
      const version: PlanVersion = {
        sourceId: source.id,
        version: (current?.version ?? 0) + 1,
        plan,
        appliedAt: clock.now(),
        appliedBy: by.slice(0, MAX_NAME_LENGTH).replaceAll('\0', ''),
      };
      await this.#store.insert(tx, version);
      return { source, plan, changes, version, applied: true };
    });
    if (change.applied) await onApplied();
    return change;
  }
}
