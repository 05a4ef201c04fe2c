import { WeftError } from '../platform/errors.js';
import type { ModelOutput, RegisteredModel } from './model-manifest.model.js';
import { predictionOf, type FeatureRow, type ModelFace, type Prediction, type RowScorer } from './prediction.model.js';
import { ServedModel } from './served-model.js';

/** Told of every run of a model; for metrics. */
export type RunObserver = (modelKey: string, rows: number, durationMs: number) => void;

export interface ScorerOptions {
  /** Bytes of a registered model, by digest. */
  readonly loadBytes: (digest: string) => Promise<Uint8Array>;
  /** Rows of one run at most: a run holds the event loop. Default 1,024. */
  readonly maxRowsPerRun?: number;
  readonly onRun?: RunObserver;
}

const DEFAULT_MAX_ROWS_PER_RUN = 1_024;

/**
 * The models of one version of the definitions; what they answer never changes, so rows that were laid out for this set
 * are never read by a version that lays them out in another way.
 */
export class ModelSet implements RowScorer {
  readonly models: ReadonlyMap<string, ModelFace>;
  readonly #served: ReadonlyMap<string, ServedModel>;
  readonly #maxRowsPerRun: number;
  readonly #onRun: RunObserver | undefined;

  constructor(served: readonly ServedModel[], options: Pick<ScorerOptions, 'maxRowsPerRun' | 'onRun'>) {
    this.models = new Map(served.map((model) => [model.face.key, model.face]));
    this.#served = new Map(served.map((model) => [model.face.key, model]));
    this.#maxRowsPerRun = options.maxRowsPerRun ?? DEFAULT_MAX_ROWS_PER_RUN;
    this.#onRun = options.onRun;
  }

  /** Answers without their provenance; see {@link RowScorer.predict} for bounds and errors. */
  async score(modelKey: string, rows: readonly FeatureRow[]): Promise<ModelOutput[]> {
    const served = this.#find(modelKey);
    return served.use(async (model) => {
      const answers: ModelOutput[] = [];
      for (let from = 0; from < rows.length; from += this.#maxRowsPerRun) {
        const to = Math.min(from + this.#maxRowsPerRun, rows.length);
        const startedMs = performance.now();
        for (const answer of await model.answer(rows, from, to)) answers.push(answer);
        this.#onRun?.(modelKey, to - from, performance.now() - startedMs);
      }
      return answers;
    });
  }

  async predict(modelKey: string, rows: readonly FeatureRow[], asOf: readonly number[]): Promise<Prediction[]> {
    const { face } = this.#find(modelKey);
    const outputs = await this.score(modelKey, rows);
    return outputs.map((output, i) => predictionOf(face, rows[i] as FeatureRow, output, asOf[i] as number));
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
 * Holds a session for each active model and scores rows on the calling thread. A `reload` that fails changes nothing.
 */
export class Scorer implements RowScorer {
  #current: ModelSet;
  #reloading: Promise<unknown> = Promise.resolve();
  readonly #options: ScorerOptions;

  constructor(options: ScorerOptions) {
    this.#options = options;
    this.#current = new ModelSet([], options);
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

  async score(modelKey: string, rows: readonly FeatureRow[]): Promise<ModelOutput[]> {
    return this.#current.score(modelKey, rows);
  }

  async predict(modelKey: string, rows: readonly FeatureRow[], asOf: readonly number[]): Promise<Prediction[]> {
    return this.#current.predict(modelKey, rows, asOf);
  }

  async #reload(models: readonly RegisteredModel[]): Promise<ModelSet> {
    const fresh: ServedModel[] = [];
    const next: ServedModel[] = [];
    try {
      for (const model of models) {
        const kept = this.#current.find(model);
        const served = kept ?? new ServedModel(model, this.#options.loadBytes);
        if (kept === undefined) {
          fresh.push(served);
          await served.use(async () => Promise.resolve());
        }
        next.push(served);
      }
    } catch (error) {
      await Promise.all(fresh.map((model) => model.retire()));
      throw error;
    }
    const previous = this.#current;
    this.#current = new ModelSet(next, this.#options);
    await previous.retire(next);
    return this.#current;
  }
}
