import type { JsonValue } from '../events/event.model.js';
import { WeftError } from '../platform/errors.js';
import { ANYTHING, hierarchyOf, textOf, type Hierarchy } from './generalise.model.js';

export interface AnonymiseOptions {
  /** Each person is like at least `k - 1` others in all columns of `quasi`. At least 2. */
  readonly k: number;
  /** Columns by which somebody could be recognised together, as age and postcode. */
  readonly quasi: readonly string[];
  /** Columns that are left out. */
  readonly drop: readonly string[];
  /** Share of the rows that may be left out to lose less of the others, 0…1. */
  readonly maxSuppressedShare: number;
}

export interface Table {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly JsonValue[])[];
}

/** What a column lost. */
export interface ColumnLoss {
  readonly column: string;
  readonly kind: Hierarchy['kind'];
  /** 0: nothing, up to `levels`: everything. */
  readonly level: number;
  readonly levels: number;
  /** Different values before and after. */
  readonly distinctBefore: number;
  readonly distinctAfter: number;
}

export interface AnonymiseReport {
  readonly k: number;
  readonly rows: number;
  /** Rows that were left out because too few were like them. */
  readonly suppressedRows: number;
  readonly dropped: readonly string[];
  readonly columns: readonly ColumnLoss[];
  /** Groups of rows that are alike, and the size of the smallest; 0 where no row is left. */
  readonly groups: number;
  readonly smallestGroup: number;
}

/**
 * k-anonymity by full-domain generalisation and suppression: while too many rows are in groups of fewer than k, the column
 * with the most different values says one level less; then the rows that are left in such groups go. (L. Sweeney,
 * "Achieving k-anonymity privacy protection using generalization and suppression", 2002, algorithm Datafly.)
 *
 * It hides who somebody is, not what a group has in common: where all of a group share a value of another column, that
 * is told of each of them.
 *
 * @throws WeftError BAD_REQUEST for columns that are not there, and a k that is none
 */
export function anonymise(table: Table, options: AnonymiseOptions): { table: Table; report: AnonymiseReport } {
  check(table, options);
  const { k, quasi, drop, maxSuppressedShare } = options;
  const indexes = quasi.map((column) => table.columns.indexOf(column));
  const columns = indexes.map((index) => new GeneralisedColumn(table.rows.map((row) => row[index] ?? null)));
  const allowed = Math.floor(table.rows.length * maxSuppressedShare);
  let groups = groupsOf(columns, table.rows.length);
  while (rowsBelow(groups, k) > allowed) {
    const next = columns.filter((column) => column.canRise).sort((a, b) => b.distinct - a.distinct)[0];
    if (next === undefined) break;
    next.rise();
    groups = groupsOf(columns, table.rows.length);
  }
  const isKept = new Array<boolean>(table.rows.length).fill(false);
  const kept = [...groups.values()].filter((members) => members.length >= k);
  for (const members of kept) for (const row of members) isKept[row] = true;
  const keptColumns = table.columns.flatMap((name, index) => (drop.includes(name) ? [] : [{ name, index }]));
  const rows = table.rows.flatMap((row, i) =>
    isKept[i] === true
      ? [keptColumns.map(({ index }) => columns[indexes.indexOf(index)]?.values[i] ?? row[index] ?? null)]
      : [],
  );
  return {
    table: { columns: keptColumns.map(({ name }) => name), rows },
    report: {
      k,
      rows: rows.length,
      suppressedRows: table.rows.length - rows.length,
      dropped: drop,
      columns: columns.map((column, i) => column.loss(quasi[i] ?? '')),
      groups: kept.length,
      smallestGroup: kept.reduce((least, { length }) => Math.min(least, length), rows.length),
    },
  };
}

class GeneralisedColumn {
  readonly #raw: readonly JsonValue[];
  readonly #hierarchy: Hierarchy;
  readonly #distinctBefore: number;
  #level = 0;
  values: readonly string[];
  distinct: number;

  constructor(raw: readonly JsonValue[]) {
    this.#raw = raw;
    this.#hierarchy = hierarchyOf(raw);
    this.values = raw.map(textOf);
    this.distinct = this.#distinctBefore = new Set(this.values).size;
  }

  get canRise(): boolean {
    return this.#level < this.#hierarchy.top;
  }

  rise(): void {
    this.#level++;
    this.values = this.#raw.map((value) => this.#hierarchy.at(value, this.#level));
    this.distinct = new Set(this.values).size;
  }

  loss(column: string): ColumnLoss {
    const { kind, top: levels } = this.#hierarchy;
    return {
      column,
      kind,
      level: this.#level,
      levels,
      distinctBefore: this.#distinctBefore,
      distinctAfter: this.distinct,
    };
  }
}

/** Indexes of rows that are alike, by what they are alike in. */
function groupsOf(columns: readonly GeneralisedColumn[], rows: number): Map<string, number[]> {
  const groups = new Map<string, number[]>();
  for (let row = 0; row < rows; row++) {
    const key = JSON.stringify(columns.map(({ values }) => values[row] ?? ANYTHING));
    const members = groups.get(key);
    if (members === undefined) groups.set(key, [row]);
    else members.push(row);
  }
  return groups;
}

function rowsBelow(groups: ReadonlyMap<string, readonly number[]>, k: number): number {
  let rows = 0;
  for (const { length } of groups.values()) if (length < k) rows += length;
  return rows;
}

function check({ columns }: Table, { k, quasi, drop }: AnonymiseOptions): void {
  const bad = (message: string, where: string, hint: string): WeftError =>
    new WeftError('BAD_REQUEST', message, { where, hint });
  if (!Number.isInteger(k) || k < 2) throw bad('k is no whole number from 2 on', 'k', 'write k=5');
  for (const [where, names] of [
    ['quasi', quasi],
    ['drop', drop],
  ] as const) {
    const unknown = names.find((name) => !columns.includes(name));
    if (unknown === undefined) continue;
    throw bad(`there is no column ${unknown}`, where, `the columns are ${columns.join(', ')}`);
  }
  const both = quasi.find((name) => drop.includes(name));
  if (both !== undefined) throw bad(`${both} is both to be dropped and to be generalised`, 'drop', 'name it once');
}
