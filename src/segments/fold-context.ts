import type { JsonValue, LoggedEvent } from '../events/event.model.js';
import type { CompareOp } from '../features/compare-value.model.js';
import type { FeatureValue } from '../features/feature.model.js';
import { groupsOf } from '../profiles/groups.model.js';
import type { Uuid } from '../platform/ids.js';
import type { HeldConsent } from '../profiles/consent.model.js';
import type { TraitConflict } from '../profiles/trait-rule.model.js';
import type { FeatureRow, Prediction } from '../scoring/prediction.model.js';
import type { CompiledSegment } from './compile-segment.js';
import { featuresOfModel, versionFor, type ActiveModel, type AskedVersion } from './asked-version.model.js';
import type { Definitions } from './definitions.model.js';
import type { EvalContext, ModelOutput } from './eval-context.model.js';
import type { ProfileWork } from './profile-work.model.js';
import { inputsAsOf, scoreHoldsUntil } from './score-steps.model.js';

/** A profile to be scored for the models that these segments read. */
export interface ScoreRequest {
  readonly profile: ProfileWork;
  readonly t: number;
  readonly segments: readonly Asking[];
}

/** What of a segment says which models it asks, and of whom. */
type Asking = Pick<CompiledSegment, 'modelDeps' | 'admission'>;

/** Shows one profile after the other to the segments. Values as of the bound instant are computed once. */
export class FoldContext implements EvalContext {
  readonly definitions: Definitions;
  /** Values of traits that were left out so far. */
  droppedTraits = 0;
  /** Values of traits of another type than declared, so far. */
  readonly traitConflicts: TraitConflict[] = [];
  /** Events that name a group, so far. */
  readonly groupEvents: LoggedEvent[] = [];
  #profile: ProfileWork | null = null;
  #t = 0;
  /** `#values[i]` holds for the present binding iff `#stamps[i] === #stamp`: rebinding costs nothing. */
  readonly #values: FeatureValue[] = [];
  readonly #stamps: number[] = [];
  #stamp = 0;

  constructor(definitions: Definitions) {
    this.definitions = definitions;
  }

  bind(profile: ProfileWork, t: number): void {
    this.#profile = profile;
    this.#t = t;
    this.#stamp++;
  }

  profileId(): Uuid {
    return this.#bound().id;
  }

