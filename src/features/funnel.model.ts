import { WeftError } from '../platform/errors.js';
import { compileWhere } from './compile-where.js';

/* What a funnel may be, wherever it is written: with a feature, or in a condition. */

export const MIN_FUNNEL_STEPS = 2;
/** Each step is a bit of the mark that events in a ring have. */
export const MAX_FUNNEL_STEPS = 10;
/** The least and the most that may lie between the first step and the last, ms. */
export const MIN_WITHIN_MS = 1_000;
export const MAX_WITHIN_MS = 366 * 86_400_000;

/** What is wrong with a further condition on the event of a step, with `where` as `line:column`; null: nothing. */
export function faultOfStep(where: string): WeftError | null {
  try {
    compileWhere(where);
    return null;
  } catch (error) {
    if (error instanceof WeftError) return error;
    throw error;
  }
}
