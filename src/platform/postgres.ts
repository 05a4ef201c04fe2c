import { readdir } from 'node:fs/promises';
import pg from 'pg';
import { DataSource, type MigrationInterface } from 'typeorm';
import { demandServerVersion, toConnectError, type ServerVersion } from './connect-errors.js';
import { WeftError } from './errors.js';
import { Session } from './session.js';
import { SqlError, toSqlError } from './sql-errors.js';

const STATEMENT_TIMEOUT_MS = 30_000;
/** Beyond its own time-out, for a statement's answer to arrive. */
const SILENCE_TIMEOUT_MS = 5_000;
const MIGRATION_LOCK_TIMEOUT_MS = 24 * 60 * 60 * 1_000;
const IDLE_IN_TRANSACTION_TIMEOUT_MS = 30_000;
const TRANSACTION_TIMEOUT_MS = 30_000;
const CONNECT_TIMEOUT_MS = 10_000;
/** Key of the advisory lock that keeps two processes from migrating at once; any number, the same in each release. */
const MIGRATION_LOCK = 7_729_114_203;

/** SQLSTATE of every statement behind one that failed. */
const TRANSACTION_ABORTED = '25P02';

type EntityClass = new () => object;
type PostgresOptions = Omit<Extract<DataSource['options'], { type: 'postgres' }>, 'extra'> & {
  readonly extra?: object;
};

export interface DataSourceOptions {
  readonly entities?: readonly EntityClass[];
  /** Connections at most. */
  readonly poolSize?: number;
  /** Shown in pg_stat_activity. */
  readonly applicationName?: string;
  readonly statementTimeoutMs?: number;
}

/** A statement that is parsed and planned once per connection. Equal names must have equal texts. */
export interface PreparedStatement {
  readonly name: string;
  readonly text: string;
  readonly values?: readonly unknown[];
}

export interface SqlResult<Row> {
  readonly rows: Row[];
  /** Rows returned or changed. */
  readonly rowCount: number;
}

/**
 * What runs SQL: the pool or one transaction. `int8` arrives as number (outside the safe range: an error), `bytea` as
 * Buffer, `numeric` as text (cast sums of bigint to int8), `jsonb` parsed. Row types are the caller's claim, not checked.
 * Failures of the database are {@link SqlError}s.
 */
export interface Queryable {
  query<Row>(text: string, values?: readonly unknown[]): Promise<Row[]>;
  /** The number of rows changed. */
  execute(text: string, values?: readonly unknown[]): Promise<number>;
  run<Row>(statement: PreparedStatement): Promise<SqlResult<Row>>;
}

export interface TransactionOptions {
  /** Default READ COMMITTED. */
  readonly isolation?: 'REPEATABLE READ' | 'SERIALIZABLE';
  readonly readOnly?: boolean;
  /** Past this the connection is closed and the transaction rolled back. Default 30 s. */
  readonly timeoutMs?: number;
  /** Of one statement in it. Default: as of all others, 30 s. */
  readonly statementTimeoutMs?: number;
}

/**
 * A TypeORM DataSource over PostgreSQL with every migration of `migrations/`; not yet connected.
 * `Database.open` connects it.
 */
export async function createDataSource(url: string, options: DataSourceOptions = {}): Promise<DataSource> {
  return new DataSource({
    type: 'postgres',
    url,
    entities: [...(options.entities ?? [])],
    migrations: await loadMigrations(),
    migrationsTransactionMode: 'all',
    installExtensions: false,
    applicationName: options.applicationName ?? 'weft',
    poolSize: options.poolSize ?? 10,
    connectTimeoutMS: CONNECT_TIMEOUT_MS,
    // A broken idle connection is replaced at the next checkout; without a handler it would end the process.
    poolErrorHandler: () => undefined,
    extra: {
      types: { getTypeParser },
      // See `Transaction`: the driver sends statements without waiting for the answers to those before.
      pipeline: true,
      keepAlive: true,
      statement_timeout: options.statementTimeoutMs ?? STATEMENT_TIMEOUT_MS,
      idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_TIMEOUT_MS,
      // For a server that is gone without a word, which ends no statement; then the driver ends the connection.
      query_timeout: (options.statementTimeoutMs ?? STATEMENT_TIMEOUT_MS) + SILENCE_TIMEOUT_MS,
    },
  });
}

