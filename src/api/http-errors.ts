import { WeftError } from '../platform/errors.js';
import type { ErrorCode } from '../platform/errors.js';

/** The one map from error codes to HTTP status codes (RFC 9110 §15, RFC 6585 §4). */
const STATUS: Readonly<Record<ErrorCode, number>> = {
  BAD_REQUEST: 400,
  UNAUTHENTICATED: 401,
  FORBIDDEN: 403,
  NOT_FOUND: 404,
  CONFLICT: 409,
  PAYLOAD_TOO_LARGE: 413,
  RATE_LIMITED: 429,
  OVERLOADED: 503,
  SOURCE_PAUSED: 503,
  UNAVAILABLE: 503,
  CONFIG_INVALID: 500,
  NOT_CONFIGURED: 501,
  DEFINITION_INVALID: 422,
  EXPRESSION_INVALID: 422,
  MODEL_INVALID: 422,
  CURSOR_INVALID: 400,
  INTERNAL: 500,
};

export interface HttpFailure {
  readonly status: number;
  readonly code: ErrorCode;
  /** Fit for the caller: what is not deliberate is masked. */
  readonly reason: string;
  readonly where?: string;
  readonly hint?: string;
  /** Of 429 and 503. */
  readonly retryAfterMs?: number;
  /** True where the error is a defect of ours, to be logged. */
  readonly isDefect: boolean;
}

const DEFAULT_RETRY_AFTER_MS = 1_000;

const DEFECT: HttpFailure = {
  status: 500,
  code: 'INTERNAL',
  reason: 'something went wrong on our side',
  isDefect: true,
};

/** What to answer for a thrown value. Only a WeftError and the framework's own refusals tell the caller anything. */
export function toHttpFailure(error: unknown): HttpFailure {
  if (error instanceof WeftError) return ofWeftError(error);
  if (hasBrokenOff(error))
    return { status: 400, code: 'BAD_REQUEST', reason: 'the request broke off', isDefect: false };
  const status = error instanceof Error ? (error as { statusCode?: unknown }).statusCode : undefined;
  if (status === 413) return { status, code: 'PAYLOAD_TOO_LARGE', reason: 'the body is too large', isDefect: false };
  if (typeof status === 'number' && status >= 400 && status < 500) {
    return { status, code: 'BAD_REQUEST', reason: 'the request cannot be read', isDefect: false };
  }
  return DEFECT;
}

/** As Node says of a request whose sender is gone, or took too long, before all of it was here. */
function hasBrokenOff(error: unknown): boolean {
  return (
    error instanceof Error && error.message === 'aborted' && (error as NodeJS.ErrnoException).code === 'ECONNRESET'
  );
}

function ofWeftError({ code, message, where, hint, retryAfterMs }: WeftError): HttpFailure {
  const status = STATUS[code];
  if (status === 500) return DEFECT;
  return {
    status,
    code,
    reason: message,
    isDefect: false,
    ...(where === undefined ? {} : { where }),
    ...(hint === undefined ? {} : { hint }),
    ...(status === 429 || status === 503 ? { retryAfterMs: retryAfterMs ?? DEFAULT_RETRY_AFTER_MS } : {}),
  };
}

/** For the header `Retry-After`: whole seconds, at least 1. */
export function retryAfterSeconds(retryAfterMs: number): string {
  return String(Math.max(1, Math.ceil(retryAfterMs / 1_000)));
}
