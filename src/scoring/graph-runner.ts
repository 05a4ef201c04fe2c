import { LRUCache } from 'lru-cache';

import { WeftError } from '../platform/errors.js';
import type { Feeds, OutputData } from './bind-features.js';
import type { RegisteredGraph } from './graph-runner.model.js';
import type { RegisteredModel } from './model-manifest.model.js';
import { ModelProcessEnded } from './model-process.model.js';
import { isUnavailable, RemoteModel, type ModelHost } from './remote-model.js';
import type { ScoringObserver } from './scoring-observer.model.js';

export interface GraphRunnerOptions {
  /** A version of a model; null: there is none. */
  readonly find: (key: string, version: number) => Promise<RegisteredModel | null>;
  readonly loadBytes: (digest: string) => Promise<Uint8Array>;
  readonly startHost: () => ModelHost;
  readonly observer: ScoringObserver;
  /** A clock that only goes forward, ms. */
  readonly now: () => number;
}

/** Versions whose graphs are remembered, and those that have a process at the same time. */
const MAX_KNOWN = 200;
const MAX_HOSTS = 8;
/** Each may hold megabytes. */
const MAX_CALLS = 32;
const RUN_TIMEOUT_MS = 10_000;

/**
 * Asks graphs with tensors that come from outside. Nobody knows what these are, so every graph has a process of its own,
 * apart from those that people are scored in; the one that was asked longest ago is ended where there are too many.
 */
export class GraphRunner {
  readonly #options: GraphRunnerOptions;
  readonly #known = new LRUCache<string, RegisteredGraph>({ max: MAX_KNOWN });
  readonly #hosts = new LRUCache<string, RemoteModel>({
    max: MAX_HOSTS,
    dispose: (host) => void host.close(),
  });
  #calls = 0;

  constructor(options: GraphRunnerOptions) {
    this.#options = options;
  }

  /** @throws WeftError CONFLICT where nothing is known of its graph */
  async find(key: string, version: number): Promise<RegisteredGraph | null> {
    const place = `${key} ${String(version)}`;
    const known = this.#known.get(place);
    if (known !== undefined) return known;
    const found = await this.#options.find(key, version);
    if (found === null) return null;
    const { probe } = found;
    if (probe === null) {
      throw new WeftError('CONFLICT', `nothing is known of the graph of model ${key} version ${String(version)}`, {
        where: 'model',
        hint: 'register the same files again: it was registered before inputs and outputs were kept',
      });
    }
    const graph = { ...found, probe };
    this.#known.set(place, graph);
    return graph;
  }

  /**
   * @param feeds a tensor for each input
   * @throws WeftError BAD_REQUEST where the graph cannot be run on them; UNAVAILABLE; OVERLOADED
   */
  async run(graph: RegisteredGraph, feeds: Feeds, outputs: readonly string[]): Promise<Record<string, OutputData>> {
    if (this.#calls >= MAX_CALLS) {
      throw new WeftError('OVERLOADED', 'more is asked of models than they can answer', {
        where: 'model',
        hint: 'ask again later',
        retryAfterMs: 1_000,
      });
    }
    this.#calls++;
    const startedMs = this.#options.now();
    try {
      const answer = await this.#hostOf(graph).run(feeds, outputs);
      const rows = Object.values(feeds)[0]?.dims[0] ?? 0;
      this.#options.observer.onRun?.(graph.key, rows, this.#options.now() - startedMs, graph.version);
      return answer;
    } catch (error) {
      throw toldOf(error, graph.key);
    } finally {
      this.#calls--;
    }
  }

  /** Ends all processes. */
  async close(): Promise<void> {
    const hosts = [...this.#hosts.values()];
    this.#hosts.clear();
    await Promise.all(hosts.map((host) => host.close()));
  }

  #hostOf({ key, digest, manifest }: RegisteredGraph): RemoteModel {
    const known = this.#hosts.get(digest);
    if (known !== undefined) return known;
    const { loadBytes, startHost, now, observer } = this.#options;
    const host = new RemoteModel({
      manifest,
      mixesRows: false,
      runTimeoutMs: RUN_TIMEOUT_MS,
      loadBytes: () => loadBytes(digest),
      startHost,
      now,
      onEnded: (reason, message) => observer.onHostEnded?.(key, reason, message),
    });
    this.#hosts.set(digest, host);
    return host;
  }
}

function toldOf(error: unknown, key: string): unknown {
  if (error instanceof WeftError && error.code === 'MODEL_INVALID') {
    return new WeftError('BAD_REQUEST', error.message, {
      where: 'inputs',
      hint: 'see what the model takes',
      cause: error,
    });
  }
  const isEnded = error instanceof ModelProcessEnded;
  if (!isEnded && !(isUnavailable(error) && !(error instanceof WeftError))) return error;
  const why = isEnded ? `: ${error.message}` : '';
  return new WeftError('UNAVAILABLE', `model ${key} gives no answer${why}`, {
    where: 'model',
    hint: 'ask with fewer rows, or again later',
    retryAfterMs: 1_000,
    cause: error,
  });
}
