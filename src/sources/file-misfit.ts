import type { Encoding } from './decode-text.js';
import type { FileFormat, RowFault, SourceRow } from './row.model.js';

/** What separates the cells of the files that people have. */
export const DELIMITERS = [',', ';', '\t', '|'] as const;
/** So many rows in a row that cannot be read say that it is not the rows. */
const MIN_TELLING_ROWS = 10;
const JSON_ARRAY = /^\s*\[/;
const JSON_OBJECT = /^\s*\{/;

export const ENCODING_HINT =
  'if the file is Latin-1 (ISO 8859-1) or Windows-1252, write "encoding: windows-1252" in the mapping';

const JSON_LINES_HINT =
  'the mapping says "format: csv"; write "format: jsonl" if each line of the file is a JSON object';

const CR_HINT =
  "its lines end in CR alone, as old Macs wrote them, so that all is one row; write LF, for example with: tr '\\r' '\\n'";

interface Format {
  readonly format: FileFormat;
  readonly encoding: Encoding;
  readonly delimiter: string;
  readonly header: readonly string[] | null;
}

/** That a file is not what its mapping says, and what to change. */
export interface Misfit {
  readonly message: string;
  readonly hint: string;
}

/** Looks at the first rows after the header; null where at least one can be read, or too few tell nothing. */
export function misfitOf(rows: readonly SourceRow[], format: Format): Misfit | null {
  const [first] = rows;
  if (first?.fault == null || rows.some((row) => row.fault === null)) return null;
  // Nothing that even begins like an object: few such rows tell as much as many.
  const isForeign = format.format === 'jsonl' && rows.every(({ fault }) => !JSON_OBJECT.test(fault?.excerpt ?? '{'));
  const isArray = format.format === 'jsonl' && JSON_ARRAY.test(first.fault.excerpt);
  if (rows.length < MIN_TELLING_ROWS && !isArray && !isForeign) return null;
  const counted = rows.length === 1 ? 'the first row' : `none of the first ${String(rows.length)} rows`;
  const message = `${counted} ${rows.length === 1 ? 'cannot' : 'can'} be read: ${first.fault.reason}`;
  return { message, hint: hintOf(first.fault, format) };
}

/** Where either the file or the mapping says Parquet, and the other does not. */
export function parquetMisfit(isParquet: boolean, { format }: Pick<Format, 'format'>): Misfit | null {
  if (isParquet === (format === 'parquet')) return null;
  if (isParquet) return { message: 'the file is Parquet', hint: 'write "format: parquet" in the mapping' };
  const message = 'the mapping says "format: parquet", and the file does not begin as one';
  return { message, hint: 'write "format: csv" or "format: jsonl", as the file is' };
}

/** What to change where rows, or the header, have this fault. */
export function hintOf({ code, excerpt }: RowFault, format: Format): string {
  if (code === 'ROW_BAD_UTF8') return ENCODING_HINT;
  if (format.format === 'jsonl') {
    if (JSON_ARRAY.test(excerpt)) return `write one object a line, for example with: jq -c '.[]'`;
    return 'the mapping says "format: jsonl", one JSON object a line; write "format: csv" if that is what the file is';
  }
  if (JSON_OBJECT.test(excerpt)) return JSON_LINES_HINT;
  const other = DELIMITERS.filter((each) => each !== format.delimiter).find((each) => excerpt.includes(each));
  if (other !== undefined && !excerpt.includes(format.delimiter)) return delimiterHint(other);
  if (code === 'ROW_RAGGED') {
    return format.header === null
      ? 'the header must name each column; cells that hold the delimiter stand in quotes'
      : '"header" in the mapping must name each column of the file';
  }
  return other === undefined ? 'mend the row' : `mend its quotes, or ${delimiterHint(other)}`;
}

/** What to change where this is no header at all; null where it may be one. */
export function headerMisfit(header: readonly string[]): string | null {
  if (JSON_OBJECT.test(header[0] ?? '')) return JSON_LINES_HINT;
  return header.some((name) => name.includes('\r')) ? CR_HINT : null;
}

/** The delimiter that finds more of the columns in the text of a header than the mapping's does; null: none. */
export function betterDelimiter(
  header: readonly string[],
  columns: readonly string[],
  delimiter: string,
): (typeof DELIMITERS)[number] | null {
  const text = header.join(delimiter);
  const found = (names: readonly string[]): number => {
    const known = new Set(names.map((name) => name.trim().replace(/^"(.*)"$/, '$1')));
    return columns.filter((column) => known.has(column)).length;
  };
  let best = null;
  let most = found(header);
  for (const each of DELIMITERS) {
    const count = each === delimiter ? 0 : found(text.split(each));
    if (count <= most) continue;
    best = each;
    most = count;
  }
  return best;
}

export function delimiterHint(delimiter: string): string {
  // A tab needs the double quotes of YAML.
  return `write delimiter: "${delimiter === '\t' ? '\\t' : delimiter}" in the mapping`;
}
