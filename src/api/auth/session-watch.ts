import type { Clock } from '../../platform/clock.js';

/** What lasts longer than a request: a socket, a stream. */
export interface Session {
  /** When who opened it may not ask any more, ms; null: not by itself. */
  readonly expiresAt: number | null;
  /** False once they may not ask any more for another reason, as when their key was revoked. */
  isStillValid(): Promise<boolean>;
  /** Called once. */
  end(): void;
}

export interface SessionWatchDependencies {
  readonly clock: Clock;
  readonly onError: (error: unknown) => void;
  /** Default 1,000 ms: how late an expiry is noticed. */
  readonly sweepMs?: number;
  /** Default 10,000 ms: how late a revocation is noticed, beside the time that it takes to be known here. */
  readonly checkMs?: number;
}

/** Ends sessions whose credentials have ended, also those in which nothing happens. Bounded by whoever opens them. */
export class SessionWatch {
  /** When each was last found valid, ms. */
  readonly #checkedAtMs = new Map<Session, number>();
  readonly #timer: NodeJS.Timeout;
  #isSweeping = false;

  constructor(private readonly deps: SessionWatchDependencies) {
    this.#timer = setInterval(() => void this.sweep(), deps.sweepMs ?? 1_000).unref();
  }

  /** @returns what ends the watch, to be called when the session ends by itself */
  add(session: Session): () => void {
    this.#checkedAtMs.set(session, this.deps.clock.now());
    return () => {
      this.#checkedAtMs.delete(session);
    };
  }

  close(): void {
    clearInterval(this.#timer);
    this.#checkedAtMs.clear();
  }

  /**
   * Those that have expired first, for which nobody has to be asked. The others one after the other, so that many
   * sessions ask the database no more at once than one does; one that cannot be told of holds up none behind it.
   */
  async sweep(): Promise<void> {
    this.#endExpired();
    if (this.#isSweeping) return;
    this.#isSweeping = true;
    try {
      for (const [session, checkedAtMs] of this.#checkedAtMs) await this.#check(session, checkedAtMs);
    } finally {
      this.#isSweeping = false;
    }
  }

  #endExpired(): void {
    const nowMs = this.deps.clock.now();
    for (const session of this.#checkedAtMs.keys()) {
      if (session.expiresAt !== null && session.expiresAt <= nowMs) this.#end(session);
    }
  }

  async #check(session: Session, checkedAtMs: number): Promise<void> {
    const { clock, onError, checkMs = 10_000 } = this.deps;
    const nowMs = clock.now();
    if (nowMs - checkedAtMs < checkMs) return;
    try {
      if (!(await session.isStillValid())) this.#end(session);
      else if (this.#checkedAtMs.has(session)) this.#checkedAtMs.set(session, nowMs);
    } catch (error) {
      // Nobody is cut off because the database is away; the next sweep asks again.
      onError(error);
    }
  }

  /** A session that cannot be ended is still taken off the list: it would be tried for ever. */
  #end(session: Session): void {
    if (!this.#checkedAtMs.delete(session)) return;
    try {
      session.end();
    } catch (error) {
      this.deps.onError(error);
    }
  }
}
