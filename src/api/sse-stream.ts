import type { ServerResponse } from 'node:http';

/** Messages that wait for a stream at most; its subscriptions are not read on until they are sent. */
const MAX_UNSENT = 16;

/** One connection of server-sent events, and how much it is behind. */
export class SseStream {
  /** The key was revoked, or has expired, since the stream began. */
  isKeyGone = false;
  #unsent = 0;
  #hasEnded = false;
  #waiting: (() => void)[] = [];

  /** Waits until the stream may take one more message, and counts it. */
  async sendable(): Promise<void> {
    while (this.#unsent >= MAX_UNSENT && !this.#hasEnded) {
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve);
      });
    }
    this.#unsent++;
  }

  end(): void {
    this.#hasEnded = true;
    this.#wake();
  }

  /**
   * Writes messages until there are no more, or the client is gone, or takes none any more.
   * @param writeTimeoutMs a message that is not taken within this time ends the stream
   */
  async pump(messages: AsyncGenerator<string>, raw: ServerResponse, writeTimeoutMs: number): Promise<void> {
    const stop = (): void => {
      this.end();
      void messages.return(undefined);
    };
    raw.once('close', stop);
    raw.setTimeout(0);
    for await (const message of messages) {
      if (!(await isWritten(raw, message, writeTimeoutMs))) break;
      if (!message.startsWith('event: next')) continue;
      this.#unsent--;
      this.#wake();
    }
    raw.off('close', stop);
    this.end();
    raw.end();
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

/** False when the client is gone, or takes nothing any more. */
function isWritten(raw: ServerResponse, message: string, timeoutMs: number): Promise<boolean> {
  if (!raw.writable) return Promise.resolve(false);
  return new Promise((resolve) => {
    const timer = setTimeout(() => {
      raw.destroy();
      resolve(false);
    }, timeoutMs);
    timer.unref();
    raw.write(message, (error) => {
      clearTimeout(timer);
      resolve(error === null || error === undefined);
    });
  });
}
