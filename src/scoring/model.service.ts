import type { Clock } from '../platform/clock.js';
import { WeftError } from '../platform/errors.js';
import { lockDefinitions, touchMarks, touchModels } from '../platform/installation.js';
import { nameHint } from '../platform/near-names.js';
import type { Database, Queryable, Transaction } from '../platform/postgres.js';
import { unknownPurpose } from '../profiles/purpose.model.js';
import { checkFeatures } from './check-model.js';
import { MODEL_LIMITS, withImputed, type ModelManifest, type RegisteredModel } from './model-manifest.model.js';
import { ModelReader } from './model.reader.js';
import { ModelStore } from './model.store.js';
import { sha256Hex } from './onnx-session.js';
import { modelInvalid } from './parse-manifest.js';
import { verifyModel, type FeatureCatalog, type GraphTrial } from './verify-model.js';

export interface ModelServiceParts {
  readonly db: Database;
  readonly clock: Clock;
  /** The features as they are defined, in the eyes of a pool or of a transaction. */
  readonly catalog: (db: Queryable) => Promise<FeatureCatalog>;
  /** Keys of the models that something relies on, with what that is. */
  readonly uses: (tx: Transaction) => Promise<ReadonlyMap<string, string>>;
  readonly purposes: (db: Queryable) => Promise<ReadonlySet<string>>;
  /** Begins a trial of an unknown graph, in a process of its own. */
  readonly startTrial: () => GraphTrial;
}

/** Graphs that are tried at the same time, and those that wait: each takes a processor and up to a gigabyte. */
const MAX_TRIALS = 2;
const MAX_WAITING_TRIALS = 8;

export interface Registration {
  readonly model: RegisteredModel;
  /** False where these bytes with this manifest were registered before; `model` is that version. */
  readonly created: boolean;
}

