import { WeftError, type ErrorCode, type ErrorOptions } from './errors.js';

/** A failure of the database, translated once. The original error, which may quote data, is only in `cause`. */
export class SqlError extends WeftError {
  /** SQLSTATE (PostgreSQL Appendix A), or the errno of a broken connection such as `ECONNRESET`. */
  readonly sqlState: string;
  /** Name of the violated constraint or unique index; null if none is involved. */
  readonly constraint: string | null;
  /** True where the same transaction may well succeed if it is run again from its start. */
  readonly retryable: boolean;

  constructor(code: ErrorCode, message: string, state: SqlState, options: ErrorOptions) {
    super(code, message, options);
    this.sqlState = state.sqlState;
    this.constraint = state.constraint;
    this.retryable = state.retryable;
  }
}

interface SqlState {
  readonly sqlState: string;
  readonly constraint: string | null;
  readonly retryable: boolean;
}

interface Rule {
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint?: string;
  readonly retryable?: true;
  readonly retryAfterMs?: number;
}

const unavailable = (message: string, hint?: string): Rule => ({
  code: 'UNAVAILABLE',
  message,
  retryable: true,
  retryAfterMs: 1_000,
  ...(hint === undefined ? {} : { hint }),
});

/** By SQLSTATE, else by its class (the first two characters). Anything else is a defect of ours. */
const RULES: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  ['23505', { code: 'CONFLICT', message: 'a row with this unique value exists already' }],
  ['23503', { code: 'CONFLICT', message: 'a row that this one refers to is missing, or still refers to it' }],
  ['23', { code: 'BAD_REQUEST', message: 'a value breaks a rule of its table' }],
  ['22', { code: 'BAD_REQUEST', message: 'a value has the wrong form or range for its column' }],
  ['40', { code: 'UNAVAILABLE', message: 'the transaction collided with another', retryable: true, retryAfterMs: 10 }],
  ['55P03', { code: 'UNAVAILABLE', message: 'a lock was not free in time', retryable: true, retryAfterMs: 50 }],
  ['57014', { code: 'UNAVAILABLE', message: 'a statement took longer than it may', retryAfterMs: 1_000 }],
  ['25P03', unavailable('a transaction sat idle for longer than it may')],
  ['25P04', unavailable('a transaction took longer than it may')],
  ['25006', { code: 'UNAVAILABLE', message: 'the database only allows reading', hint: 'Point at the primary server.' }],
  ['53100', unavailable('the disk of the database is full', 'Free space on the volume that holds its data folder.')],
  ['53200', unavailable('the database ran out of memory')],
  ['53300', unavailable('the database takes no more connections', 'Raise max_connections or lower the pool size.')],
  ['53', unavailable('the database lacks a resource')],
  ['57', unavailable('the database is starting or stopping')],
  ['08', unavailable('the connection to the database broke')],
  ['58030', unavailable('the database cannot read or write its files', 'Check its volume and its log.')],
  ['28', { code: 'CONFIG_INVALID', message: 'the database refuses the user or the password', hint: 'Check the URL.' }],
  ['3D000', { code: 'CONFIG_INVALID', message: 'the database named in the URL does not exist', hint: 'Create it.' }],
  [
    '42501',
    { code: 'CONFIG_INVALID', message: 'the database user lacks a privilege', hint: 'Make it owner of the database.' },
  ],
]);

const CONNECTION_ERRNOS: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
]);

/** node-postgres gives broken connections no code, only these words. */
const CONNECTION_MESSAGE =
  /Connection terminated|Query read timeout|connection timeout|Client has encountered a connection error|timeout exceeded when trying to connect|Client was closed|not queryable/i;

/**
 * Translates what node-postgres throws. A WeftError passes through, and so does anything that is no database error,
 * so that a callback's own failures keep their identity.
 */
export function toSqlError(error: unknown, where?: string): unknown {
  if (error instanceof WeftError || !(error instanceof Error)) return error;
  const { code, constraint } = error as Error & { code?: unknown; constraint?: unknown };
  const state = typeof code === 'string' ? code : '';
  const rule = ruleFor(state, error.message);
  if (rule === null) return error;
  const { message, hint, retryAfterMs, retryable } = rule;
  const options: ErrorOptions = {
    cause: error,
    ...(where === undefined ? {} : { where }),
    ...(hint === undefined ? {} : { hint }),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  };
  return new SqlError(
    rule.code,
    message,
    {
      sqlState: state,
      constraint: typeof constraint === 'string' ? constraint : null,
      retryable: retryable ?? false,
    },
    options,
  );
}

function ruleFor(state: string, message: string): Rule | null {
  if (CONNECTION_ERRNOS.has(state) || (state === '' && CONNECTION_MESSAGE.test(message))) {
    return unavailable('the database cannot be reached', 'Check that it runs and that the URL is right.');
  }
  if (!/^[0-9A-Z]{5}$/.test(state)) return null;
  return (
    RULES.get(state) ??
    RULES.get(state.slice(0, 2)) ?? { code: 'INTERNAL', message: `the database refused a statement (${state})` }
  );
}

/** True where running the same transaction again may succeed: deadlock, serialization failure, lost connection. */
export function isRetryable(error: unknown): boolean {
  return error instanceof SqlError && error.retryable;
}

/** True for a violation of the unique constraint or index `constraint`; of any, when it is left out. */
export function isUniqueViolation(error: unknown, constraint?: string): boolean {
  if (!(error instanceof SqlError) || error.sqlState !== '23505') return false;
  return constraint === undefined || error.constraint === constraint;
}
