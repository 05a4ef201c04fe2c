import type { TrainingCell } from './training-set.model.js';

/** Makes bytes of rows, in pieces that are worth a write. */
export interface RowEncoder {
  /** What is to be written now, if anything; valid until the next call. */
  add(cells: readonly TrainingCell[]): Uint8Array | null;
  /** The rest. */
  end(): Uint8Array;
}

const MIN_WRITE_CHARS = 1 << 16;

/** Lines of text, in UTF-8. */
export class TextRows implements RowEncoder {
  readonly #lineOf: (cells: readonly TrainingCell[]) => string;
  #text: string;

  /** @param head what stands before all rows */
  constructor(head: string, lineOf: (cells: readonly TrainingCell[]) => string) {
    this.#text = head;
    this.#lineOf = lineOf;
  }

  add(cells: readonly TrainingCell[]): Uint8Array | null {
    this.#text += this.#lineOf(cells);
    return this.#text.length < MIN_WRITE_CHARS ? null : this.end();
  }

  end(): Uint8Array {
    const bytes = Buffer.from(this.#text);
    this.#text = '';
    return bytes;
  }
}