  feature(index: number, t: number): FeatureValue {
    if (t !== this.#t) return this.definitions.features.value(this.#bound().merged, index, t);
    const cached = this.#values[index];
    if (cached !== undefined && this.#stamps[index] === this.#stamp) return cached;
    const value = this.definitions.features.value(this.#bound().merged, index, t);
    this.#values[index] = value;
    this.#stamps[index] = this.#stamp;
    return value;
  }

  flipAt(index: number, t: number, op: CompareOp, constant: number): number {
    return this.definitions.features.flipAt(this.#bound().merged, index, t, op, constant);
  }

  lastTimes(index: number): readonly number[] {
    return this.definitions.features.lastTimes(this.#bound().merged, index);
  }

  trait(name: string): JsonValue | undefined {
    return this.#bound().traits.get(name)?.value;
  }

  groups(): JsonValue {
    return groupsOf(this.#bound().traits) as unknown as JsonValue;
  }

  consent(trait: string): HeldConsent | undefined {
    return this.#bound().traits.get(trait);
  }

  model(key: string): ModelOutput | undefined {
    return this.#bound().scores.get(key);
  }

  membership(segmentKey: string): boolean {
    const segment = this.definitions.segments.byKey.get(segmentKey);
    return segment !== undefined && this.#bound().memberships.has(segment.segmentId);
  }

  /** Forgets the scores that rest on a touched feature. */
  dropStaleScores(profile: ProfileWork, touched: readonly number[]): void {
    for (const key of profile.scores.keys()) {
      const model = this.definitions.models.get(key);
      if (model === undefined || featuresOfModel(model).some((index) => touched.includes(index))) {
        profile.scores.delete(key);
      }
    }
  }

  /** Makes the scores that the segments read those of `t`: one batch per model over all requests. */
  async score(requests: readonly ScoreRequest[]): Promise<void> {
    for (const model of this.definitions.models.values()) {
      const due = requests.filter(
        ({ profile, t, segments }) =>
          !isFresh(profile, model, t) && segments.some((segment) => this.#asks(segment, model.key, profile, t)),
      );
      if (due.length === 0) continue;
      if (model.canary === null) {
        await this.#scoreBy(model, due);
        continue;
      }
      const ofCanary = due.filter(({ profile }) => versionFor(model, profile.id) !== model);
      await this.#scoreBy(model.canary, ofCanary);
      const others = new Set(ofCanary);
      await this.#scoreBy(
        model,
        due.filter((request) => !others.has(request)),
      );
    }
  }

  async #scoreBy(version: AskedVersion, due: readonly ScoreRequest[]): Promise<void> {
    if (due.length === 0) return;
    const { key, scoredAs } = version;
    const isFirst = version.featureIndexes.map(
      (index) => this.definitions.features.definitions[index]?.aggregate === 'first',
    );
    const inputs = due.map(({ profile, t }) => this.#inputs(version, isFirst, profile, t));
    const predictions = await this.definitions.score(
      scoredAs,
      inputs.map(({ row }) => row),
      inputs.map(({ asOf }) => asOf),
    );
    this.definitions.onScored?.({
      ...{ version, predictions },
      rows: inputs.map(({ row }) => row),
      times: due.map(({ t }) => t),
    });
    due.forEach(({ profile }, i) => {
      const prediction = predictions[i] ?? null;
      if (prediction === null) {
        profile.scores.delete(key);
        profile.unscored.add(key);
      } else {
        profile.scores.set(key, withoutEmbedding(prediction));
        profile.unscored.delete(key);
      }
    });
  }

  /** Whether a segment cannot be judged at `t`, because a model that it would have to ask gave no answer. */
  isUnanswered({ modelDeps, admission }: CompiledSegment, t: number): boolean {
    const { unscored } = this.#bound();
    if (unscored.size === 0 || !modelDeps.some((key) => unscored.has(key))) return false;
    return admission === null || admission.isOpen(this, t);
  }

  /** Nobody is scored for a segment whose purposes they do not allow, or outside its active period. */
  #asks({ modelDeps, admission }: Asking, model: string, profile: ProfileWork, t: number): boolean {
    if (!modelDeps.includes(model)) return false;
    if (admission === null) return true;
    this.bind(profile, t);
    return admission.isOpen(this, t);
  }

  #inputs(
    { featureIndexes }: AskedVersion,
    isFirst: readonly boolean[],
    profile: ProfileWork,
    t: number,
  ): { row: FeatureRow; asOf: number } {
    this.bind(profile, t);
    const row = featureIndexes.map((index) => this.feature(index, t));
    const asOf = inputsAsOf(row, isFirst, t);
    return { asOf, row: asOf === t ? row : featureIndexes.map((index) => this.feature(index, asOf)) };
  }

  #bound(): ProfileWork {
    if (this.#profile === null) throw new Error('no profile is bound');
    return this.#profile;
  }
}

/** No condition asks for it, and thousands of profiles are kept. */
function withoutEmbedding(prediction: Prediction): Prediction {
  if (prediction.embedding === undefined) return prediction;
  const { embedding: _, ...rest } = prediction;
  return rest;
}

function isFresh(profile: ProfileWork, model: ActiveModel, t: number): boolean {
  const prediction = profile.scores.get(model.key);
  if (prediction?.version !== versionFor(model, profile.id).version) return false;
  return prediction.asOf <= t && t < scoreHoldsUntil(prediction.validUntil);
}
