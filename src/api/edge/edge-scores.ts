import type { Clock } from '../../platform/clock.js';
import type { Uuid } from '../../platform/ids.js';
import type { FeatureRow, Prediction, RowScorer } from '../../scoring/prediction.model.js';
import { versionFor } from '../../segments/asked-version.model.js';
import type { ProfileGlance } from '../../segments/profile-snapshot.model.js';
import type { ApiDefinitions } from '../api-definitions.model.js';
import { EdgeMarks, type EdgeScoreView } from './edge-answer.model.js';

/** Of the newer and of the older half, each. */
const MAX_HALF = 5_000;
/** How long a half is the newer one at most, ms: nobody is remembered for twice as long, whether or not they come back. */
const HALF_MS = 300_000;
/** The scores of a profile with more packed features are not remembered. */
const MAX_STATE_BYTES = 4_096;

export interface EdgeScoresOptions {
  readonly batcher: {
    predict(scorer: RowScorer, modelKey: string, row: FeatureRow, asOf: number): Promise<Prediction>;
  };
  readonly clock: Clock;
}

interface Remembered {
  readonly state: Buffer;
  /** They hold from when they were asked for to, not including, the instant at which time changes an input, ms. */
  readonly fromMs: number;
  readonly untilMs: number;
  /** Those that were asked. */
  readonly models: readonly string[];
  readonly scores: readonly EdgeScoreView[];
}

/**
 * What the models that are marked edge-safe say of a profile, asked now, by key of the model.
 *
 * What a model says is a function of its inputs, and those of the packed features, the definitions and the instant; each
 * input says until when it is the same. So what was said of the very same features within that time is not asked again,
 * unless the visitor allows other models to be asked.
 * Remembered are 10,000 profiles of at most 4 KB for up to ten minutes, in two halves of which the older one goes as a whole.
 */
export class EdgeScores {
  readonly #options: EdgeScoresOptions;
  #newer = new Map<Uuid, Remembered>();
  #older = new Map<Uuid, Remembered>();
  /** Whether the halves turn by themselves at some time. */
  #isTurning = false;
  /** What everything that is remembered was said under. */
  #definitions: ApiDefinitions | null = null;

  constructor(options: EdgeScoresOptions) {
    this.#options = options;
  }

  /** What is known without asking a model; undefined where one has to be asked. */
  known(profile: ProfileGlance, definitions: ApiDefinitions): readonly EdgeScoreView[] | undefined {
    const marks = EdgeMarks.of(definitions);
    if (marks.models.length === 0) return NONE;
    if (this.#definitions !== definitions) return undefined;
    const found = this.#newer.get(profile.id) ?? this.#older.get(profile.id);
    if (found === undefined) return undefined;
    const t = this.#instantOf(profile);
    if (t < found.fromMs || t >= found.untilMs || !found.state.equals(profile.state)) return undefined;
    return isSameList(found.models, marks.modelsFor(profile, t)) ? found.scores : undefined;
  }

  /** @throws WeftError NOT_FOUND, OVERLOADED, MODEL_INVALID */
  async ask(profile: ProfileGlance, definitions: ApiDefinitions): Promise<readonly EdgeScoreView[]> {
    const { features, models, scorer } = definitions;
    const t = this.#instantOf(profile);
    const { state: packed } = profile;
    const state = features.decode(packed);
    const asked = EdgeMarks.of(definitions).modelsFor(profile, t);
    const predictions = await Promise.all(
      asked.map((model) => {
        const bound = models.get(model);
        const version = bound === undefined ? undefined : versionFor(bound, profile.id);
        const row = version?.featureIndexes.map((index) => features.value(state, index, t));
        // Without a binding the scorer is asked all the same: it says which models there are.
        return this.#options.batcher.predict(scorer, version?.scoredAs ?? model, row ?? [], t);
      }),
    );
    const scores = predictions.map(viewOf);
    const untilMs = leastOf(predictions);
    this.#remember(profile.id, definitions, { state: packed, fromMs: t, untilMs, models: asked, scores });
    return scores;
  }

  /** Now, but after everything that is folded in. */
  #instantOf({ asOf }: ProfileGlance): number {
    return Math.max(this.#options.clock.now(), asOf + 1);
  }

  #remember(id: Uuid, definitions: ApiDefinitions, remembered: Remembered): void {
    if (remembered.state.length > MAX_STATE_BYTES) return;
    if (this.#definitions !== definitions) {
      this.#definitions = definitions;
      this.#newer.clear();
      this.#older.clear();
    }
    if (this.#newer.size >= MAX_HALF) this.#turn();
    this.#newer.set(id, remembered);
    if (!this.#isTurning) this.#turnLater();
  }

  #turn(): void {
    this.#older = this.#newer;
    this.#newer = new Map();
  }

  #turnLater(): void {
    this.#isTurning = true;
    setTimeout(() => {
      this.#turn();
      this.#isTurning = false;
      if (this.#older.size > 0) this.#turnLater();
    }, HALF_MS).unref();
  }
}

const NONE: readonly EdgeScoreView[] = [];

function isSameList(a: readonly string[], b: readonly string[]): boolean {
  return a === b || (a.length === b.length && a.every((each, i) => each === b[i]));
}

function viewOf({ modelKey, score, label, cluster }: Prediction): EdgeScoreView {
  const told = label ?? cluster;
  return { model: modelKey, value: score ?? null, label: told === undefined ? null : String(told) };
}

function leastOf(predictions: readonly Prediction[]): number {
  let least = Infinity;
  for (const { validUntil } of predictions) if (validUntil < least) least = validUntil;
  return least;
}
