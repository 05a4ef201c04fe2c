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

  /** One after the other, so that many sessions ask the database no more at once than one does. */
  async sweep(): Promise<void> {
    if (this.#isSweeping) return;
    this.#isSweeping = true;
    try {
      for (const [session, checkedAtMs] of this.#checkedAtMs) {
        if (!(await this.#mayGoOn(session, checkedAtMs)) && this.#checkedAtMs.delete(session)) session.end();
      }
    } catch (error) {
      // Nobody is cut off because the database is away; the next sweep asks again.
      this.deps.onError(error);
    } finally {
      this.#isSweeping = false;
    }
  }

  async #mayGoOn(session: Session, checkedAtMs: number): Promise<boolean> {
    const { clock, checkMs = 10_000 } = this.deps;
    const nowMs = clock.now();
    if (session.expiresAt !== null && session.expiresAt <= nowMs) return false;
    if (nowMs - checkedAtMs < checkMs) return true;
    if (!(await session.isStillValid())) return false;
    if (this.#checkedAtMs.has(session)) this.#checkedAtMs.set(session, nowMs);
    return true;
  }
}
