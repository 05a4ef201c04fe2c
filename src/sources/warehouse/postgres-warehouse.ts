import pg from 'pg';

import type { JsonObject } from '../../events/event.model.js';
import { placeOf } from '../../platform/connect-errors.js';
import { WeftError } from '../../platform/errors.js';
import { toSqlError } from '../../platform/sql-errors.js';
import { postgresCell } from './postgres-cell.js';
import type {
  CursorKind,
  PostgresQuery,
  WarehouseColumn,
  WarehouseRow,
  WarehouseSource,
  WindowStart,
} from './warehouse.model.js';

const CONNECT_TIMEOUT_MS = 10_000;
const LOCK_TIMEOUT_MS = 10_000;
/** Beyond its own time-out, for a statement's answer to arrive. */
const SILENCE_TIMEOUT_MS = 5_000;
const FIRST_FETCH_ROWS = 100;
const MAX_FETCH_ROWS = 2_000;
/** Of one fetch, in characters of its rows, by those of the fetch before. */
const FETCH_LENGTH = 4_194_304;

const { builtins } = pg.types;
const CURSOR_KINDS: ReadonlyMap<number, CursorKind> = new Map<number, CursorKind>([
  [builtins.TIMESTAMP, 'time'],
  [builtins.TIMESTAMPTZ, 'time'],
  [builtins.DATE, 'time'],
  [builtins.INT2, 'integer'],
  [builtins.INT4, 'integer'],
  [builtins.INT8, 'integer'],
  [builtins.NUMERIC, 'decimal'],
]);

interface Described {
  readonly columns: readonly WarehouseColumn[];
  readonly typeIds: readonly number[];
  /** SQL name of the type of the cursor column; null without one. */
  readonly cursorType: string | null;
}

/**
 * A query of a PostgreSQL server, read through a cursor of the server in a read-only transaction. A window sees one state
 * of the database, and holds it no longer than reading takes.
 */
export class PostgresWarehouse implements WarehouseSource {
  readonly place: string;
  readonly #url: string;
  readonly #query: PostgresQuery;
  #client: pg.Client | null = null;
  #processId: string | null = null;
  #described: Described | null = null;

  constructor(url: string, query: PostgresQuery) {
    this.#url = url;
    this.#query = query;
    this.place = `${query.urlEnv}, ${placeOf(url)}`;
  }

