/** Work that is done again and again, one run at a time, for as long as it is started. */
export class Periodic {
  readonly #work: () => Promise<void>;
  readonly #everyMs: number;
  readonly #onError: (error: unknown) => void;
  #timer: NodeJS.Timeout | null = null;
  #running: Promise<void> = Promise.resolve();
  #isRunning = false;

  /** @param onError told of every run that failed; the next one is tried all the same */
  constructor(work: () => Promise<void>, everyMs: number, onError: (error: unknown) => void) {
    this.#work = work;
    this.#everyMs = everyMs;
    this.#onError = onError;
  }

  start(): void {
    // A run that takes longer than the interval is not followed by those that it held up.
    this.#timer ??= setInterval(() => {
      if (!this.#isRunning) void this.run();
    }, this.#everyMs);
    this.#timer.unref();
  }

  /** There may be something to do now. Nothing happens where it is not started. */
  wake(): void {
    if (this.#timer !== null) void this.run();
  }

  /** A run of its own, begun once those before it have ended. Never rejects. */
  run(): Promise<void> {
    this.#isRunning = true;
    const running = this.#running.then(this.#work).catch(this.#onError);
    this.#running = running;
    return running.finally(() => {
      if (this.#running === running) this.#isRunning = false;
    });
  }

  /** No run begins after this, and none is under way when it resolves. */
  async stop(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    await this.#running;
  }
}
