import type { JsonValue } from '../events/event.model.js';
import { INVALID_MARK } from './decode-text.js';
import { parseJsonRow } from './parse-json-row.js';
import { faultyRow, MAX_ROW_LENGTH, type SourceRow } from './row.model.js';

/**
 * Text of a JSON lines file to rows, one object a line, in memory bounded by {@link MAX_ROW_LENGTH} and one push.
 * Rows and their numbers do not depend on how the text was cut into pushes. Blank lines count and are left out.
 */
export class JsonLineSplitter {
  #pending = '';
  #skippingLine = false;
  #rowNumber = 0;

  /** `mayHoldInvalid`: whether the text so far may hold {@link INVALID_MARK}. Rows are appended to `out`. */
  push(text: string, mayHoldInvalid: boolean, out: SourceRow[]): void {
    const all = this.#pending === '' ? text : this.#pending + text;
    let start = 0;
    for (let end = all.indexOf('\n'); end !== -1; end = all.indexOf('\n', start)) {
      if (this.#skippingLine) this.#skippingLine = false;
      else this.#line(all.slice(start, end), mayHoldInvalid, out);
      start = end + 1;
    }
    this.#pending = start === 0 ? all : all.slice(start);
    if (this.#pending.length <= MAX_ROW_LENGTH) return;
    if (!this.#skippingLine) this.#line(this.#pending, mayHoldInvalid, out);
    this.#skippingLine = true;
    this.#pending = '';
  }

  end(mayHoldInvalid: boolean, out: SourceRow[]): void {
    if (this.#pending !== '') this.#line(this.#pending, mayHoldInvalid, out);
    this.#pending = '';
  }

  #line(line: string, mayHoldInvalid: boolean, out: SourceRow[]): void {
    this.#rowNumber++;
    const number = this.#rowNumber;
    if (line.length > MAX_ROW_LENGTH) {
      out.push(faultyRow(number, 'ROW_TOO_LONG', `longer than ${String(MAX_ROW_LENGTH)} characters`, line));
      return;
    }
    if (line.trim() === '') return;
    if (mayHoldInvalid && line.includes(INVALID_MARK)) {
      out.push(faultyRow(number, 'ROW_BAD_UTF8', 'bytes that are not valid UTF-8', line));
      return;
    }
    let record: JsonValue;
    try {
      record = parseJsonRow(line);
    } catch {
      out.push(faultyRow(number, 'ROW_MALFORMED', 'not valid JSON', line));
      return;
    }
    if (record === null || typeof record !== 'object' || Array.isArray(record)) {
      out.push(faultyRow(number, 'ROW_MALFORMED', 'JSON, but not an object', line));
      return;
    }
    out.push({ number, cells: null, record, fault: null });
  }
}
