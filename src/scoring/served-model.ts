import { WeftError } from '../platform/errors.js';
import { LoadedModel } from './loaded-model.js';
import type { ModelOutput, RegisteredModel } from './model-manifest.model.js';
import { mayRunInline } from './run-inline.model.js';
import { ModelProcessEnded } from './model-process.model.js';
import type { FeatureRow, ModelFace } from './prediction.model.js';
import { RefusedRows } from './refused-rows.js';
import { isUnavailable, RemoteModel, type ModelHost } from './remote-model.js';
import { scoreRows, type Blame } from './score-rows.js';
import type { ScoringObserver } from './scoring-observer.model.js';

/** What models are served with. */
export interface ModelHosting {
  /** Bytes of a registered model, by digest. */
  readonly loadBytes: (digest: string) => Promise<Uint8Array>;
  /** Starts a process for a graph. */
  readonly startHost: () => ModelHost;
  /** A clock that only goes forward, ms. */
  readonly now: () => number;
  /** Rows of one run at most, whatever the model. */
  readonly maxRowsPerRun: number;
  /** Time for one run in a process, ms. */
  readonly runTimeoutMs: number;
  readonly observer: ScoringObserver;
}

/** What may hold up the thread of an API at once: half of what it may wait for in all. */
const MAX_INLINE_RUN_MS = 4;
/** What a run in a process is meant to take. */
const REMOTE_RUN_MS = 200;
/** Where nothing was measured. */
const UNKNOWN_ROW_MS = 1;
/** Cells of a run: binding them is work on this thread. */
const MAX_CELLS_PER_RUN = 65_536;
/** The least number of rows that there are runs of. */
const MIN_ROWS = 2;

/**
 * A registered version and what it is run by, which is there while the version is served or a call is under way.
 *
 * Versions that were measured as quick are run on the calling thread, calls of more rows than that takes 4 ms for in a
 * process of their own; all other versions in one always. See ADR 74.
 *
 * Invariants:
 *  1. A session is released once, after its last run.
 *  2. A retired version still answers those who hold it: its session is loaded again for as long as they call.
 *  3. A call ends, whatever the model does; rows that there is no answer for are null.
 */
export class ServedModel {
  readonly face: ModelFace;
  readonly #model: RegisteredModel;
  readonly #hosting: ModelHosting;
  readonly #isInline: boolean;
  readonly #inlineRows: number;
  /** Calls of more are for the process. */
  readonly #bulkRows: number;
  readonly #remoteRows: number;
  readonly #remote: RemoteModel;
  readonly #refused: RefusedRows;
  #loaded: Promise<LoadedModel> | null = null;
  #users = 0;
  #retired = false;

