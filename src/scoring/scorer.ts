import { WeftError } from '../platform/errors.js';
import type { ModelOutput, RegisteredModel } from './model-manifest.model.js';
import {
  canaryName,
  predictionOf,
  type CanaryFace,
  type FeatureRow,
  type ModelFace,
  type Prediction,
  type RowScorer,
} from './prediction.model.js';
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

/** A version, and the share of the profiles that it answers for; null: for all others. */
interface ServedRole {
  readonly served: ServedModel;
  readonly share: number | null;
}

/**
 * The models of one version of the definitions; what they answer never changes, so rows that were laid out for this set
 * are never read by a version that lays them out in another way.
 */
export class ModelSet implements RowScorer {
  readonly models: ReadonlyMap<string, ModelFace>;
  readonly canaries: ReadonlyMap<string, CanaryFace>;
  readonly #served: ReadonlyMap<string, ServedModel>;

  constructor(roles: readonly ServedRole[]) {
    this.models = new Map(roles.flatMap(({ served: { face }, share }) => (share === null ? [[face.key, face]] : [])));
    this.canaries = new Map(
      roles.flatMap(({ served: { face }, share }) => (share === null ? [] : [[face.key, { ...face, share }]])),
    );
    this.#served = new Map(
      roles.map(({ served, share }) => [share === null ? served.face.key : canaryName(served.face.key), served]),
    );
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
    return [...this.#served.values()].find((served) => served.is(model));
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
    const keys = [...this.models.keys()].sort();
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

  get canaries(): ReadonlyMap<string, CanaryFace> {
    return this.#current.canaries;
  }

  /**
   * Makes these the models that are served, one a key and one that is a canary beside it; sessions of versions that stay are kept. Definitions that are
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
    const next: ServedRole[] = [];
    try {
      for (const model of models) {
        const kept = this.#current.find(model);
        const served = kept ?? new ServedModel(model, this.#hosting);
        if (kept === undefined) {
          fresh.push(served);
          await served.load();
        }
        next.push({ served, share: model.canaryPercent === null ? null : model.canaryPercent / 100 });
      }
    } catch (error) {
      await Promise.all(fresh.map((model) => model.retire()));
      throw error;
    }
    const previous = this.#current;
    this.#current = new ModelSet(next);
    await previous.retire(next.map(({ served }) => served));
    return this.#current;
  }
}
