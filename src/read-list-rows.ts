import { WeftError } from './platform/errors.js';
import type { RawIdentifier } from './events/event.model.js';
import type { SourceRow } from './sources/row.model.js';

/** Columns of a list whose rows name the namespace themselves. */
const PAIR = ['namespace', 'value'] as const;
const NAMESPACE = /^[a-z][a-z0-9_]{0,62}$/;

/** What a row of a list names, or why it cannot be read. */
export type ListRow =
  | { readonly number: number; readonly identifiers: readonly RawIdentifier[] }
  | { readonly number: number; readonly fault: string };

export type ReadListRow = (row: SourceRow) => ListRow;

/**
 * How rows of a list are read: each column is a namespace, each value that is not empty an identifier by itself; or the
 * columns are `namespace` and `value`. Values of one row are not taken for one person's: who is who is told by events.
 * @param header the columns; null: each row is an object with its own
 * @param by the columns that are identifiers; null: all are
 * @param known namespaces that need not be named by `by`
 * @throws WeftError BAD_REQUEST for columns that are no namespaces
 */
export function listRowReader(
  header: readonly string[] | null,
  by: readonly string[] | null,
  known: ReadonlySet<string>,
): ReadListRow {
  const namespaceOf = namespaceReader(known);
  const named = header?.map(namespaceOf) ?? null;
  const chosen = by?.map(namespaceOf) ?? null;
  for (const [i, name] of (chosen ?? []).entries()) {
    if (named !== null && !named.includes(name)) {
      throw new WeftError('BAD_REQUEST', `the file has no column ${by?.[i] ?? name}`, {
        where: '--by',
        hint: `its columns are ${(header ?? []).slice(0, MAX_NAMED).join(', ')}`,
      });
    }
    if (!NAMESPACE.test(name)) throw misnamed(`${name} is no namespace`, known);
  }
  const isPairs = chosen === null && named !== null && PAIR.every((name) => named.includes(name));
  if (named !== null && chosen === null && !isPairs) {
    const other = named.find((name) => !known.has(name));
    if (other !== undefined) throw misnamed(`the column "${other.slice(0, MAX_COLUMN)}" is no known namespace`, known);
  }
  const columns = chosen ?? (named === null || isPairs ? null : named);
  const twice = (columns ?? PAIR).find((name) => named !== null && named.indexOf(name) !== named.lastIndexOf(name));
  if (twice !== undefined) {
    throw new WeftError('BAD_REQUEST', `two columns of the file are the ${twice}`, {
      where: 'header',
      hint: 'name one of them otherwise, or say by --by which columns are identifiers',
    });
  }
  return (row) => {
    const { number, fault } = row;
    if (fault !== null) return { number, fault: fault.reason };
    const cells = cellsOf(row, named, namespaceOf);
    if (isPairs || (columns === null && PAIR.every((name) => cells.has(name)))) return pairOf(number, cells);
    const names = columns ?? [...cells.keys()];
    const foreign = columns === null ? names.find((name) => !known.has(name)) : undefined;
    if (foreign !== undefined) return { number, fault: `${foreign.slice(0, MAX_COLUMN)} is no known namespace` };
    const identifiers = names.flatMap((ns) => {
      const value = cells.get(ns)?.trim() ?? '';
      return value === '' ? [] : [{ ns, value }];
    });
    return identifiers.length === 0 ? { number, fault: 'it names nobody' } : { number, identifiers };
  };
}

const MAX_NAMED = 20;
const MAX_COLUMN = 100;
/** Headings whose namespaces are kept; objects may have others in each row. */
const MAX_HEADINGS = 1_000;

function pairOf(number: number, cells: ReadonlyMap<string, string>): ListRow {
  const [ns, value] = PAIR.map((name) => cells.get(name)?.trim() ?? '') as [string, string];
  if (!NAMESPACE.test(ns)) return { number, fault: 'its namespace is none' };
  return value === '' ? { number, fault: 'it names nobody' } : { number, identifiers: [{ ns, value }] };
}

/** Numbers are texts, as ids that are numbers in JSON. */
function cellsOf(
  { cells, record }: SourceRow,
  header: readonly string[] | null,
  namespaceOf: (heading: string) => string,
): Map<string, string> {
  if (cells !== null) return new Map((header ?? []).map((name, i) => [name, cells[i] ?? '']));
  return new Map(
    Object.entries(record ?? {}).flatMap(([name, value]) =>
      typeof value === 'string' || typeof value === 'number' ? [[namespaceOf(name), String(value)] as const] : [],
    ),
  );
}

/**
 * What a heading calls a column: people write `Email`, `E-Mail` and `User ID` for `email` and `user_id`. Of those that are
 * no known namespace it is the heading itself.
 */
function namespaceReader(known: ReadonlySet<string>): (heading: string) => string {
  const byLetters = new Map([...known, ...PAIR].map((name) => [lettersOf(name), name]));
  const read = new Map<string, string>();
  return (heading) => {
    const before = read.get(heading);
    if (before !== undefined) return before;
    const name = known.has(heading) ? heading : (byLetters.get(lettersOf(heading)) ?? heading);
    if (read.size < MAX_HEADINGS) read.set(heading, name);
    return name;
  };
}

function lettersOf(name: string): string {
  return name.toLowerCase().replace(/[^\p{L}\p{N}]/gu, '');
}

function misnamed(message: string, known: ReadonlySet<string>): WeftError {
  const some = [...known].sort().slice(0, MAX_NAMED).join(', ');
  return new WeftError('BAD_REQUEST', message, {
    where: 'header',
    hint: `call columns by their namespaces (${some}), or name those that are by --by email,crm_id`,
  });
}
