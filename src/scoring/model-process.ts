import { spawn, type ChildProcess } from 'node:child_process';
import type { Socket } from 'node:net';

import { WeftError } from '../platform/errors.js';
import { programArguments } from '../platform/program-arguments.js';
import type { Feeds, OutputData } from './bind-features.js';
import type { GraphFacts } from './model-manifest.model.js';
import {
  ModelProcessEnded,
  tellsOfMemory,
  type ModelCall,
  type ModelReply,
  type ProcessEnd,
} from './model-process.model.js';

/** Node.js itself, its threads and the runtime, beside what the graph takes. */
const BASE_BYTES = 256 * 1024 * 1024;
/** What the limit of memory counts is taken before it is used: four heaps of threads, and space for young objects. */
const SLACK_BYTES = 256 * 1024 * 1024;
const MAX_WAITING_CALLS = 256;
/** Kept of what it says on its standard error, characters. */
const MAX_COMPLAINT = 4_000;

export interface ModelProcessOptions {
  /** What the graph may take, weights and values of one run, bytes. Beside that are about 256 MB for the process. */
  readonly maxGraphBytes: number;
  /** Time for the process to start and to load the graph, ms. */
  readonly loadTimeoutMs: number;
}

/** One call that waits for its reply, and how long that may take from when the call is sent. */
interface Waiting {
  readonly call: ModelCall;
  readonly timeoutMs: number;
  readonly settle: (reply: ModelReply | ModelProcessEnded) => void;
}

/**
 * A process that holds one ONNX graph, and may be killed at any time. Calls are answered one after the other. One that
 * takes too long, or more memory than it may, ends the process and with it all calls that wait, which are told `CLOSED`.
 *
 * The limit of memory is that of the system on data (`RLIMIT_DATA`), where the system has one that counts: an allocation
 * beyond it fails. A thread of the process looks at the same bound five times a second.
 */
export class ModelProcess {
  readonly #child: ChildProcess;
  readonly #options: ModelProcessOptions;
  readonly #waiting: Waiting[] = [];
  #ended: ModelProcessEnded | null = null;
  #complaint = '';
  #timer: NodeJS.Timeout | undefined;

