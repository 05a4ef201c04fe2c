import { WeftError } from './platform/errors.js';
import { SqlError } from './platform/sql-errors.js';

/** SQLSTATEs of what less work at a time may get over: a statement or a transaction that took too long. */
export const TOO_SLOW: ReadonlySet<string> = new Set(['57014', '25P04']);

/** True for failures that the same work may get over if it is done again. What was too slow would be so again. */
export function mayPass(error: unknown): error is WeftError {
  if (error instanceof SqlError && TOO_SLOW.has(error.sqlState)) return false;
  return error instanceof WeftError && error.code === 'UNAVAILABLE';
}
