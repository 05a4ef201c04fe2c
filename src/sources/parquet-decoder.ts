import { spawn, type ChildProcess } from 'node:child_process';
import type { FileHandle } from 'node:fs/promises';

import { WeftError } from '../platform/errors.js';
import { programArguments } from '../platform/program-arguments.js';
import type { ParquetReply } from './parquet-decoder.program.js';
import { damaged, notTaken } from './parquet-fault.js';

/** Heap of the process; columns of numbers and bytes of pages are beside it, and bounded by what a group may have. */
const MAX_HEAP_MB = 4_096;
/** Time to start and read the footer, on a busy machine, too. */
const FOOTER_TIMEOUT_MS = 60_000;

/** A process that decodes one file, step by step as it is asked to. A step that takes too long, or too much, ends it. */
export class ParquetDecoder {
  readonly #child: ChildProcess;
  readonly #groupTimeoutMs: number;
  #group = 0;
  #waiting: ((reply: ParquetReply | WeftError) => void) | null = null;
  #ended: WeftError | null = null;

  /** @param file is read by the process itself, and may be closed once it has ended */
  constructor(file: FileHandle, groupTimeoutMs: number) {
    this.#groupTimeoutMs = groupTimeoutMs;
    const heap = `--max-old-space-size=${String(MAX_HEAP_MB)}`;
    const program = programArguments('./parquet-decoder.program', import.meta.url);
    this.#child = spawn(process.execPath, [heap, ...program], {
      stdio: ['ignore', 'ignore', 'ignore', 'ipc', file.fd],
      serialization: 'advanced',
      env: {},
    });
    this.#child.on('message', (reply) => {
      this.#settle(reply as ParquetReply);
    });
    this.#child.once('error', (error) => {
      this.#end(failure(error.message));
    });
    // A message that came before is delivered before this.
    this.#child.once('close', (code, signal) => {
      this.#end(signal === null ? failure(`it ended with code ${String(code)}`) : this.#tooMuch());
    });
  }

  /**
   * The next step; null: there is none. To be called anew once it is there. The first also waits for the process to start.
   * @throws WeftError BAD_REQUEST where the file is to blame; INTERNAL where the process is
   */
  async next(): Promise<Exclude<ParquetReply, { kind: 'end' | 'refused' | 'failed' }> | null> {
    const reply = await this.#ask();
    if (reply instanceof WeftError) throw reply;
    switch (reply.kind) {
      case 'end':
        return null;
      case 'refused':
        throw new WeftError('BAD_REQUEST', reply.message, reply.hint === undefined ? {} : { hint: reply.hint });
      case 'failed':
        throw failure(reply.reason);
      default:
        if (reply.kind === 'group') this.#group = reply.group;
        return reply;
    }
  }

  /** Ends the process, whatever it does. */
  close(): void {
    this.#end(failure('it was closed'));
  }

  async #ask(): Promise<ParquetReply | WeftError> {
    if (this.#ended !== null) return this.#ended;
    // What nobody waits for keeps no program from ending.
    this.#child.ref();
    this.#child.channel?.ref();
    const timeoutMs = this.#group === 0 ? FOOTER_TIMEOUT_MS : this.#groupTimeoutMs;
    const timer = setTimeout(() => {
      this.#end(this.#tooLong(timeoutMs));
    }, timeoutMs);
    const reply = await new Promise<ParquetReply | WeftError>((settle) => {
      this.#waiting = settle;
      this.#child.send('next', (error) => {
        if (error !== null) this.#end(failure(error.message));
      });
    });
    clearTimeout(timer);
    this.#child.unref();
    this.#child.channel?.unref();
    return reply;
  }

  #settle(reply: ParquetReply | WeftError): void {
    this.#waiting?.(reply);
    this.#waiting = null;
  }

  #end(why: WeftError): void {
    this.#ended ??= why;
    this.#settle(this.#ended);
    this.#child.kill('SIGKILL');
  }

  get #place(): string {
    return this.#group === 0 ? 'the footer' : `row group ${String(this.#group)}`;
  }

  #tooLong(timeoutMs: number): WeftError {
    return damaged(`${this.#place} was not decoded within ${String(timeoutMs / 1_000)} s, so it may be damaged`);
  }

  /** V8 ends a process that takes too much, and so does the system. */
  #tooMuch(): WeftError {
    return notTaken(
      `${this.#place} of the Parquet file takes more memory than there is, or than ${String(MAX_HEAP_MB / 1_024)} GiB`,
      'get the file again, for it may be damaged, or write it with smaller row groups, such as 100,000 rows each',
    );
  }
}

function failure(reason: string): WeftError {
  return new WeftError('INTERNAL', `the process that reads the Parquet file failed: ${reason}`, {
    hint: 'try again; see that processes can be started here',
  });
}
