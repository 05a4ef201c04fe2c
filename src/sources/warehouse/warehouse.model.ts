import { hash } from 'node:crypto';

import type { JsonObject } from '../../events/event.model.js';
import { WeftError } from '../../platform/errors.js';

export const WAREHOUSE_LIMITS = {
  /** Rows that make one load, unless the mapping says otherwise. */
  defaultWindowRows: 100_000,
  maxWindowRows: 10_000_000,
  /** Of the rows of one window as JSON lines, in a temporary file. */
  maxWindowBytes: 21_474_836_480,
  maxOverlapCount: 1_000_000_000,
  defaultTimeoutMs: 600_000,
  maxTimeoutMs: 86_400_000,
} as const;

/** What is read again before the last row that was seen, where the mapping does not say. */
export const DEFAULT_OVERLAP = { timeMs: 600_000, count: 1_000 } as const;

/** The `from` of a mapping. */
export type WarehouseQuery = PostgresQuery | BigQueryQuery | SnowflakeQuery;

export interface PostgresQuery extends RowsQuery {
  readonly kind: 'postgres';
  /** Name of the environment variable that holds the URL. */
  readonly urlEnv: string;
}

export interface BigQueryQuery extends RowsQuery {
  readonly kind: 'bigquery';
  /** Id of the project that runs the query and pays for it. */
  readonly project: string;
  /** Of the data, such as `EU`; null: BigQuery finds it by the tables. */
  readonly location: string | null;
  /** Name of the environment variable with the path of a key file; null: Google's application default credentials. */
  readonly credentialsEnv: string | null;
}

export interface SnowflakeQuery extends RowsQuery {
  readonly kind: 'snowflake';
  /** Identifier of the account, such as `acme-prod`. */
  readonly account: string;
  readonly user: string;
  readonly signIn: SnowflakeSignIn;
  /** Null, here and below: the default of the user. */
  readonly role: string | null;
  /** What runs the query. */
  readonly warehouse: string | null;
  readonly database: string | null;
  readonly schema: string | null;
}

/** Names of environment variables; what they hold is in no file of Weft. */
export type SnowflakeSignIn =
  | { readonly kind: 'key'; readonly keyFileEnv: string; readonly passphraseEnv: string | null }
  | { readonly kind: 'token'; readonly tokenEnv: string }
  | { readonly kind: 'password'; readonly passwordEnv: string };

export interface RowsQuery {
  readonly query: string;
  /** The column by which rows are ordered and read on; null: each load reads all rows. */
  readonly cursor: string | null;
  /** What is read again, because its transaction may have ended late; null: {@link DEFAULT_OVERLAP}. */
  readonly overlap: Overlap | null;
  /** Rows of a window at least, of which the last value of the cursor is read to its end. */
  readonly windowRows: number;
  /** Of one statement, ms. */
  readonly timeoutMs: number;
}

export type Overlap =
  { readonly kind: 'time'; readonly ms: number } | { readonly kind: 'count'; readonly count: number };

/** What values of a cursor column are like; of others, rows cannot be read on. */
export type CursorKind = 'time' | 'integer' | 'decimal';

export interface WarehouseColumn {
  readonly name: string;
  /** In the words of the store, for people. */
  readonly type: string;
  /** Null: it is no column to read on by. */
  readonly cursorKind: CursorKind | null;
}

/** Where a window begins. */
export interface WindowStart {
  /** As the store wrote it, exact to its last digit; null: the first row. */
  readonly after: string | null;
  /** Taken from `after`; null: nothing. */
  readonly overlap: Overlap | null;
}

export interface WarehouseRow {
  readonly record: JsonObject;
  /** The value of the cursor as the store writes it; null where the query has none. */
  readonly cursor: string | null;
}

/**
 * A store that answers queries with rows, such as a data warehouse or an operational database. It is only read.
 *
 * Not in the contract: what rows become, where a load has come to, how often it is run.
 *
 * 1. A window is read in one transaction, or from one result, in memory that does not grow with its rows.
 * 2. Texts of a cursor that it gives order rows as the store does, and are taken back by it without loss.
 * 3. Errors hold neither the URL nor values of rows.
 */
export interface WarehouseSource {
  /** Without secrets: what errors and lists of loads name it by. */
  readonly place: string;
  /** @throws WeftError BAD_REQUEST where the query is refused */
  columns(): Promise<readonly WarehouseColumn[]>;
  /**
   * The rows after a place in batches, in the order of the cursor; those whose cursor is null are left out. Stopping
   * early ends the transaction.
   */
  read(start: WindowStart, signal: AbortSignal | undefined): AsyncGenerator<readonly WarehouseRow[], void, undefined>;
  /**
   * The place to go on from next time, given the last row and the place before: the greater one, but a time is never
   * later than the clock of the store, so that a row dated ahead hides none that come after it.
   */
  settle(last: string, before: string | null): Promise<string>;
  /** Ends the connection; what is asked later opens another one. */
  close(): Promise<void>;
}

/** What names a query, beside the source that its rows go into: another one is read from its first row. */
export function queryHash(from: WarehouseQuery): string {
  return hash('sha256', JSON.stringify([from.kind, ...storeOf(from), from.query, from.cursor]), 'hex');
}

function storeOf(from: WarehouseQuery): readonly (string | null)[] {
  switch (from.kind) {
    case 'postgres':
      return [from.urlEnv];
    case 'bigquery':
      return [from.project, from.location];
    case 'snowflake':
      return [from.account, from.database, from.schema];
  }
}

/**
 * What is read again before a place.
 * @throws WeftError DEFINITION_INVALID where the mapping's is not of the kind of the column
 */
export function overlapOf({ cursor, overlap }: WarehouseQuery, kind: CursorKind): Overlap {
  const isTime = kind === 'time';
  if (overlap === null) {
    return isTime ? { kind: 'time', ms: DEFAULT_OVERLAP.timeMs } : { kind: 'count', count: DEFAULT_OVERLAP.count };
  }
  if ((overlap.kind === 'time') === isTime) return overlap;
  throw new WeftError('DEFINITION_INVALID', `the overlap is not of the kind of the column "${cursor ?? ''}"`, {
    where: 'from.overlap',
    hint: isTime ? 'write a duration such as 10m' : 'write a number such as 1000',
  });
}
