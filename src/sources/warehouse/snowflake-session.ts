import type {
  SnowflakeClient,
  SnowflakeConnection,
  SnowflakeOptions,
  SnowflakeStatement,
  SnowflakeStatementOptions,
} from './snowflake-client.js';
import { snowflakeError, type SnowflakeStage } from './snowflake-errors.js';

/** What cells are read from: texts where numbers of JavaScript would lose digits. */
const EXACT = {
  streamResult: true,
  rowMode: 'array',
  fetchAsString: ['Number', 'JSON', 'Object', 'Array', 'Map'],
} as const;

type Asked = Pick<SnowflakeStatementOptions, 'sqlText' | 'binds' | 'describeOnly'>;

/** A session of Snowflake, by promises. Its failures are told by {@link snowflakeError}. */
export class SnowflakeSession {
  private constructor(
    private readonly connection: SnowflakeConnection,
    private readonly place: string,
  ) {}

  /**
   * Signs in, and sets what statements of the session are held to: one at a time, ended by Snowflake after the time-out,
   * with what is not strictly JSON made so.
   * @throws WeftError CONFIG_INVALID or UNAVAILABLE where it cannot
   */
  static async open(
    client: SnowflakeClient,
    options: SnowflakeOptions,
    { place, timeoutMs }: { place: string; timeoutMs: number },
  ): Promise<SnowflakeSession> {
    client.configure({ logLevel: 'OFF' });
    const connection = await new Promise<SnowflakeConnection>((resolve, reject) => {
      const opened = client.createConnection(options);
      opened.connect((error) => {
        if (isNothing(error)) resolve(opened);
        else reject(error);
      });
    }).catch((error: unknown) => {
      throw snowflakeError(error, place, 'signing in');
    });
    const session = new SnowflakeSession(connection, place);
    const seconds = String(Math.ceil(timeoutMs / 1_000));
    try {
      await session.run({
        sqlText:
          `ALTER SESSION SET MULTI_STATEMENT_COUNT = 1, STATEMENT_TIMEOUT_IN_SECONDS = ${seconds}, ` +
          `STATEMENT_QUEUED_TIMEOUT_IN_SECONDS = ${seconds}, STRICT_JSON_OUTPUT = TRUE, ` +
          `TIME_OUTPUT_FORMAT = 'HH24:MI:SS.FF9', BINARY_OUTPUT_FORMAT = 'HEX'`,
      });
    } catch (error) {
      await session.close();
      throw error;
    }
    return session;
  }

  /**
   * Runs a statement to its end.
   * @param signal cancels it where it is running
   */
  run(asked: Asked, signal?: AbortSignal): Promise<SnowflakeStatement> {
    const stage = asked.describeOnly === true ? 'planning' : 'reading';
    return this.#complete(stage, (complete) => this.connection.execute({ ...asked, ...EXACT, complete }), signal);
  }

  /** The result of a query that has run. */
  result(queryId: string): Promise<SnowflakeStatement> {
    return this.#complete('reading', (complete) => this.connection.fetchResult({ queryId, ...EXACT, complete }));
  }

  /**
   * Rows of a result from an index on, in batches.
   * @param batchRows what a batch has at most
   */
  async *rows(
    statement: SnowflakeStatement,
    start: number,
    batchRows: number,
  ): AsyncGenerator<readonly (readonly unknown[])[], void, undefined> {
    const stream = statement.streamRows({ start });
    // Parts that are under way when reading stops may still fail.
    stream.on('error', () => undefined);
    let batch: (readonly unknown[])[] = [];
    try {
      for await (const row of stream) {
        batch.push(row as readonly unknown[]);
        if (batch.length < batchRows) continue;
        yield batch;
        batch = [];
      }
    } catch (error) {
      throw snowflakeError(error, this.place, 'reading');
    } finally {
      stream.destroy();
    }
    if (batch.length > 0) yield batch;
  }

  /** Ends the session. Where Snowflake cannot be told, it ends it by itself. */
  close(): Promise<void> {
    return new Promise((resolve) => {
      this.connection.destroy(() => {
        resolve();
      });
    });
  }

  async #complete(
    stage: SnowflakeStage,
    begin: (complete: SnowflakeStatementOptions['complete']) => SnowflakeStatement,
    signal?: AbortSignal,
  ): Promise<SnowflakeStatement> {
    let statement: SnowflakeStatement | undefined;
    // What Snowflake still works on is not waited for. Where it cannot be cancelled, its time-out ends it.
    const stop = (): void => statement?.cancel(() => undefined);
    try {
      return await new Promise<SnowflakeStatement>((resolve, reject) => {
        signal?.addEventListener('abort', stop, { once: true });
        statement = begin((error, completed) => {
          if (isNothing(error)) resolve(completed);
          else reject(error);
        });
      });
    } catch (error) {
      signal?.throwIfAborted();
      throw snowflakeError(error, this.place, stage);
    } finally {
      signal?.removeEventListener('abort', stop);
    }
  }
}

/** The client says so in both ways. */
function isNothing(error: Error | null | undefined): error is null | undefined {
  return error === null || error === undefined;
}
