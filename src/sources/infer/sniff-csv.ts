import { WeftError } from '../../platform/errors.js';
import { DELIMITERS } from '../file-misfit.js';
import type { SourceRow } from '../row.model.js';
import { CsvSplitter } from '../split-csv.js';

const SNIFFED_ROWS = 500;
const NO_NAME = /^\s*$|^[+-]?[\d.,:/\s-]+$|@/;

export interface CsvShape {
  readonly delimiter: string;
  /** Names of the columns: of the first row, or made up. */
  readonly header: readonly string[];
  readonly isHeaderRow: boolean;
}

/**
 * Tells the delimiter, by which most rows have as many cells as the first, and whether the first row names the columns:
 * if all its cells are different and none is empty, a number, a time or an address.
 * @throws WeftError BAD_REQUEST where there is no first row
 */
export function sniffCsv(text: string, isWhole: boolean): CsvShape {
  let best = { delimiter: ',', score: -1, cells: [] as readonly string[] };
  for (const delimiter of DELIMITERS) {
    const rows = rowsOf(text, delimiter, isWhole);
    const cells = rows[0]?.cells ?? [];
    const good = rows.filter(({ fault }) => fault === null).length;
    // One cell a row is what any text has.
    const score = cells.length < 2 ? 0 : (good / rows.length) ** 4 * cells.length;
    if (score > best.score) best = { delimiter, score, cells };
  }
  if (best.cells.length === 0) {
    throw new WeftError('BAD_REQUEST', 'the first row cannot be read', {
      where: 'row 1',
      hint: 'it must name the columns, or be a row of data',
    });
  }
  const names = best.cells.map((cell) => cell.trim());
  const isHeaderRow = new Set(names).size === names.length && !names.some((name) => NO_NAME.test(name));
  const header = isHeaderRow ? names : names.map((_, i) => `column_${String(i + 1)}`);
  return { delimiter: best.delimiter, header, isHeaderRow };
}

function rowsOf(text: string, delimiter: string, isWhole: boolean): SourceRow[] {
  const rows: SourceRow[] = [];
  const splitter = new CsvSplitter(delimiter);
  // Whole lines only, and no more than is looked at.
  const part = text.slice(0, 262_144);
  splitter.push(part, true, rows);
  if (isWhole && part.length === text.length) splitter.end(true, rows);
  return rows.slice(0, SNIFFED_ROWS);
}
