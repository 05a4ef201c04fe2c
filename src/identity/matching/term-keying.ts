import type { TermKey } from '../linkage/linkage-model.model.js';

/** What begins and ends in the text of a model: no value holds a line break, which JSON writes otherwise. */
const FREQUENCIES = '\n  "termFrequencies": {\n';
const FREQUENCIES_END = '  }';
const COLUMN_INDENT = 4;
const COLUMN = /^ {4}"/;
const NO_COUNTS = '      "counts": {}';
const COUNTS_END = '      }';
const KEYED = '      "isKeyed": true';
const ENTRY_INDENT = 8;
const ENTRY = `${' '.repeat(ENTRY_INDENT)}"`;

/**
 * Puts keys in the place of the values that a stored model counts, as `withKeyedTerms` does, but some at a time: a model
 * may count millions of them, and whoever does this has other things to do. So it goes along the text, line by line.
 */
export class TermKeying {
  readonly #content: string;
  readonly #keysOf: (column: string) => TermKey;
  readonly #done: string[] = [];
  #place: number;
  #keyOf: TermKey | null = null;
  /** Lines of keys with their counts, by how keys begin: each list is short enough to be sorted at once. */
  readonly #entries = new Map<string, string[]>();
  /** How the keys begin that are left to be written; null: values are being read. */
  #unwritten: string[] | null = null;

  /**
   * @param content as `writeLinkageModel` wrote it, without keys
   * @param keysOf what stands for the values of a column
   */
  constructor(content: string, keysOf: (column: string) => TermKey) {
    this.#content = content;
    this.#keysOf = keysOf;
    const start = content.indexOf(FREQUENCIES);
    this.#place = start < 0 ? content.length : start + FREQUENCIES.length;
    this.#done.push(content.slice(0, this.#place));
  }

  /**
   * Goes on.
   * @param limit values that are keyed, at most
   * @returns the text of the model with keys; null: there is more to do
   */
  step(limit: number): string | null {
    if (this.#unwritten !== null) {
      this.#writeSome(this.#unwritten);
      return null;
    }
    for (let i = 0; i < limit && this.#place < this.#content.length; i++) {
      const line = this.#readLine();
      if (line === COUNTS_END) return null;
    }
    return this.#place < this.#content.length ? null : this.#done.join('');
  }

  #readLine(): string {
    const end = this.#content.indexOf('\n', this.#place);
    const line = this.#content.slice(this.#place, end < 0 ? undefined : end);
    const next = end < 0 ? this.#content.length : end + 1;
    if (line.startsWith(ENTRY)) this.#readEntry(line);
    else if (line.startsWith(KEYED)) throw new Error('the values of the model are not there any more');
    else if (line === COUNTS_END) this.#unwritten = [...this.#entries.keys()].sort().reverse();
    else if (line === NO_COUNTS) this.#done.push(`${NO_COUNTS},\n${KEYED}\n`);
    else {
      if (COLUMN.test(line)) this.#keyOf = this.#keysOf(textOf(line.slice(COLUMN_INDENT, line.lastIndexOf(':'))));
      this.#done.push(`${line}\n`);
    }
    this.#place = next;
    if (line.startsWith(FREQUENCIES_END)) {
      this.#done.push(this.#content.slice(next));
      this.#place = this.#content.length;
    }
    return line;
  }

  #readEntry(line: string): void {
    const colon = line.lastIndexOf(':');
    const value = textOf(line.slice(ENTRY_INDENT, colon));
    if (this.#keyOf === null) throw new Error('values are counted of no column');
    const key = this.#keyOf(value);
    const start = key.slice(0, 1);
    const entry = `${' '.repeat(ENTRY_INDENT)}${JSON.stringify(key)}: ${String(Number.parseInt(line.slice(colon + 1), 10))}`;
    const alike = this.#entries.get(start);
    if (alike === undefined) this.#entries.set(start, [entry]);
    else alike.push(entry);
  }

  /** Sorted, so that not even the order tells anything of the values. */
  #writeSome(unwritten: string[]): void {
    const start = unwritten.pop();
    const entries = this.#entries.get(start ?? '') ?? [];
    this.#entries.delete(start ?? '');
    const isLast = unwritten.length === 0;
    this.#done.push(entries.sort().join(',\n'), isLast ? `\n${COUNTS_END},\n${KEYED}\n` : ',\n');
    if (isLast) this.#unwritten = null;
  }
}

function textOf(json: string): string {
  return JSON.parse(json) as string;
}
