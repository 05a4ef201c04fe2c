import pg from 'pg';

import { placeOf } from '../platform/connect-errors.js';
import { WeftError } from '../platform/errors.js';
import { formatInstant } from '../platform/instant.js';
import { toSqlError } from '../platform/sql-errors.js';
import type { TableTarget } from './people-table.exporter.js';
import { ID_COLUMN, type TableCell, type TableChanges, type TableColumn } from './people-table.model.js';

const CONNECT_TIMEOUT_MS = 10_000;
const LOCK_TIMEOUT_MS = 10_000;
const STATEMENT_TIMEOUT_MS = 120_000;
const MAX_NAME_BYTES = 63;
const VARIABLE = /^[A-Za-z_][A-Za-z0-9_]{0,127}$/;
const OWN_VARIABLE = /^WEFT_/i;
/** A table, with or without its schema. */
const TABLE = /^(?:[a-z_][a-z0-9_]{0,62}\.)?[a-z_][a-z0-9_]{0,62}$/;
/** When a row was last written; older ones go at the end of an export of everything. */
const EXPORTED_AT = '_exported_at';

export interface TablePlace {
  /** Name of the environment variable that holds the URL. */
  readonly urlEnv: string;
  readonly table: string;
}

/** @throws WeftError BAD_REQUEST for a name that cannot be one */
export function checkPlace({ urlEnv, table }: TablePlace): void {
  if (!VARIABLE.test(urlEnv) || OWN_VARIABLE.test(urlEnv)) {
    // A URL here would be a password on the command line: it is not repeated.
    throw new WeftError('BAD_REQUEST', 'the URL of the database is given by the name of an environment variable', {
      where: '--url-env',
      hint: 'name one that is not of Weft itself, as in --url-env CRM_DATABASE_URL',
    });
  }
  if (TABLE.test(table)) return;
  throw new WeftError('BAD_REQUEST', 'this is no name of a table', {
    where: '--table',
    hint: 'use lower-case letters, digits and underscores, as in people or crm.people',
  });
}

/**
 * A table of a PostgreSQL database, made if it is not there, with a row for each profile. Rows are written page by page,
 * each in one statement, and stay whatever comes after.
 */
export class PostgresTable implements TableTarget {
  readonly isDurable = true;
  readonly #client: pg.Client;
  readonly #where: string;
  readonly #table: string;
  readonly #columns: readonly TableColumn[];
  readonly #exportedAt: string;

  private constructor(client: pg.Client, where: string, table: string, columns: readonly TableColumn[], nowMs: number) {
    this.#client = client;
    this.#where = where;
    this.#table = table.split('.').map(pg.escapeIdentifier).join('.');
    this.#columns = [ID_COLUMN, ...columns];
    this.#exportedAt = formatInstant(nowMs);
  }

  /**
   * Connects, and makes the table.
   * @throws WeftError NOT_CONFIGURED, BAD_REQUEST (a table with other columns, a name that is too long), UNAVAILABLE
   */
  static async open(
    place: TablePlace,
    columns: readonly TableColumn[],
    { variable, nowMs }: { readonly variable: (name: string) => string | undefined; readonly nowMs: number },
  ): Promise<PostgresTable> {
    checkPlace(place);
    const { urlEnv, table } = place;
    const long = columns.find(({ name }) => Buffer.byteLength(name) > MAX_NAME_BYTES);
    if (long !== undefined) {
      throw new WeftError('BAD_REQUEST', 'a column of a table has a name of 63 bytes at most', { where: long.name });
    }
    const url = variable(urlEnv);
    if (url === undefined || url === '') {
      throw new WeftError('NOT_CONFIGURED', `the environment variable ${urlEnv} is not set`, {
        where: '--url-env',
        hint: `set it to the URL of the database, as in ${urlEnv}=postgres://user:password@host:5432/database`,
      });
    }
    const where = `${urlEnv}, ${placeOf(url)}`;
    const client = clientOf(url, where);
    // What breaks a connection between two statements is met by the next one.
    client.on('error', () => undefined);
    const made = new PostgresTable(client, where, table, columns, nowMs);
    try {
      await client.connect();
      await made.#make();
    } catch (error) {
      await client.end().catch(() => undefined);
      throw toSqlError(error, where);
    }
    return made;
  }