  constructor(model: RegisteredModel, hosting: ModelHosting) {
    const { key, version, digest, manifest, probe } = model;
    this.face = { key, version, digest, features: manifest.featureService.features };
    this.#model = model;
    this.#hosting = hosting;
    this.#isInline = mayRunInline(probe);
    const rowMs = probe?.speed.rowMs ?? UNKNOWN_ROW_MS;
    this.#bulkRows = Math.max(MIN_ROWS, Math.floor(MAX_INLINE_RUN_MS / rowMs));
    this.#inlineRows = this.#rowsWithin(MAX_INLINE_RUN_MS / rowMs);
    this.#remoteRows = this.#rowsWithin(REMOTE_RUN_MS / rowMs);
    this.#refused = new RefusedRows(hosting.now);
    this.#remote = new RemoteModel({
      manifest,
      mixesRows: probe?.mixesRows ?? false,
      runTimeoutMs: Math.max(hosting.runTimeoutMs, 5 * (probe?.speed.oneRowP99Ms ?? 0)),
      loadBytes: () => hosting.loadBytes(digest),
      startHost: hosting.startHost,
      now: hosting.now,
      onEnded: (reason, message) => hosting.observer.onHostEnded?.(key, reason, message),
    });
  }

  /** Whether this is that version with those bytes; a version's manifest never changes. */
  is(model: RegisteredModel): boolean {
    return this.face.key === model.key && this.face.version === model.version && this.face.digest === model.digest;
  }

  /**
   * Makes it ready. One whose process ends while it starts is served all the same: there are no answers of it then.
   * @throws WeftError MODEL_INVALID, NOT_FOUND
   */
  async load(): Promise<void> {
    await this.#used(async () => {
      if (this.#isInline) await this.#session();
      else await this.#remote.start();
    });
  }

  /**
   * An answer for each row; null where there is none, because the model failed on the row or cannot be asked now.
   * @throws WeftError BAD_REQUEST if a row has the wrong length; what loading throws
   */
  async answer(rows: readonly FeatureRow[]): Promise<(ModelOutput | null)[]> {
    this.#checkRows(rows);
    const isInline = this.#isInline && rows.length <= this.#bulkRows;
    const { key, version } = this.face;
    const { now, observer } = this.#hosting;
    const run = async (from: number, to: number): Promise<ModelOutput[]> => {
      const startedMs = now();
      const answers = isInline
        ? await (await this.#session()).answer(rows, from, to)
        : await this.#remote.answer(rows, from, to);
      observer.onRun?.(key, to - from, now() - startedMs, version);
      return answers;
    };
    const answers = await this.#used(() =>
      scoreRows(
        {
          maxRows: isInline ? this.#inlineRows : this.#remoteRows,
          run,
          blame: blameOf,
          isRefused: (row) => this.#refused.has(row),
          refuse: (row) => {
            this.#refused.add(row);
          },
          now,
        },
        rows,
      ),
    );
    const unanswered = answers.reduce((count, answer) => (answer === null ? count + 1 : count), 0);
    if (unanswered > 0) observer.onUnanswered?.(key, unanswered);
    return answers;
  }

  /** Resolves once the session is released, or at once if calls are under way: the last of them releases it. */
  async retire(): Promise<void> {
    this.#retired = true;
    await this.#releaseIfIdle();
  }

  #rowsWithin(rows: number): number {
    const cells = this.#model.manifest.inputs.reduce(
      (sum, { sequence, features }) => sum + (sequence?.length ?? features.length),
      0,
    );
    const most = Math.min(rows, this.#hosting.maxRowsPerRun, MAX_CELLS_PER_RUN / Math.max(1, cells));
    return Math.max(MIN_ROWS, Math.floor(most));
  }

  #checkRows(rows: readonly FeatureRow[]): void {
    const { length } = this.face.features;
    const index = rows.findIndex((row) => row.length !== length);
    if (index < 0) return;
    throw new WeftError('BAD_REQUEST', `row has ${String(rows[index]?.length)} values, not ${String(length)}`, {
      where: `rows[${String(index)}]`,
      hint: 'give one value for each feature of the model, in the order of its feature service',
    });
  }

  async #used<T>(call: () => Promise<T>): Promise<T> {
    this.#users++;
    try {
      return await call();
    } finally {
      this.#users--;
      await this.#releaseIfIdle();
    }
  }

  async #session(): Promise<LoadedModel> {
    const { digest, manifest, probe } = this.#model;
    const loaded = (this.#loaded ??= this.#hosting
      .loadBytes(digest)
      .then((bytes) => LoadedModel.load(bytes, manifest, probe?.mixesRows)));
    try {
      return await loaded;
    } catch (error) {
      // The next call tries again.
      if (this.#loaded === loaded) this.#loaded = null;
      throw error;
    }
  }

  async #releaseIfIdle(): Promise<void> {
    if (!this.#retired || this.#users > 0) return;
    const loaded = this.#loaded;
    this.#loaded = null;
    await this.#remote.close();
    await (await loaded)?.release();
  }
}

/** What a run that failed says of its rows, or of the model. */
function blameOf(error: unknown): Blame {
  if (isUnavailable(error)) return 'model';
  if (error instanceof ModelProcessEnded) return error.reason === 'START' ? 'model' : 'rows';
  return error instanceof WeftError && error.code === 'MODEL_INVALID' ? 'rows' : 'neither';
}