/** Registers models and moves them between stages. Only an `active` version answers. */
export class ModelService {
  readonly #parts: ModelServiceParts;
  readonly #store = new ModelStore();
  #trials = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(parts: ModelServiceParts) {
    this.#parts = parts;
  }

  /**
   * Checks a model in every way and stores it as a new `shadow` version, with what its feature service imputes now. The
   * same bytes with the same manifest and imputed values give the version that they gave before.
   * @throws WeftError MODEL_INVALID with all that does not fit; PAYLOAD_TOO_LARGE over `maxModelBytes`; OVERLOADED
   */
  async register(bytes: Uint8Array, written: ModelManifest): Promise<Registration> {
    if (bytes.byteLength > MODEL_LIMITS.maxModelBytes) {
      throw new WeftError('PAYLOAD_TOO_LARGE', `the model has ${String(bytes.byteLength)} bytes`, {
        where: 'model',
        hint: `a model has at most ${String(MODEL_LIMITS.maxModelBytes)} bytes`,
      });
    }
    const digest = await sha256Hex(bytes);
    const catalog = await this.#parts.catalog(this.#parts.db);
    const manifest = withImputed(written, catalog.imputationsOf(written.featureService.name));
    const known = await this.#store.findSame(this.#parts.db, digest, manifest);
    if (known !== null && known.probe !== null) return { model: known, created: false };
    const probe = await this.#tried(() => verifyModel(bytes, manifest, catalog, this.#parts.startTrial));
    if (known !== null) {
      await this.#store.setProbe(this.#parts.db, known, probe);
      return { model: { ...known, probe }, created: false };
    }
    await this.#checkPurposes(this.#parts.db, manifest);
    const createdAt = this.#parts.clock.now();
    return this.#parts.db.transaction(async (tx) => {
      await this.#store.lockKey(tx, manifest.key);
      const same = await this.#store.findSame(tx, digest, manifest);
      if (same !== null) return { model: same, created: false };
      const model = await this.#store.insert(tx, { digest, bytes, manifest, createdAt, probe });
      return { model, created: true };
    });
  }

  /**
   * Makes this version the active one of its key; the one that was active is retired. {@link rollback} takes it back.
   * @throws WeftError NOT_FOUND; MODEL_INVALID if features that it reads are gone since, of a type that does not fit, or
   * need a request, which there is none of where segments ask the model
   */
  async promote(key: string, version: number): Promise<RegisteredModel> {
    return this.#parts.db.transaction((tx) => this.#promoteIn(tx, key, version));
  }

  /**
   * Takes the last promotion back: the version that was active before is promoted. Twice gives what there was.
   * @throws WeftError NOT_FOUND if there is no such model; CONFLICT if no other version of it was ever promoted;
   * MODEL_INVALID as {@link promote}
   */
  async rollback(key: string): Promise<RegisteredModel> {
    return this.#parts.db.transaction(async (tx) => {
      await lockDefinitions(tx);
      await this.#store.lockKey(tx, key);
      const version = await this.#store.formerVersion(tx, key);
      if (version !== null) return this.#promoteIn(tx, key, version);
      if ((await new ModelReader(tx).versionsOf(key)).length === 0) throw await noSuchModel(tx, key);
      throw new WeftError('CONFLICT', `no other version of model ${key} was active before`, {
        where: key,
        hint: 'promote the version that is to answer, by its number',
      });
    });
  }

  /**
   * Lets a version answer for some of the profiles, beside the active one, which answers for all others. Who they are is
   * told by a hash of their ids: whoever is among 5 percent is among 20. {@link promote} and {@link abort} end it.
   * @param percent of all profiles, 1 to 99
   * @throws WeftError BAD_REQUEST; NOT_FOUND; CONFLICT if it is active, no version is, or another one is the canary;
   * MODEL_INVALID as {@link promote}, and if it gives less than the active version or needs more purposes
   */
  async canary(key: string, version: number, percent: number): Promise<RegisteredModel> {
    if (!Number.isInteger(percent) || percent < 1 || percent > 99) {
      throw new WeftError('BAD_REQUEST', 'the percentage is not from 1 to 99', {
        where: 'percent',
        hint: 'give a whole number; promote the version for all',
      });
    }
    return this.#parts.db.transaction(async (tx) => {
      const model = await this.#lock(tx, key, version);
      if (model.stage === 'canary' && model.canaryPercent === percent) return model;
      const standing = (await new ModelReader(tx).answering()).filter((each) => each.key === key);
      checkBeside(model, standing);
      await this.#checkAll(tx, model);
      await this.#store.setCanary(tx, key, version, percent);
      await touchModels(tx);
      return { ...model, stage: 'canary', canaryPercent: percent };
    });
  }

  /**
   * Ends a canary: the active version answers for everybody again, and it is `shadow`.
   * @throws WeftError NOT_FOUND; CONFLICT if no version of the model is a canary
   */
  async abort(key: string): Promise<RegisteredModel> {
    return this.#parts.db.transaction(async (tx) => {
      await lockDefinitions(tx);
      await this.#store.lockKey(tx, key);
      const version = await this.#store.endCanary(tx, key);
      if (version !== null) {
        await touchModels(tx);
        return this.#found(tx, key, version);
      }
      if ((await new ModelReader(tx).versionsOf(key)).length === 0) throw await noSuchModel(tx, key);
      throw new WeftError('CONFLICT', `no version of model ${key} is a canary`, {
        where: key,
        hint: 'weft model list shows the stages',
      });
    });
  }

  /**
   * The version, where it can be promoted as things are.
   * @throws WeftError as {@link promote}
   */
  async promotable(key: string, version: number): Promise<RegisteredModel> {
    return this.#parts.db.transaction(async (tx) => {
      const model = await this.#found(tx, key, version);
      await this.#checkAll(tx, model);
      return model;
    });
  }

  async #promoteIn(tx: Transaction, key: string, version: number): Promise<RegisteredModel> {
    const model = await this.#lock(tx, key, version);
    if (model.stage === 'active') return model;
    await this.#checkAll(tx, model);
    await this.#store.endCanary(tx, key);
    await this.#store.retireActive(tx, key);
    await this.#store.activate(tx, key, version, this.#parts.clock.now());
    await touchModels(tx);
    return { ...model, stage: 'active', canaryPercent: null };
  }

  /**
   * Takes this version out of service.
   * @throws WeftError NOT_FOUND; CONFLICT while something relies on it
   */
  async retire(key: string, version: number): Promise<RegisteredModel> {
    return this.#parts.db.transaction(async (tx) => {
      const model = await this.#lock(tx, key, version);
      if (model.stage === 'retired') return model;
      if (model.stage === 'active') {
        await this.#checkUnused(tx, key);
        // There is nobody left for it to be beside.
        await this.#store.endCanary(tx, key);
      }
      await this.#store.setStage(tx, key, version, 'retired');
      if (model.stage === 'active' || model.stage === 'canary') await touchModels(tx);
      return { ...model, stage: 'retired', canaryPercent: null };
    });
  }

  /** Retires the active versions of these keys, as a part of a larger change that holds the lock of definitions. */
  async withdraw(tx: Transaction, keys: readonly string[]): Promise<void> {
    for (const key of [...keys].sort()) {
      await this.#store.lockKey(tx, key);
      await this.#store.endCanary(tx, key);
      await this.#store.retireActive(tx, key);
    }
  }

  /**
   * Says whether edge keys may be told what the model says: of all its versions, and of those that follow unless their
   * manifests say otherwise.
   * @throws WeftError NOT_FOUND
   */
  async setEdge(key: string, edge: boolean): Promise<void> {
    await this.#parts.db.transaction(async (tx) => {
      await lockDefinitions(tx);
      await this.#store.lockKey(tx, key);
      if ((await this.#store.setEdge(tx, key, edge)) === 0) {
        throw await noSuchModel(tx, key);
      }
      await touchMarks(tx);
    });
  }

  async #tried<T>(trial: () => Promise<T>): Promise<T> {
    if (this.#trials >= MAX_TRIALS) {
      if (this.#waiting.length >= MAX_WAITING_TRIALS) {
        throw new WeftError('OVERLOADED', 'too many models are being checked', {
          where: 'model',
          hint: 'register them one after the other',
          retryAfterMs: 1_000,
        });
      }
      // Whoever ends hands its place over.
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    } else {
      this.#trials++;
    }
    try {
      return await trial();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#trials--;
      else next();
    }
  }

  async #checkAll(tx: Transaction, model: RegisteredModel): Promise<void> {
    await this.#checkFeatures(tx, model);
    await this.#checkPurposes(tx, model.manifest);
    await this.#checkRequests(tx, model);
  }

  async #checkPurposes(db: Queryable, { purposes = [] }: ModelManifest): Promise<void> {
    const unknown = purposes.length === 0 ? null : unknownPurpose(purposes, await this.#parts.purposes(db));
    if (unknown !== null) throw modelInvalid([{ where: 'purposes', ...unknown }]);
  }

  /** A feature service may have changed since: the model reads the features that it was registered with. */
  async #checkFeatures(tx: Transaction, { manifest }: RegisteredModel): Promise<void> {
    const catalog = await this.#parts.catalog(tx);
    const problems = checkFeatures(manifest, (name) => catalog.typeOf(name), undefined);
    if (problems.length > 0) throw modelInvalid(problems);
  }

  /** What segments ask answers without a request. */
  async #checkRequests(tx: Transaction, { key, manifest }: RegisteredModel): Promise<void> {
    const user = (await this.#parts.uses(tx)).get(key);
    if (user === undefined) return;
    const catalog = await this.#parts.catalog(tx);
    const problems = manifest.featureService.features.flatMap((feature, i) => {
      const field = catalog.neededFieldOf(feature);
      if (field === undefined) return [];
      const message = `${feature} reads request.${field}, which has no default, and ${user} asks the model`;
      const hint = 'there is no request where segments are evaluated: give it a default, or archive the segment first';
      return [{ where: `featureService.features[${String(i)}]`, message, hint }];
    });
    if (problems.length > 0) throw modelInvalid(problems);
  }

  async #checkUnused(tx: Transaction, key: string): Promise<void> {
    const user = (await this.#parts.uses(tx)).get(key);
    if (user === undefined) return;
    throw new WeftError('CONFLICT', `${user} asks model ${key}`, {
      where: key,
      hint: `archive or change ${user} first, or promote another version of the model`,
    });
  }

  /** Nobody changes definitions, nor versions of this key, until the transaction ends. */
  async #lock(tx: Transaction, key: string, version: number): Promise<RegisteredModel> {
    await lockDefinitions(tx);
    await this.#store.lockKey(tx, key);
    return this.#found(tx, key, version);
  }

  async #found(tx: Transaction, key: string, version: number): Promise<RegisteredModel> {
    const model = await this.#store.find(tx, key, version);
    if (model !== null) return model;
    const versions = await new ModelReader(tx).versionsOf(key);
    if (versions.length === 0) throw await noSuchModel(tx, key);
    throw new WeftError('NOT_FOUND', `there is no version ${String(version)} of model ${key}`, {
      where: 'version',
      hint: `it has ${versions.map(String).join(', ')}`,
    });
  }
}

