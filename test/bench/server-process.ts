import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { ProfileSummary } from './cpu-profiler.js';
import type { LoopPauses } from './loop-watch.js';

export interface ServerOptions {
  readonly databaseUrl: string;
  /** Default: the online store is in the server's process. */
  readonly redisUrl?: string;
  /** False: what is accepted is applied by `drain` alone. */
  readonly worker: boolean;
  /** Makes features, segments and the model; to be done once for a database. */
  readonly define: boolean;
  /** Also the fifty features of a view of their own. */
  readonly wide?: boolean;
  /** Whether a segment asks the model at each event. */
  readonly scores: boolean;
  /** What is done beside for events, which then have user agents, campaigns and names; left out: nothing, and they have not. */
  readonly beside?: 'nothing' | 'enrichment' | 'linking';
}

export interface Timing {
  readonly ms: number;
  /** User and system time of the server's process. */
  readonly cpuMs: number;
}

export interface Ready {
  readonly url: string;
  readonly writeKey: string;
  readonly readKey: string;
  readonly edgeKey: string;
  readonly pid: number;
}

/** What a bench asks of the server beside HTTP. */
export interface ServerCalls {
  /** Hands the events of a round straight to the accept service. */
  accept(count: number, round: number): Promise<Timing>;
  acceptKnown(visitors: number): Promise<Timing>;
  drain(): Promise<Timing>;
  /** Resolves when everything accepted is applied. */
  applied(): Promise<void>;
  cpuMs(): Promise<number>;
  /** What held up the server's thread since the last call. */
  loopPauses(): Promise<LoopPauses>;
  /** A bare route that answers `body` to `GET` and `POST /graphql`; its URL. */
  startBare(body: string): Promise<string>;
  /** Whether page views are told what the model says. */
  markScores(isMarked: boolean): Promise<void>;
  startProfile(): Promise<void>;
  /** Writes a `.cpuprofile` if a file is named. */
  stopProfile(file: string | null): Promise<ProfileSummary>;
}

interface Answer {
  readonly id: number;
  readonly result?: unknown;
  readonly error?: string;
}

interface Waiting {
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: Error) => void;
}

const PROGRAM = fileURLToPath(new URL('./server.program.ts', import.meta.url));
const STOP_TIMEOUT_MS = 20_000;

/** A server in a process of its own. */
export class ServerProcess {
  readonly #waiting = new Map<number, Waiting>();
  readonly #child: ChildProcess;
  readonly #ready: Promise<Ready>;
  #lastId = 0;
  #hasExited = false;

  private constructor(options: ServerOptions) {
    this.#child = fork(PROGRAM, [JSON.stringify(options)], {
      // As bin/weft.js starts a server.
      execArgv: ['--max-semi-space-size=64', '--import', 'tsx'],
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    this.#ready = this.#expect(0) as Promise<Ready>;
    this.#child.on('message', ({ id, result, error }: Answer) => {
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error === undefined) waiting?.resolve(result);
      else waiting?.reject(new Error(error));
    });
    this.#child.on('exit', (code, signal) => {
      this.#hasExited = true;
      for (const { reject } of this.#waiting.values()) {
        reject(new Error(`the server ended (${String(signal ?? code)})`));
      }
    });
  }

  /** `onForked` is told of the process before it is ready, so that it can be stopped in any case. */
  static async start(
    options: ServerOptions,
    onForked: (server: ServerProcess) => void,
  ): Promise<Ready & { readonly server: ServerProcess }> {
    const server = new ServerProcess(options);
    onForked(server);
    return { ...(await server.#ready), server };
  }

  call<Name extends keyof ServerCalls>(
    name: Name,
    ...args: Parameters<ServerCalls[Name]>
  ): Promise<Awaited<ReturnType<ServerCalls[Name]>>> {
    const id = ++this.#lastId;
    this.#child.send({ id, name, args });
    return this.#expect(id) as Promise<Awaited<ReturnType<ServerCalls[Name]>>>;
  }

  /** Safe to call twice. */
  async stop(): Promise<void> {
    if (this.#hasExited) return;
    if (this.#child.connected) this.#child.disconnect();
    const patience = setTimeout(() => this.#child.kill('SIGKILL'), STOP_TIMEOUT_MS);
    await once(this.#child, 'exit');
    clearTimeout(patience);
  }

  #expect(id: number): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
    });
  }
}
