/**
 * Shannon entropy of the shares that counts are, in bits: 0 where there is one, log₂ n where n are equal (C. E. Shannon,
 * A Mathematical Theory of Communication, 1948).
 *
 * @param counts each greater than 0
 */
export function entropyOf(counts: readonly number[]): number {
  // By size, so that rounding does not depend on their order.
  const sorted = counts.toSorted((a, b) => a - b);
  const total = sorted.reduce((sum, count) => sum + count, 0);
  const bits = sorted.reduce((sum, count) => sum - (count / total) * Math.log2(count / total), 0);
  return bits + 0;
}
