import type { JsonValue } from '../events/event.model.js';

/** Whether there may be a whole number beyond 2^53 at all. */
const LONG_DIGITS = /\d{16}/;
/** Texts are matched so that digits in them are left alone. */
const TEXT_OR_NUMBER = /"(?:[^"\\]+|\\.)*"|-?\d[\d.eE+-]*/g;
const WHOLE = /^-?\d+$/;

/**
 * JSON whose whole numbers beyond 2^53 are their digits as texts, as those of Parquet and PostgreSQL are: two ids that are
 * rounded to one number would be one person.
 * @throws SyntaxError
 */
export function parseJsonRow(text: string): JsonValue {
  const value = JSON.parse(text) as JsonValue;
  if (!LONG_DIGITS.test(text)) return value;
  return JSON.parse(text.replace(TEXT_OR_NUMBER, (token) => (isRounded(token) ? `"${token}"` : token))) as JsonValue;
}

function isRounded(token: string): boolean {
  return WHOLE.test(token) && !Number.isSafeInteger(Number(token));
}
