/**
 * The digits of a number that came as JSON. Null for one that may have had others: whole numbers beyond 2^53 are rounded
 * when they are read, so that two ids would become one.
 */
export function numberText(value: number): string | null {
  const isRounded = Number.isInteger(value) && !Number.isSafeInteger(value);
  return Number.isFinite(value) && !isRounded ? String(value) : null;
}
