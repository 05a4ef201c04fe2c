import { WeftError } from '../../platform/errors.js';

/** When BigQuery asks to come back later, ms. */
const RETRY_AFTER_MS = 60_000;
const MAX_MESSAGE_LENGTH = 1_000;

interface Answer {
  readonly status: number;
  readonly reason: string;
  readonly message: string;
}

/**
 * A failure of BigQuery's client, by the reason of its REST interface. What the client throws holds requests with their
 * tokens, so it is no cause of what is told.
 * @param place what the store is told as
 * @param isPlanning whether no row was read yet: a message cannot quote values then
 */
export function bigQueryError(error: unknown, place: string, isPlanning: boolean): unknown {
  if (error instanceof WeftError || !(error instanceof Error)) return error;
  const answer = answerOf(error);
  const { status, reason } = answer;
  const where = `from, ${place}`;
  const message = isPlanning ? `: ${answer.message.slice(0, MAX_MESSAGE_LENGTH)}` : '';
  switch (reason) {
    case 'invalidQuery':
    case 'invalid':
    case 'notFound':
    case 'duplicate':
      return new WeftError('BAD_REQUEST', `BigQuery refuses the query${message}`, {
        where,
        hint: 'try it in the console of BigQuery, as part of SELECT * FROM (…) AS rows',
      });
    case 'accessDenied':
      return new WeftError('BAD_REQUEST', `BigQuery denies access${message}`, {
        where,
        hint: 'grant roles/bigquery.jobUser on the project, and roles/bigquery.dataViewer on the tables',
      });
    case 'responseTooLarge':
    case 'resourcesExceeded':
      return new WeftError('BAD_REQUEST', 'the rows are too many for BigQuery to give them in one order', {
        where,
        hint: 'bound the query by a WHERE of its own, and load the history in parts',
      });
    case 'stopped':
    case 'timeout':
      return tookTooLong(place);
  }
  if (status === 429 || status >= 500 || /^(quota|rateLimit)Exceeded$/.test(reason)) {
    return new WeftError('UNAVAILABLE', `BigQuery cannot answer now (${reason === '' ? String(status) : reason})`, {
      where,
      hint: 'run it again later; it goes on where it was',
      retryAfterMs: RETRY_AFTER_MS,
    });
  }
  if (status === 0 && (!isPlanning || isOfNetwork(error))) {
    return new WeftError('UNAVAILABLE', 'BigQuery cannot be reached', {
      where,
      hint: 'check the network of this machine, and its proxy',
      retryAfterMs: RETRY_AFTER_MS,
    });
  }
  return new WeftError(
    'CONFIG_INVALID',
    status === 0 ? 'the credentials cannot be used' : `BigQuery refuses the credentials (${String(status)})`,
    {
      where,
      hint: 'check the key file that "credentials_env" names, and that the key is still valid',
    },
  );
}

export function tookTooLong(place: string): WeftError {
  return new WeftError('UNAVAILABLE', 'BigQuery took longer for the query than it may', {
    where: `from, ${place}`,
    hint: 'give it a longer "timeout", or less to read',
  });
}

/** Else the client has failed before it asked anybody, as over a key that is none. */
function isOfNetwork(error: Error): boolean {
  const { code, type } = error as Error & { code?: unknown; type?: unknown };
  return (typeof code === 'string' && /^E(?!RR_)[A-Z_]+$/.test(code)) || typeof type === 'string';
}

/** The status is 0 where there was no answer. */
function answerOf(error: Error): Answer {
  const { code, errors } = error as Error & { code?: unknown; errors?: unknown };
  const [first] = Array.isArray(errors) ? (errors as readonly { reason?: unknown; message?: unknown }[]) : [];
  const status = Number(code);
  return {
    status: Number.isInteger(status) ? status : 0,
    reason: typeof first?.reason === 'string' ? first.reason : '',
    message: typeof first?.message === 'string' ? first.message : '',
  };
}
