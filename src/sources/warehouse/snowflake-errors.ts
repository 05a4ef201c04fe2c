import { WeftError } from '../../platform/errors.js';

/** When Snowflake is asked again, ms. */
const RETRY_AFTER_MS = 60_000;
const MAX_MESSAGE_LENGTH = 1_000;

const NO_WAREHOUSE = '000606';
const TIMED_OUT = '000630';
const NO_ROLE = '390189';
/** Of the client, where the session has ended and could not be renewed. */
const DISCONNECTED: ReadonlySet<string> = new Set(['407001', '407002']);

/** What was being done. */
export type SnowflakeStage = 'signing in' | 'planning' | 'reading';

/**
 * A failure of Snowflake's client, by its code, its SQL state and the class of it. What the client throws may hold answers
 * with tokens of the session, so it is no cause of what is told.
 * @param place what the store is told as
 * @param stage before rows are read, a message cannot quote values; after that it is left out
 */
export function snowflakeError(error: unknown, place: string, stage: SnowflakeStage): unknown {
  if (error instanceof WeftError || !(error instanceof Error)) return error;
  const { code, sqlState } = codesOf(error);
  const where = `from, ${place}`;
  if (error.name === 'NetworkError' || error.name === 'LargeResultSetError') {
    return new WeftError('UNAVAILABLE', 'Snowflake cannot be reached', {
      where,
      hint: 'check "account" in the mapping, and the network of this machine and its proxy',
      retryAfterMs: RETRY_AFTER_MS,
    });
  }
  if (error.name === 'RequestFailedError') {
    const status = statusOf(error);
    const isUnknown = status === 403 || status === 404;
    return new WeftError(isUnknown ? 'CONFIG_INVALID' : 'UNAVAILABLE', `Snowflake answers ${String(status)}`, {
      where,
      hint: isUnknown ? 'check "account" in the mapping: as acme-prod' : 'run it again later; it goes on where it was',
      ...(isUnknown ? {} : { retryAfterMs: RETRY_AFTER_MS }),
    });
  }
  if (DISCONNECTED.has(code)) return endedSession(code, where);
  if (error.name !== 'OperationFailedError') {
    return new WeftError('INTERNAL', `the client of Snowflake failed while ${stage} (${code})`, { where });
  }
  if (stage === 'signing in') return refusedLogin(code, where);
  return refusedQuery(code, sqlState, where, stage === 'planning' ? error.message : '');
}

function refusedLogin(code: string, where: string): WeftError {
  return new WeftError('CONFIG_INVALID', `Snowflake refuses to sign in (${code})`, {
    where,
    hint:
      code === NO_ROLE
        ? 'check "role" in the mapping, and that it is granted to the user'
        : 'check "account" and "user" in the mapping, what the variables hold, and the network policy of the account; LOGIN_HISTORY in Snowflake says why',
  });
}

function refusedQuery(code: string, sqlState: string, where: string, message: string): WeftError {
  if (code === TIMED_OUT) {
    return new WeftError('UNAVAILABLE', 'Snowflake took longer for the query than it may', {
      where,
      hint: 'give it a longer "timeout", or less to read',
    });
  }
  if (code.startsWith('390')) return endedSession(code, where);
  const said = message === '' ? ` (${code})` : `: ${message.slice(0, MAX_MESSAGE_LENGTH)}`;
  if (code === NO_WAREHOUSE || sqlState === '57P03') {
    return new WeftError('BAD_REQUEST', 'there is no warehouse to run the query in', {
      where,
      hint: 'name one in "warehouse" of the mapping, and grant USAGE on it to the role',
    });
  }
  if (sqlState === '42501') {
    return new WeftError('BAD_REQUEST', `Snowflake denies access${said}`, {
      where,
      hint: 'grant the role USAGE on the database and the schema, and SELECT on the tables',
    });
  }
  return new WeftError('BAD_REQUEST', `Snowflake refuses the query${said}`, {
    where,
    hint: 'try it in a worksheet, as part of SELECT * FROM (…), as the same user and role',
  });
}

function endedSession(code: string, where: string): WeftError {
  return new WeftError('UNAVAILABLE', `Snowflake has ended the session (${code})`, {
    where,
    hint: 'run it again; it goes on where it was',
    retryAfterMs: RETRY_AFTER_MS,
  });
}

function codesOf(error: Error): { code: string; sqlState: string } {
  const { code, sqlState } = error as Error & { code?: unknown; sqlState?: unknown };
  return {
    code: typeof code === 'string' || typeof code === 'number' ? String(code).padStart(6, '0') : '',
    sqlState: typeof sqlState === 'string' ? sqlState : '',
  };
}

function statusOf(error: Error): number {
  const { response } = error as Error & { response?: { statusCode?: unknown; status?: unknown } };
  return Number(response?.statusCode ?? response?.status ?? 0);
}
