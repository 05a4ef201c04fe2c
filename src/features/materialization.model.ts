import { WeftError } from '../platform/errors.js';

/**
 * @param where the field that says when it ends
 * @throws WeftError BAD_REQUEST for a range that ends before it begins; null: it is open there
 */
export function demandRange(fromMs: number | null, toMs: number | null, where: string): void {
  if (fromMs === null || toMs === null || fromMs <= toMs) return;
  throw new WeftError('BAD_REQUEST', 'the range ends before it begins', { where, hint: 'swap the two times' });
}