  async columns(): Promise<readonly WarehouseColumn[]> {
    return (await this.#describe()).columns;
  }

  async settle(last: string, before: string | null): Promise<string> {
    const { cursorType } = await this.#describe();
    if (cursorType === null) return last;
    const greatest = `greatest($1::${cursorType}, $2::${cursorType})`;
    const settled = this.#cursorKind() === 'time' ? `least(${greatest}, now()::${cursorType})` : greatest;
    const [row] = await this.#run(`SELECT ${settled}::text`, [last, before ?? last]);
    return row?.[0] ?? last;
  }

  async close(): Promise<void> {
    const client = this.#client;
    this.#client = null;
    await client?.end();
  }

  async *read(
    start: WindowStart,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<readonly WarehouseRow[], void, undefined> {
    const { columns, typeIds, cursorType } = await this.#describe();
    // A statement that runs for minutes is not waited for. Where it cannot be cancelled, its time-out ends it.
    const stop = (): void => void this.#cancel().catch(() => this.close());
    signal?.throwIfAborted();
    signal?.addEventListener('abort', stop, { once: true });
    try {
      await this.#run('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
      const { text, values } = this.#statement(start, cursorType);
      await this.#run(`DECLARE weft_rows NO SCROLL CURSOR FOR ${text}`, values);
      const readers = typeIds.map(postgresCell);
      let fetchRows = FIRST_FETCH_ROWS;
      for (;;) {
        const found = await this.#run(`FETCH ${String(fetchRows)} FROM weft_rows`);
        signal?.throwIfAborted();
        if (found.length === 0) return;
        let length = 1;
        const rows = found.map((cells): WarehouseRow => {
          const record: JsonObject = {};
          for (const [i, { name }] of columns.entries()) {
            const cell = cells[i] ?? null;
            length += cell?.length ?? 0;
            record[name] = cell === null ? null : (readers[i] ?? String)(cell);
          }
          return { record, cursor: cursorType === null ? null : (cells[columns.length] ?? null) };
        });
        yield rows;
        fetchRows = Math.max(1, Math.min(MAX_FETCH_ROWS, Math.floor((FETCH_LENGTH * found.length) / length)));
      }
    } catch (error) {
      signal?.throwIfAborted();
      throw error;
    } finally {
      signal?.removeEventListener('abort', stop);
      await this.#client?.query('ROLLBACK').catch(() => this.close());
    }
  }

  #statement({ after, overlap }: WindowStart, cursorType: string | null): { text: string; values: string[] } {
    const { query, cursor } = this.#query;
    const from = `FROM (${query}\n) AS weft_query`;
    if (cursor === null || cursorType === null) return { text: `SELECT * ${from}`, values: [] };
    const column = `weft_query.${pg.escapeIdentifier(cursor)}`;
    // NaN is greater than all numbers: nothing would come after it.
    const order = `${this.#cursorKind() === 'decimal' ? `AND ${column} <> 'NaN' ` : ''}ORDER BY ${column}`;
    const select = `SELECT *, ${column}::text AS weft_cursor ${from}`;
    if (after === null) return { text: `${select} WHERE ${column} IS NOT NULL ${order}`, values: [] };
    const isInteger = this.#cursorKind() === 'integer';
    // Before the overlap is taken away, an integer is widened: the smallest of its type may have no room below.
    const place = `$1::${isInteger ? 'int8' : cursorType}`;
    if (overlap === null) return { text: `${select} WHERE ${column} > ${place} ${order}`, values: [after] };
    const [less, value] =
      overlap.kind === 'time'
        ? [`$2::interval`, `${String(overlap.ms)} milliseconds`]
        : [`$2::${isInteger ? 'int8' : 'numeric'}`, String(overlap.count)];
    return { text: `${select} WHERE ${column} > ${place} - ${less} ${order}`, values: [after, value] };
  }

  #cursorKind(): CursorKind | null {
    return this.#described?.columns.find(({ name }) => name === this.#query.cursor)?.cursorKind ?? null;
  }

