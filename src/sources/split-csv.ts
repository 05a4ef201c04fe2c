import { INVALID_MARK } from './decode-text.js';
import { faultyRow, MAX_ROW_LENGTH, type RowFaultCode, type SourceRow } from './row.model.js';

const QUOTE = 0x22;
const LF = 0x0a;
const CR = 0x0d;
const INCOMPLETE = -1;
const FAULTY = -2;
const TOO_LONG = `longer than ${String(MAX_ROW_LENGTH)} characters`;
const UNCLOSED_TOO_LONG = `a quoted field is not closed within ${String(MAX_ROW_LENGTH)} characters`;

/**
 * Text of a CSV file (RFC 4180) to rows, push by push, in memory bounded by {@link MAX_ROW_LENGTH} and one push.
 *
 * 1. Rows and their numbers do not depend on how the text was cut into pushes.
 * 2. A row ends at LF, or CRLF. A field whose first character is a quote ends at the next undoubled quote and may hold
 *    delimiters and line breaks. A quote elsewhere in a field is a plain character.
 * 3. A fault costs one line: after it, reading goes on at the line after the one where the row began, so an
 *    unbalanced quote cannot swallow the rest of the file.
 *
 * Written for speed: a line without quotes is cut by `split`, 5 times as fast as a general parser over the order file
 * of the tests (0.46 s against 2.4 s for 541,909 rows of 8 fields, decompression included).
 */
export class CsvSplitter {
  readonly #delimiter: string;
  /** Text from the start of the first row that is not complete yet. */
  #pending = '';
  /** Inside a line that is too long; its fault is already reported. */
  #skippingLine = false;
  #rowNumber = 0;
  #width: number;

  /** `width`: cells a row must have; 0: as many as the first row, which is the header. */
  constructor(delimiter: string, width = 0) {
    this.#delimiter = delimiter;
    this.#width = width;
  }

