import { WeftError } from '../platform/errors.js';
import { nearestName } from '../platform/near-names.js';
import { betterDelimiter, delimiterHint, headerMisfit } from './file-misfit.js';
import { columnsOf, type Mapping } from './mapping.model.js';

/**
 * Looks for the columns of records, which a name or the first part of a path names.
 * @throws WeftError BAD_REQUEST naming every column that there is not, or more than once
 */
export function checkColumns(mapping: Mapping, header: readonly string[]): void {
  const known = new Set(header);
  const repeated = new Set(header.filter((name, i) => header.indexOf(name) !== i));
  const problems = columnsOf(mapping).flatMap((column) => {
    const name = known.has(column) ? column : (column.split('.')[0] ?? '');
    // Of a query, as of a join: only one of them would be read.
    if (repeated.has(name)) return [`column "${name}" occurs more than once; name one of them otherwise, with AS`];
    return known.has(name) ? [] : [missingColumn(column, header)];
  });
  if (problems.length === 0) return;
  throw new WeftError('BAD_REQUEST', `the file does not fit the mapping:\n  ${problems.join('\n  ')}`, {
    hint: `the columns are ${header.slice(0, 50).join(', ')}`,
  });
}

function missingColumn(column: string, header: readonly string[]): string {
  const near = nearestName(column, header);
  return `no column "${column}"${near === undefined ? '' : `; did you mean "${near}"?`}`;
}

/**
 * Where each column of a CSV file stands.
 * @throws WeftError BAD_REQUEST naming every column that the header lacks
 */
export function indexColumns(mapping: Mapping, header: readonly string[]): Map<string, number> {
  const index = new Map<string, number>();
  const repeated = new Set<string>();
  for (const [i, column] of header.entries()) {
    if (index.has(column)) repeated.add(column);
    else index.set(column, i);
  }
  const columns = columnsOf(mapping);
  const problems = columns.flatMap((column) => {
    if (repeated.has(column)) return [`column "${column}" occurs more than once`];
    return index.has(column) ? [] : [missingColumn(column, header)];
  });
  if (problems.length === 0) return index;
  const delimiter = betterDelimiter(header, columns, mapping.delimiter);
  if (delimiter !== null) {
    const message = `the mapping splits the header at ${JSON.stringify(mapping.delimiter)}; the file has another delimiter`;
    throw new WeftError('BAD_REQUEST', message, { where: 'row 1', hint: delimiterHint(delimiter) });
  }
  const isForeign = !columns.some((column) => index.has(column));
  const noHeader = isForeign ? '; if this is a row of data, name the columns in "header" of the mapping' : '';
  throw new WeftError('BAD_REQUEST', `the header does not fit the mapping:\n  ${problems.join('\n  ')}`, {
    where: 'row 1',
    hint: headerMisfit(header) ?? `the columns are ${header.slice(0, 50).join(', ')}${noHeader}`,
  });
}
