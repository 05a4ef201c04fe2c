/** At most so many attempts within a window of time that moves with the clock. */
export class AttemptBudget {
  readonly #max: number;
  readonly #windowMs: number;
  #taken: number[] = [];

  constructor(max: number, windowMs: number) {
    this.#max = max;
    this.#windowMs = windowMs;
  }

  /**
   * Takes an attempt; false if there is none left, and then nothing is taken.
   * @param nowMs of a clock that never goes back
   */
  take(nowMs: number): boolean {
    this.#taken = this.#taken.filter((takenMs) => nowMs - takenMs < this.#windowMs);
    if (this.#taken.length >= this.#max) return false;
    this.#taken.push(nowMs);
    return true;
  }
}
