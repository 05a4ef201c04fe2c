import { durationMs } from '../../platform/duration.js';
import { WeftError } from '../../platform/errors.js';

/**
 * For how long what was rotated is valid beside what took its place, ms.
 * @throws WeftError BAD_REQUEST
 */
export function overlapMs(text: string): number {
  try {
    return durationMs(text);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new WeftError('BAD_REQUEST', 'the overlap is no duration', { where: 'overlap', hint: 'write it as in 24h' });
  }
}
