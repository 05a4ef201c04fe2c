import { pino, type DestinationStream, type Logger as PinoLogger } from 'pino';
import { WeftError } from './errors.js';

export type Logger = PinoLogger;

export interface LoggerOptions {
  readonly level: string;
  /** Default: standard output. */
  readonly destination?: DestinationStream;
}

/**
 * Fields that hold secrets or may hold personal data, at the top of a record and one level down. Records are meant to
 * carry counts, codes and ids only; this is the net below that rule.
 */
const REDACTED = [
  'authorization',
  'cookie',
  'password',
  'secret',
  'token',
  'apiKey',
  'writeKey',
  'url',
  'databaseUrl',
  'redisUrl',
  'redisUrls',
  'email',
  'phone',
  'identifier',
  'identifiers',
  'userId',
  'anonymousId',
  'traits',
  'properties',
  'context',
  'payload',
  'body',
  'values',
  'ip',
];

/** JSON lines: `level`, `time` (ms since the epoch), `msg` and the fields given. */
export function createLogger({ level, destination }: LoggerOptions): Logger {
  const options = {
    level,
    base: null,
    formatters: { level: (label: string) => ({ level: label }) },
    redact: { paths: [...REDACTED, ...REDACTED.map((name) => `*.${name}`)], censor: '[redacted]' },
    serializers: { err: describeError, error: describeError },
  };
  return destination === undefined ? pino(options) : pino(options, destination);
}

interface ErrorRecord {
  readonly name: string;
  readonly message?: string;
  readonly code?: string;
  readonly where?: string;
  readonly hint?: string;
  readonly stack?: string;
  readonly cause?: ErrorRecord;
}

const MAX_CAUSES = 5;

/**
 * What may be logged of an error. Its own fields are left out: drivers attach statements, parameters and rows. Of a
 * database's error only those messages are kept that quote our SQL, not its data (SQLSTATE class 42).
 */
export function describeError(error: unknown, depth = 0): ErrorRecord {
  if (!(error instanceof Error)) return { name: typeof error };
  const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined;
  const isSqlState = !(error instanceof WeftError) && code !== undefined && /^[0-9A-Z]{5}$/.test(code);
  const mayQuoteData = isSqlState && !code.startsWith('42');
  const weft = error instanceof WeftError ? error : undefined;
  return {
    name: error.name,
    ...(mayQuoteData ? {} : { message: error.message }),
    ...(code === undefined ? {} : { code }),
    ...(weft?.where === undefined ? {} : { where: weft.where }),
    ...(weft?.hint === undefined ? {} : { hint: weft.hint }),
    ...(error.stack === undefined || mayQuoteData ? {} : { stack: error.stack }),
    ...(error.cause === undefined || depth >= MAX_CAUSES ? {} : { cause: describeError(error.cause, depth + 1) }),
  };
}