  /** `mayHoldInvalid`: whether the text so far may hold {@link INVALID_MARK}. Rows are appended to `out`. */
  push(text: string, mayHoldInvalid: boolean, out: SourceRow[]): void {
    this.#run(this.#pending === '' ? text : this.#pending + text, mayHoldInvalid, false, out);
    // Only a line that cannot end within bounds is dropped here; one more character may be the CR of its end.
    if (this.#pending.length <= MAX_ROW_LENGTH + 1 || this.#pending.includes('\n')) return;
    if (!this.#skippingLine) this.#fault('ROW_TOO_LONG', TOO_LONG, this.#pending, out);
    this.#skippingLine = true;
    this.#pending = '';
  }

  end(mayHoldInvalid: boolean, out: SourceRow[]): void {
    this.#run(this.#pending, mayHoldInvalid, true, out);
  }

  #run(text: string, mayHoldInvalid: boolean, atEnd: boolean, out: SourceRow[]): void {
    let start = 0;
    let quote = text.indexOf('"');
    while (start < text.length) {
      let newline = text.indexOf('\n', start);
      if (newline === -1) {
        if (!atEnd) break;
        newline = text.length;
      }
      if (this.#skippingLine) {
        this.#skippingLine = false;
        start = newline + 1;
        continue;
      }
      const lineEnd = newline > start && text.charCodeAt(newline - 1) === CR ? newline - 1 : newline;
      if (quote !== -1 && quote < start) quote = text.indexOf('"', start);
      if (lineEnd - start > MAX_ROW_LENGTH) {
        this.#fault('ROW_TOO_LONG', TOO_LONG, text.slice(start, start + MAX_ROW_LENGTH), out);
      } else if (quote === -1 || quote >= lineEnd) {
        if (lineEnd === start) this.#rowNumber++;
        else {
          const line = text.slice(start, lineEnd);
          this.#emit(line.split(this.#delimiter), line, mayHoldInvalid, out);
        }
      } else {
        const rowEnd = this.#quotedRow(text, start, lineEnd, atEnd, mayHoldInvalid, out);
        if (rowEnd === INCOMPLETE) break;
        if (rowEnd >= 0) {
          start = rowEnd;
          continue;
        }
      }
      start = newline + 1;
    }
    this.#pending = start === 0 ? text : text.slice(start);
  }

  /** Returns where the row ends; INCOMPLETE where the text must grow first; FAULTY where its first line is given up. */
  #quotedRow(
    text: string,
    start: number,
    lineEnd: number,
    atEnd: boolean,
    mayHoldInvalid: boolean,
    out: SourceRow[],
  ): number {
    const bound = Math.min(text.length, start + MAX_ROW_LENGTH + 1);
    const cells: string[] = [];
    const rowEnd = scanQuoted(text, start, bound, this.#delimiter, atEnd, cells);
    if (rowEnd >= 0) {
      this.#emit(cells, text.slice(start, rowEnd), mayHoldInvalid, out);
      return rowEnd;
    }
    const line = text.slice(start, lineEnd);
    if (rowEnd === FAULTY) this.#fault('ROW_MALFORMED', 'text after the closing quote of a field', line, out);
    else if (bound - start > MAX_ROW_LENGTH) this.#fault('ROW_TOO_LONG', UNCLOSED_TOO_LONG, line, out);
    else if (atEnd) this.#fault('ROW_MALFORMED', 'a quote is not closed before the end of the file', line, out);
    else return INCOMPLETE;
    return FAULTY;
  }

  #emit(cells: string[], text: string, mayHoldInvalid: boolean, out: SourceRow[]): void {
    if (mayHoldInvalid && text.includes(INVALID_MARK)) {
      this.#fault('ROW_BAD_UTF8', 'bytes that are not valid UTF-8', text, out);
      return;
    }
    if (this.#width === 0) this.#width = cells.length;
    if (cells.length !== this.#width) {
      const reason = `${String(cells.length)} cells where ${String(this.#width)} are expected`;
      this.#fault('ROW_RAGGED', reason, text, out);
      return;
    }
    this.#rowNumber++;
    out.push({ number: this.#rowNumber, cells, record: null, fault: null });
  }

  #fault(code: RowFaultCode, reason: string, text: string, out: SourceRow[]): void {
    this.#rowNumber++;
    out.push(faultyRow(this.#rowNumber, code, reason, text));
  }
}

/** Cuts the row at `start` into `cells`, looking no further than `bound`. Returns its end, INCOMPLETE or FAULTY. */
function scanQuoted(
  text: string,
  start: number,
  bound: number,
  delimiter: string,
  atEnd: boolean,
  cells: string[],
): number {
  const endsHere = atEnd && bound === text.length;
  for (let at = start; ; at++) {
    if (at < bound && text.charCodeAt(at) === QUOTE) {
      let value = '';
      let from = at + 1;
      for (;;) {
        const quote = text.indexOf('"', from);
        if (quote === -1 || quote >= bound) return INCOMPLETE;
        at = quote + 1;
        if (at >= bound || text.charCodeAt(at) !== QUOTE) {
          value += text.slice(from, quote);
          break;
        }
        value += text.slice(from, at);
        from = at + 1;
      }
      cells.push(value);
      if (at >= bound) return endsHere ? bound : INCOMPLETE;
      if (text[at] === delimiter) continue;
      if (text.charCodeAt(at) === CR) {
        at++;
        if (at >= bound) return endsHere ? bound : INCOMPLETE;
      }
      return text.charCodeAt(at) === LF ? at + 1 : FAULTY;
    }
    let newline = text.indexOf('\n', at);
    if (newline === -1 || newline >= bound) {
      if (!endsHere) return INCOMPLETE;
      newline = bound;
    }
    const next = text.indexOf(delimiter, at);
    if (next === -1 || next >= newline) {
      const end = newline > at && text.charCodeAt(newline - 1) === CR ? newline - 1 : newline;
      cells.push(text.slice(at, end));
      return Math.min(newline + 1, text.length);
    }
    cells.push(text.slice(at, next));
    at = next;
  }
}
