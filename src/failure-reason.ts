import { WeftError } from './platform/errors.js';

/** As `EACCES`, of operating systems. */
const SYSTEM_CODE = /^E[A-Z0-9]{1,30}$/;

/** Code and place of a failure. Messages may quote values, and are in the worker's log alone. */
export function failureReason(error: unknown): string {
  if (error instanceof WeftError) return error.where === undefined ? error.code : `${error.code} at ${error.where}`;
  const code = error instanceof Error && 'code' in error ? error.code : null;
  return typeof code === 'string' && SYSTEM_CODE.test(code) ? `INTERNAL (${code})` : 'INTERNAL';
}
