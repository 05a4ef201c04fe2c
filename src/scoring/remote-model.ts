import { WeftError } from '../platform/errors.js';
import type { Feeds, OutputData } from './bind-features.js';
import { LoadedModel } from './loaded-model.js';
import type { ModelManifest, ModelOutput } from './model-manifest.model.js';
import { ModelProcessEnded, type ProcessEnd } from './model-process.model.js';
import type { ModelSession } from './onnx-session.js';
import type { FeatureRow } from './prediction.model.js';
import type { GraphTrial } from './verify-model.js';

/** What a process of a model can do; see `model-process.ts`. */
export type ModelHost = Pick<GraphTrial, 'load' | 'run' | 'close'> & { readonly ended: ModelProcessEnded | null };

export interface RemoteModelOptions {
  readonly manifest: ModelManifest;
  readonly mixesRows: boolean;
  /** Time for one run, ms. */
  readonly runTimeoutMs: number;
  readonly loadBytes: () => Promise<Uint8Array>;
  readonly startHost: () => ModelHost;
  /** A clock that only goes forward, ms. */
  readonly now: () => number;
  /** Told of each process that ended otherwise than by {@link RemoteModel.close}. */
  readonly onEnded: (reason: ProcessEnd, message: string) => void;
}

/** Ends after each other that are got over at once: as many as it takes to find one row among a thousand. */
const FREE_ENDS = 6;
const FIRST_WAIT_MS = 1_000;
const MAX_WAIT_MS = 60_000;
/** A process that has been well for so long wipes out what was before. */
const WELL_MS = 60_000;
/** A process that nobody asks is let go. */
const IDLE_MS = 60_000;

/** Of a run that was never made, because others ended the process before. */
const MAX_TRIES = 3;

/** The model cannot be asked now. */
export class ModelUnavailable extends Error {
  override readonly name = 'ModelUnavailable';
}

/**
 * A model in a process of its own, which is started when it is first asked and again after it ended: at once a few times,
 * then after waits that double from a second to a minute, in which nobody waits for it.
 */
export class RemoteModel {
  readonly #options: RemoteModelOptions;
  #loading: Promise<Loaded> | null = null;
  #ends = 0;
  #lastEndMs = -Infinity;
  #idle: NodeJS.Timeout | undefined;
  #calls = 0;

  constructor(options: RemoteModelOptions) {
    this.#options = options;
  }

  /**
   * @throws {@link ModelUnavailable}; {@link ModelProcessEnded} where the process ended by this run, or with it;
   * WeftError MODEL_INVALID where the run failed; whatever `loadBytes` throws
   */
  async answer(rows: readonly FeatureRow[], from: number, to: number): Promise<ModelOutput[]> {
    return this.#asking((model) => model.answer(rows, from, to));
  }

  /** The outputs of a run with these very tensors. @throws as {@link answer} */
  async run(feeds: Feeds, outputs: readonly string[]): Promise<Record<string, OutputData>> {
    return this.#asking((model) => model.session.run(feeds, outputs));
  }

  async #asking<T>(ask: (model: LoadedModel) => Promise<T>): Promise<T> {
    this.#calls++;
    clearTimeout(this.#idle);
    try {
      for (let tries = 1; ; tries++) {
        try {
          const { model } = await this.#started();
          return await ask(model);
        } catch (error) {
          // It was somebody else's run.
          if (!(error instanceof ModelProcessEnded && error.reason === 'CLOSED')) throw error;
          if (tries === MAX_TRIES) throw new ModelUnavailable(error.message);
        }
      }
    } finally {
      if (--this.#calls === 0) this.#rest();
    }
  }

  /** Starts it, unless it runs or may not be started now. */
  async start(): Promise<void> {
    await this.#started().catch((error: unknown) => {
      if (!(error instanceof ModelUnavailable || error instanceof ModelProcessEnded)) throw error;
    });
    this.#rest();
  }

  /** Ends the process; a later call starts another. */
  async close(): Promise<void> {
    clearTimeout(this.#idle);
    const loading = this.#loading;
    this.#loading = null;
    await loading?.then(
      ({ host }) => {
        host.close();
      },
      () => undefined,
    );
  }

  async #started(): Promise<Loaded> {
    const loading = this.#loading;
    if (loading !== null) {
      const loaded = await loading;
      if (loaded.host.ended === null) return loaded;
      if (this.#loading === loading) {
        this.#loading = null;
        this.#noteEnd(loaded.host.ended);
      }
    }
    const waitMs = this.#lastEndMs + this.#waitMs() - this.#options.now();
    if (waitMs > 0) throw new ModelUnavailable(`its process ended ${String(this.#ends)} times`);
    const starting = (this.#loading ??= this.#load());
    try {
      return await starting;
    } catch (error) {
      if (this.#loading === starting) {
        this.#loading = null;
        if (error instanceof ModelProcessEnded) this.#noteEnd(error);
      }
      throw error;
    }
  }

  async #load(): Promise<Loaded> {
    const { manifest, mixesRows, runTimeoutMs, loadBytes, startHost } = this.#options;
    const bytes = await loadBytes();
    const host = startHost();
    try {
      const { graph } = await host.load(bytes);
      const session: ModelSession = {
        ...graph,
        run: (feeds, outputs) => host.run(feeds, outputs, runTimeoutMs),
        release: () => Promise.resolve(),
      };
      return { host, model: new LoadedModel(session, manifest, mixesRows) };
    } catch (error) {
      host.close();
      throw error;
    }
  }

  #noteEnd({ reason, message }: ModelProcessEnded): void {
    if (reason === 'CLOSED') return;
    const nowMs = this.#options.now();
    this.#ends = nowMs - this.#lastEndMs > WELL_MS + this.#waitMs() ? 1 : this.#ends + 1;
    this.#lastEndMs = nowMs;
    this.#options.onEnded(reason, message);
  }

  #waitMs(): number {
    const beyond = this.#ends - FREE_ENDS;
    return beyond <= 0 ? 0 : Math.min(MAX_WAIT_MS, FIRST_WAIT_MS * 2 ** (beyond - 1));
  }

  #rest(): void {
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => {
      if (this.#calls === 0) void this.close();
    }, IDLE_MS).unref();
  }
}

interface Loaded {
  readonly host: ModelHost;
  readonly model: LoadedModel;
}

/** Whether nothing else of a call can be answered after this. */
export function isUnavailable(error: unknown): boolean {
  return error instanceof ModelUnavailable || (error instanceof WeftError && error.code === 'OVERLOADED');
}
