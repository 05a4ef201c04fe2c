import { WeftError } from '../platform/errors.js';
import { LoadedModel } from './loaded-model.js';
import type { ModelOutput, RegisteredModel } from './model-manifest.model.js';
import { predictionOf, type FeatureRow, type ModelFace, type Prediction, type RowScorer } from './prediction.model.js';

/** Told of every run of a model; for metrics. */
export type RunObserver = (modelKey: string, rows: number, durationMs: number) => void;

export interface ScorerOptions {
  /** Bytes of a registered model, by digest. */
  readonly loadBytes: (digest: string) => Promise<Uint8Array>;
  /** 1…65,536. */
  readonly maxRowsPerRun?: number;
  readonly onRun?: RunObserver;
}

const DEFAULT_MAX_ROWS_PER_RUN = 1_024;

interface Entry {
  readonly face: ModelFace;
  readonly model: LoadedModel;
  /** Calls under way; a retired entry is released when the last one ends. */
  users: number;
  retired: boolean;
}

/**
 * Holds a session for each active model and scores rows on the calling thread.
 *
 * Invariants:
 *  1. A call is answered by one version from its first row to its last, also when `reload` comes in between.
 *  2. A session is released once, after its last run.
 *  3. A `reload` that fails changes nothing.
 */
export class Scorer implements RowScorer {
  #entries: ReadonlyMap<string, Entry> = new Map();
  #models: ReadonlyMap<string, ModelFace> = new Map();
  #reloading: Promise<void> = Promise.resolve();
  readonly #loadBytes: ScorerOptions['loadBytes'];
  readonly #maxRowsPerRun: number;
  readonly #onRun: RunObserver | undefined;

  constructor(options: ScorerOptions) {
    this.#loadBytes = options.loadBytes;
    this.#maxRowsPerRun = options.maxRowsPerRun ?? DEFAULT_MAX_ROWS_PER_RUN;
    this.#onRun = options.onRun;
  }

  get models(): ReadonlyMap<string, ModelFace> {
    return this.#models;
  }

  /** Makes these the models that are served, one a key; sessions of versions that stay are kept. */
  async reload(models: readonly RegisteredModel[]): Promise<void> {
    const turn = this.#reloading.then(() => this.#reload(models));
    this.#reloading = turn.catch(() => undefined);
    await turn;
  }

  /** Releases all sessions; calls under way still end. */
  async close(): Promise<void> {
    await this.reload([]);
  }

  /** Answers without their provenance; see {@link RowScorer.predict} for bounds and errors. */
  async score(modelKey: string, rows: readonly FeatureRow[]): Promise<ModelOutput[]> {
    return this.#use(modelKey, (entry) => this.#run(entry, rows));
  }

  async predict(modelKey: string, rows: readonly FeatureRow[], asOf: readonly number[]): Promise<Prediction[]> {
    return this.#use(modelKey, async (entry) => {
      const outputs = await this.#run(entry, rows);
      return outputs.map((output, i) => predictionOf(entry.face, rows[i] as FeatureRow, output, asOf[i] as number));
    });
  }

  async #use<T>(modelKey: string, call: (entry: Entry) => Promise<T>): Promise<T> {
    const entry = this.#entries.get(modelKey);
    if (entry === undefined) throw notActive(modelKey, this.#models);
    entry.users++;
    try {
      return await call(entry);
    } finally {
      entry.users--;
      if (entry.retired && entry.users === 0) await entry.model.release();
    }
  }

  async #run(entry: Entry, rows: readonly FeatureRow[]): Promise<ModelOutput[]> {
    const answers: ModelOutput[] = [];
    for (let from = 0; from < rows.length; from += this.#maxRowsPerRun) {
      const to = Math.min(from + this.#maxRowsPerRun, rows.length);
      const startedMs = performance.now();
      for (const answer of await entry.model.answer(rows, from, to)) answers.push(answer);
      this.#onRun?.(entry.face.key, to - from, performance.now() - startedMs);
    }
    return answers;
  }

  async #reload(models: readonly RegisteredModel[]): Promise<void> {
    const next = new Map<string, Entry>();
    const loaded: Entry[] = [];
    try {
      for (const model of models) {
        const kept = this.#entries.get(model.key);
        if (kept?.face.version === model.version && kept.face.digest === model.digest) {
          next.set(model.key, kept);
        } else {
          const entry = await this.#load(model);
          loaded.push(entry);
          next.set(model.key, entry);
        }
      }
    } catch (error) {
      await Promise.all(loaded.map((entry) => entry.model.release()));
      throw error;
    }
    const kept = new Set(next.values());
    const retired = [...this.#entries.values()].filter((entry) => !kept.has(entry));
    this.#entries = next;
    this.#models = new Map([...next].map(([key, entry]) => [key, entry.face]));
    for (const entry of retired) {
      entry.retired = true;
      if (entry.users === 0) await entry.model.release();
    }
  }

  async #load(model: RegisteredModel): Promise<Entry> {
    const { key, version, digest, manifest } = model;
    const face: ModelFace = { key, version, digest, features: manifest.featureService.features };
    return { face, model: await LoadedModel.load(await this.#loadBytes(digest), manifest), users: 0, retired: false };
  }
}

function notActive(modelKey: string, models: ReadonlyMap<string, ModelFace>): WeftError {
  const keys = [...models.keys()].sort();
  return new WeftError('NOT_FOUND', `no version of model ${modelKey} is active`, {
    where: 'model',
    hint: keys.length === 0 ? 'register and promote one' : `active are ${keys.join(', ')}`,
  });
}
