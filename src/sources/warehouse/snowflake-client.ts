import type { Readable } from 'node:stream';

/**
 * What is used of Snowflake's client for Node.js (`snowflake-sdk` 3.x, by its public interface). It is described here
 * because the client is no dependency of Weft: {@link importClient} brings it where it is installed.
 */
export interface SnowflakeClient {
  configure(options: SnowflakeSettings): void;
  createConnection(options: SnowflakeOptions): SnowflakeConnection;
}

interface SnowflakeSettings {
  /** At any other level, the client writes a file `snowflake.log` into the folder that it runs in. */
  readonly logLevel: 'OFF';
}

export interface SnowflakeOptions {
  readonly account: string;
  readonly username: string;
  readonly application: string;
  readonly queryTag: string;
  /** Ms without an answer. */
  readonly timeout: number;
  readonly sfRetryMaxLoginRetries: number;
  /** Parts of a result that are fetched ahead. */
  readonly resultPrefetch: number;
  readonly rowStreamHighWaterMark: number;
  /** False: a null that is fetched as a text is null, not `NULL`. */
  readonly representNullAsStringNull: boolean;
  readonly warehouse?: string;
  readonly database?: string;
  readonly schema?: string;
  readonly role?: string;
  readonly authenticator: string;
  readonly password?: string;
  readonly token?: string;
  /** PEM. */
  readonly privateKey?: string;
  /** Of another server than the account's. */
  readonly accessUrl?: string;
}

export interface SnowflakeConnection {
  connect(done: (error: Error | null | undefined) => void): void;
  execute(options: SnowflakeStatementOptions): SnowflakeStatement;
  /** The result of a query that has run, in whatever session of the user. */
  fetchResult(options: Omit<SnowflakeStatementOptions, 'sqlText'> & { readonly queryId: string }): SnowflakeStatement;
  destroy(done: (error: Error | null | undefined) => void): void;
}

export interface SnowflakeStatementOptions {
  readonly sqlText: string;
  readonly binds?: readonly string[];
  /** Compiles it, and does not run it. */
  readonly describeOnly?: boolean;
  readonly streamResult: true;
  readonly rowMode: 'array';
  /** `Object`, `Array` and `Map` are those whose parts have no types; of others the client makes texts that have lost digits. */
  readonly fetchAsString: readonly ('Number' | 'JSON' | 'Object' | 'Array' | 'Map')[];
  readonly complete: (error: Error | null | undefined, statement: SnowflakeStatement) => void;
}

export interface SnowflakeStatement {
  getColumns(): readonly SnowflakeColumn[] | undefined;
  getQueryId(): string;
  /** Of rows that are lists of cells, from an index on, from 0. */
  streamRows(options: { readonly start: number }): Readable;
  cancel(done: (error: Error | null | undefined) => void): void;
}

export interface SnowflakeColumn {
  getName(): string;
  /** In small letters, as `fixed` and `timestamp_ntz`. */
  getType(): string;
  /** Digits after the point. */
  getScale(): number;
  /** Also of `OBJECT`, `ARRAY` and `MAP`, where their parts have no types. */
  isVariant(): boolean;
}

/** A `Date` of the client, exact to the nanosecond. */
export interface SnowflakeDate extends Date {
  getEpochSeconds(): number;
  /** From 0 to 999,999,999, after the second. */
  getNanoSeconds(): number;
}