  async write({ changed, removed }: TableChanges): Promise<void> {
    if (removed.length > 0) {
      await this.#run(`DELETE FROM ${this.#table} WHERE profile_id = ANY ($1::uuid[])`, [removed]);
    }
    if (changed.length === 0) return;
    const names = this.#columns.map(({ name }) => pg.escapeIdentifier(name));
    const set = [...names.slice(1), EXPORTED_AT].map((name) => `${name} = excluded.${name}`).join(', ');
    const typed = this.#columns.map((column, i) => `c${String(i)} ${sqlType(column)}`).join(', ');
    const rows = changed.map(({ profileId, cells }) =>
      Object.fromEntries(
        this.#columns.map((column, i) => [`c${String(i)}`, valueOf([profileId, ...cells][i] ?? null, column)]),
      ),
    );
    await this.#run(
      `INSERT INTO ${this.#table} (${names.join(', ')}, ${EXPORTED_AT})
       SELECT ${this.#columns.map((_, i) => `c${String(i)}`).join(', ')}, $2::timestamptz
       FROM json_to_recordset($1::json) AS t (${typed})
       ON CONFLICT (profile_id) DO UPDATE SET ${set}`,
      [JSON.stringify(rows), this.#exportedAt],
    );
  }

  /** Removes the rows that this export did not write; how many they were. */
  async removeOthers(): Promise<number> {
    const sql = `DELETE FROM ${this.#table} WHERE ${EXPORTED_AT} IS DISTINCT FROM $1::timestamptz`;
    return (await this.#run(sql, [this.#exportedAt])) ?? 0;
  }

  async close(): Promise<void> {
    await this.#client.end().catch(() => undefined);
  }

  async #make(): Promise<void> {
    const [, ...columns] = this.#columns;
    const typed = columns.map((column) => `${pg.escapeIdentifier(column.name)} ${sqlType(column)}`);
    const all = ['profile_id uuid PRIMARY KEY', ...typed, `${EXPORTED_AT} timestamptz NOT NULL`];
    await this.#client.query(`CREATE TABLE IF NOT EXISTS ${this.#table} (${all.join(', ')})`);
    const { fields } = await this.#client.query(`SELECT * FROM ${this.#table} LIMIT 0`);
    const there = new Set(fields.map(({ name }) => name));
    const missing = [ID_COLUMN.name, ...columns.map(({ name }) => name), EXPORTED_AT].filter(
      (name) => !there.has(name),
    );
    if (missing.length === 0) return;
    throw new WeftError('BAD_REQUEST', `the table is there, and has no column ${missing.slice(0, 5).join(', ')}`, {
      where: this.#where,
      hint: 'add the columns, or name another table',
    });
  }

  async #run(text: string, values: readonly unknown[]): Promise<number | null> {
    try {
      return (await this.#client.query(text, [...values])).rowCount;
    } catch (error) {
      throw toSqlError(error, this.#where);
    }
  }
}

function clientOf(url: string, where: string): pg.Client {
  try {
    return new pg.Client({
      connectionString: url,
      application_name: 'weft export',
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      lock_timeout: LOCK_TIMEOUT_MS,
      statement_timeout: STATEMENT_TIMEOUT_MS,
      query_timeout: STATEMENT_TIMEOUT_MS + 5_000,
    });
  } catch {
    // No cause: the error of a malformed URL quotes it, password and all.
    throw new WeftError('CONFIG_INVALID', 'the database URL cannot be used', {
      where,
      hint: 'it has the form postgres://user:password@host:5432/database',
    });
  }
}

const SQL_TYPES: ReadonlyMap<string, string> = new Map([
  ['string', 'text'],
  ['int', 'int8'],
  ['double', 'float8'],
  ['bool', 'boolean'],
  ['timestamp', 'timestamptz'],
]);

/** Lists and maps are JSON. */
function sqlType({ name, type }: TableColumn): string {
  return name === ID_COLUMN.name ? 'uuid' : (SQL_TYPES.get(type) ?? 'jsonb');
}

function valueOf(cell: TableCell, { type }: TableColumn): unknown {
  return type === 'timestamp' && typeof cell === 'number' ? formatInstant(cell) : cell;
}
