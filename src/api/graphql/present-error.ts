import { GraphQLError, type GraphQLFormattedError } from 'graphql';
import { WeftError } from '../../platform/errors.js';

/** Told of what is masked; the id is all that the caller learns. */
export type DefectObserver = (error: unknown, errorId: string) => void;

const MAX_MESSAGE_LENGTH = 500;

export interface ErrorPresenter {
  readonly onDefect: DefectObserver;
  readonly newErrorId: () => string;
}

/**
 * The error boundary: what a caller may know of an error. Only a WeftError, and what GraphQL itself says of a query that
 * cannot be executed, are deliberate; anything else is masked.
 */
export function presentError(error: unknown, { onDefect, newErrorId }: ErrorPresenter): GraphQLFormattedError {
  const cause = rootCause(error);
  const place = error instanceof GraphQLError ? placeOf(error) : {};
  if (cause instanceof WeftError && cause.code !== 'INTERNAL' && cause.code !== 'CONFIG_INVALID') {
    const { code, message, where, hint, retryAfterMs } = cause;
    return {
      message: shortened(message),
      ...place,
      extensions: {
        code,
        ...(where === undefined ? {} : { where: shortened(where) }),
        ...(hint === undefined ? {} : { hint: shortened(hint) }),
        ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
      },
    };
  }
  if (cause instanceof GraphQLError) {
    const code = error instanceof GraphQLError ? error.extensions['code'] : undefined;
    const message = shortened(error instanceof GraphQLError ? error.message : cause.message);
    const known = typeof code === 'string' && code !== 'INTERNAL_SERVER_ERROR' ? code : 'BAD_REQUEST';
    return { message, ...place, extensions: { code: known } };
  }
  const errorId = newErrorId();
  onDefect(cause, errorId);
  return { message: 'something went wrong on our side', ...place, extensions: { code: 'INTERNAL', errorId } };
}

/** What is refused is quoted, however long it is, and for each item of a list anew. */
function shortened(message: string): string {
  return message.length <= MAX_MESSAGE_LENGTH ? message : `${message.slice(0, MAX_MESSAGE_LENGTH)}…`;
}

/** The same, as an error to be sent on. */
export function maskedError(error: unknown, presenter: ErrorPresenter): GraphQLError {
  const { message, extensions = {} } = presentError(error, presenter);
  if (!(error instanceof GraphQLError)) return new GraphQLError(message, { extensions });
  const { nodes = null, source = null, positions = null, path = null } = error;
  return new GraphQLError(message, { nodes, source, positions, path, extensions });
}

function rootCause(error: unknown): unknown {
  let cause = error;
  // GraphQL wraps an error once for each boundary that it crosses.
  for (let i = 0; i < 10 && cause instanceof GraphQLError && cause.originalError !== undefined; i++) {
    cause = cause.originalError;
  }
  return cause;
}

function placeOf({ locations, path }: GraphQLError): Pick<GraphQLFormattedError, 'locations' | 'path'> {
  return { ...(locations === undefined ? {} : { locations }), ...(path === undefined ? {} : { path }) };
}
