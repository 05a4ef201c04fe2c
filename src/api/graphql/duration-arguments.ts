import { durationMs } from '../../platform/duration.js';
import { WeftError } from '../../platform/errors.js';

/**
 * For how long what was rotated is valid beside what took its place, ms.
 * @throws WeftError BAD_REQUEST
 */
export function overlapMs(text: string): number {
  return argumentMs(text, 'overlap', '24h');
}

/**
 * How long events are kept, ms.
 * @throws WeftError BAD_REQUEST
 */
export function retentionMsOf(text: string): number {
  return argumentMs(text, 'retention', '400d');
}

/**
 * How long something may take, ms.
 * @throws WeftError BAD_REQUEST
 */
export function timeoutMsOf(text: string): number {
  return argumentMs(text, 'timeout', '6h');
}

/**
 * How far after its time a label looks, ms.
 * @throws WeftError BAD_REQUEST
 */
export function horizonMsOf(text: string): number {
  return argumentMs(text, 'horizon', '7d');
}

/**
 * How long members of a segment stay at least, ms.
 * @throws WeftError BAD_REQUEST
 */
export function dwellMsOf(text: string): number {
  return argumentMs(text, 'minDwell', '10m');
}

function argumentMs(text: string, where: string, example: string): number {
  try {
    return durationMs(text);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new WeftError('BAD_REQUEST', `the ${where} is no duration`, { where, hint: `write it as in ${example}` });
  }
}
