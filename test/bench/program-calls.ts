import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';

interface Answer {
  readonly id: number;
  readonly result?: unknown;
  readonly error?: string;
}

interface Waiting {
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: Error) => void;
}

type ArgsOf<Call> = Call extends (...args: infer Args) => unknown ? Args : never;
type ResultOf<Call> = Call extends (...args: never[]) => infer Result ? Awaited<Result> : never;

const STOP_TIMEOUT_MS = 20_000;

/** A program in a process of its own that is called over IPC: it sends `{ id, result }` or `{ id, error }`, first of id 0. */
export class ProgramCalls<Of extends object> {
  readonly #waiting = new Map<number, Waiting>();
  readonly #child: ChildProcess;
  /** Resolves with what it says when it is ready. */
  readonly ready: Promise<unknown>;
  #lastId = 0;
  #hasExited = false;

  constructor(
    program: string,
    options: unknown,
    private readonly what: string,
    { execArgv = ['--import', 'tsx'] }: { readonly execArgv?: readonly string[] } = {},
  ) {
    this.#child = fork(program, [JSON.stringify(options)], {
      execArgv: [...execArgv],
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    this.ready = this.#expect(0);
    this.#child.on('message', ({ id, result, error }: Answer) => {
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error === undefined) waiting?.resolve(result);
      else waiting?.reject(new Error(error));
    });
    this.#child.on('exit', (code, signal) => {
      this.#hasExited = true;
      for (const { reject } of this.#waiting.values()) {
        reject(new Error(`${this.what} ended (${String(signal ?? code)})`));
      }
    });
  }

  call<Name extends keyof Of>(name: Name, ...args: ArgsOf<Of[Name]>): Promise<ResultOf<Of[Name]>> {
    const id = ++this.#lastId;
    this.#child.send({ id, name, args });
    return this.#expect(id) as Promise<ResultOf<Of[Name]>>;
  }

  /** As if the machine had failed: nothing is ended in order. */
  async kill(): Promise<void> {
    if (this.#hasExited) return;
    const exited = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await exited;
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
