import type { FeatureDefinition } from '../../src/features/feature.model.js';
import type { FeatureRow } from '../../src/scoring/prediction.model.js';
import { naiveInstants, naiveValue, type NaiveWorld } from './naive-features.js';
import type { NaiveView } from './naive-fold.js';
import { HOUR_MS, MINUTE_MS } from './world.js';

const STEP_MS = 5 * MINUTE_MS;
/** How long after its event a recency is followed. */
const FOLLOWED_MS = 200 * HOUR_MS;

/**
 * What a model says of a profile by the definition of `score-steps.model.ts`, from the list of events. A fold asks for
 * labels at once and a model takes its time: rows that were asked for in vain are kept until `answer` has them scored.
 */
export class NaiveModel {
  readonly #features: readonly FeatureDefinition[];
  readonly #labels = new Map<string, string | null>();
  readonly #unanswered = new Map<string, FeatureRow>();

  /** @param features in the model's order, no first values among them */
  constructor(
    readonly key: string,
    features: readonly FeatureDefinition[],
  ) {
    this.#features = features;
  }

  /** The label at `t`; null where it is not known yet. */
  label(view: NaiveView, t: number): string | null {
    const rowAt = (instant: number): FeatureRow =>
      this.#features.map((feature) => ({ ...naiveValue(feature, worldOf(view), instant), validUntil: Infinity }));
    const newest = Math.max(...rowAt(t).map(({ eventTs }) => eventTs ?? -Infinity));
    const row = rowAt(Math.max(Math.floor(t / STEP_MS) * STEP_MS, newest + 1));
    const key = JSON.stringify(row.map(({ value }) => value));
    const label = this.#labels.get(key);
    if (label === undefined) this.#unanswered.set(key, row);
    return label ?? null;
  }

  /** Every instant after `t` at which time alone could change the label. */
  instants(view: NaiveView, t: number): number[] {
    const changes = this.#features.flatMap((feature) => {
      const units = Math.ceil((feature.windowMs ?? FOLLOWED_MS) / (feature.unitMs ?? FOLLOWED_MS));
      // What changed since the step began is seen at its end.
      return naiveInstants(feature, worldOf(view), t - STEP_MS, units);
    });
    return [...new Set(changes.map((at) => Math.ceil(at / STEP_MS) * STEP_MS))].filter((at) => at > t);
  }

  /** Has all rows scored that were asked for so far; how many were new. */
  async answer(score: (rows: readonly FeatureRow[]) => Promise<readonly { label?: string | number }[]>) {
    const asked = [...this.#unanswered];
    this.#unanswered.clear();
    const answers = await score(asked.map(([, row]) => row));
    for (const [i, [key]] of asked.entries()) this.#labels.set(key, String(answers[i]?.label));
    return asked.length;
  }
}

function worldOf(view: NaiveView): NaiveWorld {
  return { events: view.events, sourceIds: new Map(), filters: new Map() };
}
