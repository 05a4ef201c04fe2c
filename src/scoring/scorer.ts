import { WeftError } from '../platform/errors.js';
import type { ModelOutput, RegisteredModel } from './model-manifest.model.js';
import { predictionOf, type FeatureRow, type ModelFace, type Prediction, type RowScorer } from './prediction.model.js';
import { ServedModel, type ModelHosting } from './served-model.js';
import type { ScoringObserver } from './scoring-observer.model.js';

export interface ScorerOptions extends Pick<ModelHosting, 'loadBytes' | 'startHost'> {
  /** Rows of one run at most. Default 1,024. */
  readonly maxRowsPerRun?: number;
  /** Time for one run in a process of its own, ms; slow models have more. Default 3,000. */
  readonly runTimeoutMs?: number;
  readonly observer?: ScoringObserver;
  /** A clock that only goes forward, ms. Default: that of the process. */
  readonly now?: () => number;
}

const DEFAULT_MAX_ROWS_PER_RUN = 1_024;
/** Runs are meant to take 200: machines have other things to do. */
const DEFAULT_RUN_TIMEOUT_MS = 3_000;

/**
 * The models of one version of the definitions; what they answer never changes, so rows that were laid out for this set
 * are never read by a version that lays them out in another way.
 */
export class ModelSet implements RowScorer {
  readonly models: ReadonlyMap<string, ModelFace>;
  readonly #served: ReadonlyMap<string, ServedModel>;

  constructor(served: readonly ServedModel[]) {
    this.models = new Map(served.map((model) => [model.face.key, model.face]));
    this.#served = new Map(served.map((model) => [model.face.key, model]));
  }

  /** Answers without their provenance; see {@link RowScorer.predict} for bounds and errors. */
  async score(modelKey: string, rows: readonly FeatureRow[]): Promise<(ModelOutput | null)[]> {
    return this.#find(modelKey).answer(rows);
  }

  async predict(
    modelKey: string,
    rows: readonly FeatureRow[],
    asOf: readonly number[],
  ): Promise<(Prediction | null)[]> {
    const { face } = this.#find(modelKey);
    const outputs = await this.score(modelKey, rows);
    return outputs.map((output, i) =>
      output === null ? null : predictionOf(face, rows[i] as FeatureRow, output, asOf[i] as number),
    );
  }

  /** The version of this set that is this one, if any. */
  find(model: RegisteredModel): ServedModel | undefined {
    const served = this.#served.get(model.key);
    return served?.is(model) === true ? served : undefined;
  }

  /** Releases the sessions that `next` does not go on with. */
  async retire(next: readonly ServedModel[]): Promise<void> {
    const staying = new Set(next);
    const leaving = [...this.#served.values()].filter((model) => !staying.has(model));
    await Promise.all(leaving.map((model) => model.retire()));
  }

  #find(modelKey: string): ServedModel {
    const served = this.#served.get(modelKey);
    if (served !== undefined) return served;
    const keys = [...this.#served.keys()].sort();
    throw new WeftError('NOT_FOUND', `no version of model ${modelKey} is active`, {
      where: 'model',
      hint: keys.length === 0 ? 'register and promote one' : `active are ${keys.join(', ')}`,
    });
  }
}

/**
 * Holds a session for each active model, here or in a process of its own. A `reload` that fails changes nothing.
 */
export class Scorer implements RowScorer {
  #current: ModelSet;
  #reloading: Promise<unknown> = Promise.resolve();
  readonly #hosting: ModelHosting;

  constructor({ loadBytes, startHost, maxRowsPerRun, runTimeoutMs, observer, now }: ScorerOptions) {
    this.#hosting = {
      ...{ loadBytes, startHost },
      maxRowsPerRun: maxRowsPerRun ?? DEFAULT_MAX_ROWS_PER_RUN,
      runTimeoutMs: runTimeoutMs ?? DEFAULT_RUN_TIMEOUT_MS,
      observer: observer ?? {},
      now: now ?? (() => performance.now()),
    };
    this.#current = new ModelSet([]);
  }

  /** The models of the latest `reload`. */
  get models(): ReadonlyMap<string, ModelFace> {
    return this.#current.models;
  }

  /**
   * Makes these the models that are served, one a key; sessions of versions that stay are kept. Definitions that are
   * laid out for these models keep the set that is returned.
   * @throws WeftError MODEL_INVALID if one cannot be loaded.
   */
  async reload(models: readonly RegisteredModel[]): Promise<ModelSet> {
    const turn = this.#reloading.then(() => this.#reload(models));
    this.#reloading = turn.catch(() => undefined);
    return turn;
  }

  /** Releases all sessions; calls under way still end. */
  async close(): Promise<void> {
    await this.reload([]);
  }

  async score(modelKey: string, rows: readonly FeatureRow[]): Promise<(ModelOutput | null)[]> {
    return this.#current.score(modelKey, rows);
  }

  async predict(
    modelKey: string,
    rows: readonly FeatureRow[],
    asOf: readonly number[],
  ): Promise<(Prediction | null)[]> {
    return this.#current.predict(modelKey, rows, asOf);
  }

  async #reload(models: readonly RegisteredModel[]): Promise<ModelSet> {
    const fresh: ServedModel[] = [];
    const next: ServedModel[] = [];
    try {
      for (const model of models) {
        const kept = this.#current.find(model);
        const served = kept ?? new ServedModel(model, this.#hosting);
        if (kept === undefined) {
          fresh.push(served);
          await served.load();
        }
        next.push(served);
      }
    } catch (error) {
      await Promise.all(fresh.map((model) => model.retire()));
      throw error;
    }
    const previous = this.#current;
    this.#current = new ModelSet(next);
    await previous.retire(next);
    return this.#current;
  }
}