  async #describe(): Promise<Described> {
    if (this.#described !== null) return this.#described;
    const client = await this.#connected();
    const { query, cursor } = this.#query;
    const { fields } = await this.#send(client, `SELECT * FROM (${query}\n) AS weft_query LIMIT 0`, []);
    const typeIds = fields.map(({ dataTypeID }) => dataTypeID);
    const named = await this.#run(
      `SELECT format_type(id::oid, NULL) FROM unnest(string_to_array($1, ',')) WITH ORDINALITY AS t (id, n) ORDER BY n`,
      [typeIds.join(',')],
    );
    const columns = fields.map(({ name, dataTypeID }, i): WarehouseColumn => ({
      name,
      type: named[i]?.[0] ?? '?',
      cursorKind: CURSOR_KINDS.get(dataTypeID) ?? null,
    }));
    const cursorType = columns.find(({ name }) => name === cursor)?.type ?? null;
    this.#described = { columns, typeIds, cursorType };
    return this.#described;
  }

  async #connected(): Promise<pg.Client> {
    if (this.#client !== null) return this.#client;
    const client = await this.#connect();
    this.#client = client;
    // As SQL, not as start-up options, which poolers in between may refuse.
    for (const [name, value] of Object.entries(SESSION)) await this.#run(`SET SESSION ${name} = '${value}'`);
    const [row] = await this.#run('SELECT pg_backend_pid()::text');
    this.#processId = row?.[0] ?? null;
    return client;
  }

  /** Ends what the server works on, by another connection, as it hears nothing on this one meanwhile. */
  async #cancel(): Promise<void> {
    if (this.#client === null || this.#processId === null) return;
    const other = await this.#connect();
    try {
      await this.#send(other, 'SELECT pg_cancel_backend($1::int4)::text', [this.#processId]);
    } finally {
      await other.end();
    }
  }

  async #connect(): Promise<pg.Client> {
    const { timeoutMs, urlEnv } = this.#query;
    if (!/^postgres(ql)?:\/\//.test(this.#url) || !URL.canParse(this.#url)) throw malformed(urlEnv);
    const client = new pg.Client({
      connectionString: this.#url,
      application_name: 'weft load',
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      statement_timeout: timeoutMs,
      query_timeout: timeoutMs + SILENCE_TIMEOUT_MS,
      lock_timeout: LOCK_TIMEOUT_MS,
      keepAlive: true,
    });
    // A connection that breaks while it is idle is told by the next statement.
    client.on('error', () => undefined);
    try {
      await client.connect();
    } catch (error) {
      const translated = toSqlError(error, this.place);
      // No cause: what the driver says of a URL that it cannot use may quote it.
      throw translated instanceof WeftError ? translated : malformed(urlEnv);
    }
    return client;
  }

  async #run(text: string, values: readonly string[] = []): Promise<(string | null)[][]> {
    return (await this.#send(await this.#connected(), text, values)).rows;
  }

  async #send(client: pg.Client, text: string, values: readonly string[]): Promise<pg.QueryArrayResult<Cells>> {
    try {
      return await client.query<Cells>({
        text,
        values: [...values],
        rowMode: 'array',
        types: TEXTS,
        // One statement, whatever the query of the mapping says.
        queryMode: 'extended',
      } as pg.QueryArrayConfig<string[]>);
    } catch (error) {
      throw queryError(error, this.place);
    }
  }
}

type Cells = (string | null)[];
/** All values as the server writes them. */
const TEXTS = { getTypeParser: () => (text: string) => text } as unknown as pg.CustomTypesConfig;

const SESSION = {
  default_transaction_read_only: 'on',
  TimeZone: 'UTC',
  DateStyle: 'ISO, YMD',
  IntervalStyle: 'iso_8601',
  bytea_output: 'hex',
  extra_float_digits: '1',
} as const;

function malformed(urlEnv: string): WeftError {
  return new WeftError('CONFIG_INVALID', 'the database URL cannot be used', {
    where: urlEnv,
    hint: 'It has the form postgres://user:password@host:5432/database.',
  });
}

/** Messages on names and syntax are told; others may quote values. */
function queryError(error: unknown, place: string): unknown {
  const state = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (error instanceof Error && /^42|^0A/.test(state)) {
    const hint =
      state === '42501'
        ? 'grant SELECT on it to the user of the URL'
        : 'try the query with psql, as part of SELECT * FROM (…) AS rows';
    return new WeftError('BAD_REQUEST', `the database refuses the query: ${error.message}`, {
      where: `from, ${place}`,
      hint,
    });
  }
  if (state === '25006') {
    return new WeftError('BAD_REQUEST', 'the query writes, and a load only reads', {
      where: `from, ${place}`,
      hint: 'leave out what changes tables or calls functions that do',
    });
  }
  if (state === '57014') {
    return new WeftError('UNAVAILABLE', 'the database took longer for the query than it may', {
      where: `from, ${place}`,
      hint: `give it a longer "timeout", or an index on the cursor column`,
    });
  }
  return toSqlError(error, `from, ${place}`);
}

/** @throws WeftError NOT_CONFIGURED where the variable is not set */
export function openPostgresWarehouse(
  query: PostgresQuery,
  readVariable: (name: string) => string | undefined,
): PostgresWarehouse {
  const url = readVariable(query.urlEnv)?.trim() ?? '';
  if (url !== '') return new PostgresWarehouse(url, query);
  throw new WeftError('NOT_CONFIGURED', 'the environment variable that "from" names is not set', {
    where: query.urlEnv,
    hint: `set it where this command runs: export ${query.urlEnv}=postgres://…`,
  });
}
