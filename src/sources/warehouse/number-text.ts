import type { JsonValue } from '../../events/event.model.js';

/** Digits of a whole number; beyond 2^53 they stay a text. */
export function integerCell(text: string): JsonValue {
  const number = Number(text);
  return Number.isSafeInteger(number) ? number : text;
}

/** A decimal, the nearest number; whole numbers as {@link integerCell}. */
export function decimalCell(text: string): JsonValue {
  return /^-?\d+$/.test(text) ? integerCell(text) : floatCell(text);
}

/** NaN and infinities are null. */
export function floatCell(text: string): JsonValue {
  const number = Number(text);
  return Number.isFinite(number) ? number : null;
}
