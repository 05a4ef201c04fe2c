/** A source of time. All times in Weft are integer milliseconds since the Unix epoch, UTC. */
export interface Clock {
  now(): number;
}

export const systemClock: Clock = { now: () => Date.now() };

/** A clock that moves only when told to; what tests run on. */
export class ManualClock implements Clock {
  #nowMs: number;

  constructor(startMs: number) {
    this.#nowMs = startMs;
  }

  now(): number {
    return this.#nowMs;
  }

  /** Time never runs backwards, because stored times are assumed monotone. */
  set(ms: number): void {
    if (ms < this.#nowMs) throw new RangeError(`clock cannot go back from ${String(this.#nowMs)} to ${String(ms)}`);
    this.#nowMs = ms;
  }

  advance(ms: number): void {
    this.set(this.#nowMs + ms);
  }
}