/** The connection pool of a DataSource, and the only way to transactions. */
export class Database implements Queryable {
  readonly #pool: pg.Pool;

  private constructor(readonly dataSource: DataSource) {
    this.#pool = poolOf(dataSource);
    listenWhileTaken(this.#pool);
  }

  /**
   * Connects and checks the server.
   * @throws WeftError CONFIG_INVALID (server too old, wrong password, no such database), UNAVAILABLE (no answer)
   */
  static async open(dataSource: DataSource): Promise<Database> {
    try {
      if (!dataSource.isInitialized) await dataSource.initialize();
    } catch (error) {
      throw toConnectError(error, dataSource);
    }
    const database = new Database(dataSource);
    try {
      await database.#checkServer();
    } catch (error) {
      await database.close();
      throw error;
    }
    return database;
  }

  async query<Row>(text: string, values?: readonly unknown[]): Promise<Row[]> {
    return (await send<Row>(this.#pool, { text }, values)).rows;
  }

  async execute(text: string, values?: readonly unknown[]): Promise<number> {
    return (await send(this.#pool, { text }, values)).rowCount;
  }

  async run<Row>(statement: PreparedStatement): Promise<SqlResult<Row>> {
    return send<Row>(this.#pool, { name: statement.name, text: statement.text }, statement.values);
  }

  /**
   * Runs `work` in one transaction: committed when it resolves, rolled back when it throws. When this resolves, the
   * COMMIT was confirmed; when it rejects with UNAVAILABLE, the outcome is unknown, as always with a lost connection.
   * It never settles before `work` does: what goes on after the time is up could change what the next attempt works with.
   */
  async transaction<T>(work: (tx: Transaction) => Promise<T>, options: TransactionOptions = {}): Promise<T> {
    const lease = await this.#lease(options.timeoutMs ?? TRANSACTION_TIMEOUT_MS);
    const { statementTimeoutMs } = options;
    const tx = new Transaction(lease.client, statementTimeoutMs);
    let working: Promise<unknown> = Promise.resolve();
    try {
      await lease.client.query(beginStatement(options));
      if (statementTimeoutMs !== undefined) {
        await lease.client.query(`SET LOCAL statement_timeout = ${String(statementTimeoutMs)}`);
      }
      const running = work(tx);
      working = running;
      const result = await Promise.race([running, lease.expired]);
      tx.close();
      const { command } = await lease.client.query('COMMIT');
      // PostgreSQL answers COMMIT of a failed transaction with ROLLBACK and no error.
      if (command !== 'COMMIT') {
        throw new WeftError('INTERNAL', 'the transaction was rolled back', {
          hint: 'A statement in it failed and its error was swallowed; let it reach the transaction.',
        });
      }
      lease.release(false);
      return result;
    } catch (error) {
      tx.close();
      await lease.rollback();
      await working.catch(ignore);
      throw toSqlError(error);
    }
  }

  /** Takes a connection out of the pool for as long as the session lasts. */
  async session(onLost: () => void): Promise<Session> {
    return new Session(await this.#connect(), onLost);
  }

  /** Brings the schema up to date; safe to call from several processes at once. Returns the names of what ran. */
  async runMigrations(): Promise<string[]> {
    const client = await this.#connect();
    try {
      await client.query('SET statement_timeout = 0');
      const lock: pg.QueryConfig & { query_timeout: number } = {
        text: 'SELECT pg_advisory_lock($1)',
        values: [MIGRATION_LOCK],
        // It waits for other processes to migrate.
        query_timeout: MIGRATION_LOCK_TIMEOUT_MS,
      };
      await client.query(lock);
      return await this.#migrate();
    } catch (error) {
      throw toSqlError(error, 'migrations');
    } finally {
      // Closing the session frees the lock, whatever happened.
      client.release(true);
    }
  }

  /** On connections of its own: what a grown installation has to do once may take longer than any statement may later. */
  async #migrate(): Promise<string[]> {
    const options = this.dataSource.options as PostgresOptions;
    const extra = { ...options.extra, statement_timeout: 0, idle_in_transaction_session_timeout: 0, query_timeout: 0 };
    const patient = await new DataSource({ ...options, entities: [], poolSize: 1, extra }).initialize();
    try {
      return (await patient.runMigrations()).map((migration) => migration.name);
    } finally {
      await patient.destroy();
    }
  }

  /** Names of migrations, in order: those that have not run here yet, and those that ran but are not of this program. */
  async migrationState(): Promise<{ pending: string[]; unknown: string[] }> {
    const [table] = await this.query<{ name: string | null }>(`SELECT to_regclass('migrations')::text AS name`);
    const rows =
      table?.name == null ? [] : await this.query<{ name: string }>('SELECT name FROM migrations ORDER BY id');
    const ran = rows.map(({ name }) => name);
    const known = this.dataSource.migrations.map((made) => made.name ?? (made.constructor as MigrationClass).name);
    return {
      pending: known.filter((name) => !ran.includes(name)),
      unknown: ran.filter((name) => !known.includes(name)),
    };
  }

  /** Waits for running statements, then closes every connection. */
  async close(): Promise<void> {
    if (this.dataSource.isInitialized) await this.dataSource.destroy();
  }

  /** Connections now: open, idle, and callers waiting for one. */
  poolStatus(): { total: number; idle: number; waiting: number } {
    return { total: this.#pool.totalCount, idle: this.#pool.idleCount, waiting: this.#pool.waitingCount };
  }

  async #checkServer(): Promise<void> {
    const [row] = await this.query<ServerVersion>(
      `SELECT current_setting('server_version_num')::int AS num, current_setting('server_version') AS version`,
    );
    demandServerVersion(row);
  }

  async #connect(): Promise<pg.PoolClient> {
    try {
      return await this.#pool.connect();
    } catch (error) {
      throw toSqlError(error);
    }
  }

  async #lease(timeoutMs: number): Promise<Lease> {
    return new Lease(await this.#connect(), timeoutMs);
  }
}

/** One checked-out connection that is given back exactly once, at the latest when its time is up. */
class Lease {
  /** Rejects when the time is up; the connection is closed by then. */
  readonly expired: Promise<never>;
  #released = false;
  readonly #timer: NodeJS.Timeout;

  constructor(
    readonly client: pg.PoolClient,
    timeoutMs: number,
  ) {
    const { promise, reject } = deferred();
    this.expired = promise;
    this.#timer = setTimeout(() => {
      cutOff(this.client);
      this.release(true);
      reject(transactionTimeout(timeoutMs));
    }, timeoutMs);
  }

  release(destroy: boolean): void {
    if (this.#released) return;
    this.#released = true;
    clearTimeout(this.#timer);
    this.client.release(destroy);
  }

  async rollback(): Promise<void> {
    if (this.#released) return;
    await this.client.query('ROLLBACK').then(
      () => {
        this.release(false);
      },
      () => {
        this.release(true);
      },
    );
  }
}

/**
 * SQL bound to one open transaction; refuses to run once the transaction is over. Statements begun without awaiting each
 * other are sent at once and run in that order, which saves a round trip each; if one fails, so do those behind it.
 */
export class Transaction implements Queryable {
  #open = true;
  /** What made every statement after it fail. */
  #failure: SqlError | null = null;

  /** @param statementTimeoutMs what the server is told, where it is not what all others have */
  constructor(
    private readonly client: pg.PoolClient,
    private readonly statementTimeoutMs?: number,
  ) {}

  async query<Row>(text: string, values?: readonly unknown[]): Promise<Row[]> {
    return (await this.#send<Row>({ text }, values)).rows;
  }

  async execute(text: string, values?: readonly unknown[]): Promise<number> {
    return (await this.#send({ text }, values)).rowCount;
  }

  async run<Row>(statement: PreparedStatement): Promise<SqlResult<Row>> {
    return this.#send<Row>({ name: statement.name, text: statement.text }, statement.values);
  }

  /** Of statements under way together, whichever error is looked at first is that of the statement to blame. */
  async #send<Row>(
    statement: { name?: string; text: string },
    values: readonly unknown[] | undefined,
  ): Promise<SqlResult<Row>> {
    const { statementTimeoutMs: allowedMs } = this;
    const patient =
      allowedMs === undefined ? statement : { ...statement, query_timeout: allowedMs + SILENCE_TIMEOUT_MS };
    try {
      return await send<Row>(this.#live(), patient, values);
    } catch (error) {
      if (!(error instanceof SqlError)) throw error;
      this.#failure ??= error;
      throw error.sqlState === TRANSACTION_ABORTED ? this.#failure : error;
    }
  }

  close(): void {
    this.#open = false;
  }

  #live(): pg.PoolClient {
    if (!this.#open) {
      throw new WeftError('INTERNAL', 'this transaction is over', {
        hint: 'Await every statement before the callback of transaction() returns.',
      });
    }
    return this.client;
  }
}

async function send<Row>(
  target: pg.Pool | pg.PoolClient,
  statement: { name?: string; text: string; query_timeout?: number },
  values: readonly unknown[] | undefined,
): Promise<SqlResult<Row>> {
  try {
    const result = await target.query(values === undefined ? statement : { ...statement, values: values as unknown[] });
    return { rows: result.rows as Row[], rowCount: result.rowCount ?? 0 };
  } catch (error) {
    throw toSqlError(error);
  }
}

/** Ends a connection at once: by itself, one that pipelines waits for the answers to all that it has sent. */
function cutOff(client: pg.PoolClient): void {
  const { connection } = client as unknown as { connection: { stream: { destroy(): void } } };
  connection.stream.destroy();
}

function beginStatement({ isolation, readOnly }: TransactionOptions): string {
  return `BEGIN${isolation === undefined ? '' : ` ISOLATION LEVEL ${isolation}`}${readOnly === true ? ' READ ONLY' : ''}`;
}

function transactionTimeout(timeoutMs: number): SqlError {
  const state = { sqlState: '25P04', constraint: null, retryable: true };
  return new SqlError('UNAVAILABLE', `a transaction took longer than ${String(timeoutMs)} ms`, state, {
    hint: 'Do less in one transaction.',
    retryAfterMs: 1_000,
  });
}

/** TypeORM types the pool of its driver as `any`. */
function poolOf(dataSource: DataSource): pg.Pool {
  const { master } = dataSource.driver as unknown as { master: unknown };
  if (master instanceof pg.Pool) return master;
  throw new WeftError('INTERNAL', 'the DataSource has no PostgreSQL pool');
}

/**
 * The pool hears the errors of its idle connections alone, and an unheard 'error' event would end the process. Whoever
 * takes a connection listens too late: the server's farewell may be in the very packet that made the connection ready.
 */
function listenWhileTaken(pool: pg.Pool): void {
  pool.on('acquire', (client) => client.on('error', ignore));
  pool.on('release', (_error, client) => client.removeListener('error', ignore));
}

function ignore(): void {
  // The statement in flight rejects with the same error.
}

function deferred(): { promise: Promise<never>; reject: (reason: Error) => void } {
  let reject: (reason: Error) => void = ignore;
  const promise = new Promise<never>((_, rejectPromise) => {
    reject = rejectPromise;
  });
  promise.catch(ignore);
  return { promise, reject };
}

const INT8 = 20;
const INT8_ARRAY = 1016;

function parseInt8(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) {
    throw new WeftError('INTERNAL', 'a bigint is outside the range that a number holds exactly');
  }
  return value;
}

/** One dimension, no nulls: all that our tables hold. */
function parseInt8Array(text: string): number[] {
  return text === '{}' ? [] : text.slice(1, -1).split(',').map(parseInt8);
}

type TypeParser = (oid: number, format: 'text' | 'binary') => unknown;

/** node-postgres declares the parameter as one of the types it knows; the server sends any number. */
const defaultTypeParser = pg.types.getTypeParser as TypeParser;

const getTypeParser: TypeParser = (oid, format) => {
  if (format !== 'binary') {
    if (oid === INT8) return parseInt8;
    if (oid === INT8_ARRAY) return parseInt8Array;
  }
  return defaultTypeParser(oid, format);
};

type MigrationClass = new () => MigrationInterface;

/** The migrations beside the program, as source or as built, in the order of their timestamps. */
async function loadMigrations(): Promise<MigrationClass[]> {
  const folder = new URL('../../migrations/', import.meta.url);
  const files = (await readdir(folder)).filter((file) => /^\d+-.+\.(?:ts|js)$/.test(file) && !file.endsWith('.d.ts'));
  const modules = await Promise.all(
    files.sort().map((file) => import(new URL(file, folder).href) as Promise<Record<string, unknown>>),
  );
  return modules.flatMap((module) =>
    Object.values(module).filter((value) => typeof value === 'function'),
  ) as MigrationClass[];
}
