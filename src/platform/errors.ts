/**
 * The one catalogue of error codes. The domain knows no HTTP and no GraphQL: `api/` maps codes to both, once.
 * A code is part of the public interface: add, never rename.
 */
export const ERROR_CODES = [
  'BAD_REQUEST',
  'UNAUTHENTICATED',
  'FORBIDDEN',
  'NOT_FOUND',
  'CONFLICT',
  'PAYLOAD_TOO_LARGE',
  'RATE_LIMITED',
  'OVERLOADED',
  'SOURCE_PAUSED',
  'UNAVAILABLE',
  'CONFIG_INVALID',
  'NOT_CONFIGURED',
  'DEFINITION_INVALID',
  'EXPRESSION_INVALID',
  'MODEL_INVALID',
  'CURSOR_INVALID',
  'INTERNAL',
] as const;

export type ErrorCode = (typeof ERROR_CODES)[number];

export interface ErrorOptions {
  /** Where the fault is: a JSON path, a file and line, a column, a variable name. */
  readonly where?: string;
  /** How to fix it, one sentence. */
  readonly hint?: string;
  readonly cause?: unknown;
  /** For RATE_LIMITED, OVERLOADED, SOURCE_PAUSED and UNAVAILABLE: when a retry makes sense. */
  readonly retryAfterMs?: number;
}

/**
 * A deliberate failure whose message may be shown to the caller. It never holds secrets or personal data.
 * Any other thrown value is a defect and is masked at the API boundary.
 */
export class WeftError extends Error {
  override readonly name = 'WeftError';
  readonly code: ErrorCode;
  readonly where: string | undefined;
  readonly hint: string | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(code: ErrorCode, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.where = options.where;
    this.hint = options.hint;
    this.retryAfterMs = options.retryAfterMs;
  }
}
