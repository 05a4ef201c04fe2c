import { LoadedModel } from './loaded-model.js';
import type { RegisteredModel } from './model-manifest.model.js';
import type { ModelFace } from './prediction.model.js';

/**
 * A registered version and its session, which is there while the version is served or a call is under way.
 *
 * Invariants:
 *  1. A session is released once, after its last run.
 *  2. A retired version still answers those who hold it: its session is loaded again for as long as they call.
 */
export class ServedModel {
  readonly face: ModelFace;
  readonly #load: () => Promise<LoadedModel>;
  #loaded: Promise<LoadedModel> | null = null;
  #users = 0;
  #retired = false;

  constructor(model: RegisteredModel, loadBytes: (digest: string) => Promise<Uint8Array>) {
    const { key, version, digest, manifest } = model;
    this.face = { key, version, digest, features: manifest.featureService.features };
    this.#load = async () => LoadedModel.load(await loadBytes(digest), manifest);
  }

  /** Whether this is that version with those bytes; a version's manifest never changes. */
  is(model: RegisteredModel): boolean {
    return this.face.key === model.key && this.face.version === model.version && this.face.digest === model.digest;
  }

  async use<T>(call: (model: LoadedModel) => Promise<T>): Promise<T> {
    this.#users++;
    try {
      return await call(await this.#session());
    } finally {
      this.#users--;
      await this.#releaseIfIdle();
    }
  }

  /** Resolves once the session is released, or at once if calls are under way: the last of them releases it. */
  async retire(): Promise<void> {
    this.#retired = true;
    await this.#releaseIfIdle();
  }

  async #session(): Promise<LoadedModel> {
    const loaded = (this.#loaded ??= this.#load());
    try {
      return await loaded;
    } catch (error) {
      // The next call tries again.
      if (this.#loaded === loaded) this.#loaded = null;
      throw error;
    }
  }

  async #releaseIfIdle(): Promise<void> {
    const loaded = this.#loaded;
    if (!this.#retired || this.#users > 0 || loaded === null) return;
    this.#loaded = null;
    await (await loaded).release();
  }
}