/**
 * Whether a version can answer beside those of its key that do.
 * @throws WeftError CONFLICT, MODEL_INVALID
 */
function checkBeside({ key, version, stage, manifest }: RegisteredModel, standing: readonly RegisteredModel[]): void {
  const refuse = (message: string, hint: string): never => {
    throw new WeftError('CONFLICT', message, { where: key, hint });
  };
  const active = standing.find((each) => each.stage === 'active');
  const other = standing.find((each) => each.stage === 'canary' && each.version !== version);
  if (stage === 'active') refuse(`version ${String(version)} answers for everybody`, 'name another version');
  if (active === undefined) return refuse(`no version of model ${key} is active`, 'promote one first');
  if (other !== undefined) {
    refuse(`version ${String(other.version)} is the canary of model ${key}`, `end it first: weft model abort ${key}`);
  }
  const given = (['score', 'label', 'cluster'] as const).filter(
    (name) => active.manifest.outputs[name] !== undefined && manifest.outputs[name] === undefined,
  );
  const needed = (manifest.purposes ?? []).filter((purpose) => active.manifest.purposes?.includes(purpose) !== true);
  const problems = [
    ...given.map((name) => ({
      where: `outputs.${name}`,
      message: `it gives no ${name}, as the active version does`,
      hint: 'segments may ask for it: add it, or promote the version',
    })),
    ...needed.map((purpose) => ({
      where: 'purposes',
      message: `it needs ${purpose}, which the active version does not`,
      hint: 'promote it: whoever does not allow that would leave segments for which the active version answers',
    })),
  ];
  if (problems.length > 0) throw modelInvalid(problems);
}

async function noSuchModel(tx: Transaction, key: string): Promise<WeftError> {
  const keys = (await new ModelReader(tx).keys()).map((model) => model.key);
  return new WeftError('NOT_FOUND', `there is no model ${key.slice(0, 100)}`, {
    where: 'key',
    hint: nameHint(key, keys, 'models, or weft model list, shows those that there are'),
  });
}