  constructor(options: ModelProcessOptions) {
    this.#options = options;
    const maxBytes = BASE_BYTES + options.maxGraphBytes;
    const dataKb = String(Math.ceil((maxBytes + SLACK_BYTES) / 1024));
    const program = programArguments('./model-process.program', import.meta.url);
    // The limit is the shell's, and goes over to what takes its place.
    this.#child = spawn(
      '/bin/sh',
      ['-c', `ulimit -d ${dataKb} 2>/dev/null; exec "$@"`, 'sh', process.execPath, ...program, String(maxBytes)],
      { stdio: ['pipe', 'ignore', 'pipe', 'ipc'], serialization: 'advanced', env: {} },
    );
    this.#child.on('message', (reply) => {
      this.#settle(reply as ModelReply);
    });
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#complaint = (this.#complaint + text).slice(-MAX_COMPLAINT);
    });
    this.#child.stdin?.on('error', () => undefined);
    this.#child.once('error', (error) => {
      this.#end('START', `it could not be started: ${error.message}`);
    });
    // What it said before is delivered before this.
    this.#child.once('close', (code, signal) => {
      this.#closed(code, signal);
    });
    this.#rest();
  }

  /** Null while it can be asked. */
  get ended(): ModelProcessEnded | null {
    return this.#ended;
  }

  /** Of the process, for those who watch it; undefined: it could not be started. */
  get pid(): number | undefined {
    return this.#child.pid;
  }

  /**
   * Loads a graph; to be called once, before all else.
   * @throws WeftError MODEL_INVALID; {@link ModelProcessEnded}
   */
  async load(bytes: Uint8Array): Promise<{ graph: GraphFacts; loadMs: number }> {
    this.#child.stdin?.end(bytes);
    const reply = await this.#ask({ kind: 'load' }, this.#options.loadTimeoutMs);
    if (reply.kind !== 'loaded') throw unexpected(reply);
    return reply;
  }

  /** @throws WeftError MODEL_INVALID, OVERLOADED; {@link ModelProcessEnded} */
  async run(feeds: Feeds, outputs: readonly string[], timeoutMs: number): Promise<Record<string, OutputData>> {
    const reply = await this.#ask({ kind: 'run', feeds, outputs }, timeoutMs);
    if (reply.kind !== 'ran') throw unexpected(reply);
    return reply.outputs;
  }

  /** How long runs take in the process, ms. @throws as {@link run} */
  async measure(
    few: Feeds,
    many: Feeds,
    outputs: readonly string[],
    timeoutMs: number,
  ): Promise<{ oneRowP99Ms: number; manyMs: number }> {
    const reply = await this.#ask({ kind: 'measure', few, many, outputs }, timeoutMs);
    if (reply.kind !== 'measured') throw unexpected(reply);
    return reply.speed;
  }

  /** Ends the process, whatever it does. */
  close(): void {
    this.#end('CLOSED', 'it was closed');
  }

  async #ask(
    call: ModelCall,
    timeoutMs: number,
  ): Promise<Exclude<ModelReply, { readonly kind: 'refused' | 'failed' }>> {
    if (this.#waiting.length >= MAX_WAITING_CALLS) {
      throw new WeftError('OVERLOADED', 'more is asked of the model than it can answer', {
        where: 'scoring',
        hint: 'ask again later',
        retryAfterMs: 100,
      });
    }
    const reply = await new Promise<ModelReply | ModelProcessEnded>((settle) => {
      if (this.#ended !== null) {
        settle(call.kind === 'load' ? this.#ended : behind(this.#ended));
        return;
      }
      this.#waiting.push({ call, timeoutMs, settle });
      if (this.#waiting.length === 1) this.#send();
    });
    if (reply instanceof ModelProcessEnded) throw reply;
    if (reply.kind === 'failed') throw new ModelProcessEnded('CRASH', `it failed: ${reply.reason}`);
    if (reply.kind !== 'refused') return reply;
    const { message, where, hint } = reply;
    // The run failed for want of memory; what the process has left of it is anybody's guess.
    if (tellsOfMemory(message)) throw this.#end('MEMORY', this.#tooMuch());
    throw new WeftError('MODEL_INVALID', message, {
      ...(where === undefined ? {} : { where }),
      ...(hint === undefined ? {} : { hint }),
    });
  }

  #send(): void {
    const [next] = this.#waiting;
    if (next === undefined) return;
    this.#child.ref();
    this.#child.channel?.ref();
    this.#timer = setTimeout(() => {
      this.#end('TIME', `it took longer than ${String(next.timeoutMs / 1_000)} s`);
    }, next.timeoutMs);
    this.#child.send(next.call, (error) => {
      if (error !== null) this.#end('CRASH', `it cannot be told anything: ${error.message}`);
    });
  }

  #settle(reply: ModelReply): void {
    clearTimeout(this.#timer);
    this.#waiting.shift()?.settle(reply);
    if (this.#waiting.length > 0) this.#send();
    else this.#rest();
  }

  /** What nobody waits for keeps no program from ending. */
  #rest(): void {
    this.#child.unref();
    this.#child.channel?.unref();
    (this.#child.stderr as Socket | null)?.unref();
  }

  #closed(code: number | null, signal: NodeJS.Signals | null): void {
    if (signal === 'SIGKILL' || tellsOfMemory(this.#complaint)) this.#end('MEMORY', this.#tooMuch());
    else this.#end('CRASH', `it crashed (${signal ?? `code ${String(code)}`})`);
  }

  #end(reason: ProcessEnd, message: string): ModelProcessEnded {
    clearTimeout(this.#timer);
    const ended = (this.#ended ??= new ModelProcessEnded(reason, message));
    this.#waiting.splice(0).forEach(({ settle }, i) => {
      settle(i === 0 ? ended : behind(ended));
    });
    this.#child.kill('SIGKILL');
    this.#rest();
    return ended;
  }

  #tooMuch(): string {
    return `it took more memory than ${String(Math.round(this.#options.maxGraphBytes / 1024 ** 2))} MB`;
  }
}

/** For calls that were not under way: whatever happened, they are not to blame for it. */
function behind({ message }: ModelProcessEnded): ModelProcessEnded {
  return new ModelProcessEnded('CLOSED', `it ended with another call: ${message}`);
}

function unexpected(reply: ModelReply): Error {
  return new Error(`a process of a model answered ${reply.kind} to something else`);
}
