import { WeftError } from './errors.js';

const FULL: ReadonlySet<string> = new Set(['ENOSPC', 'EDQUOT']);

/**
 * What is to be told of an error of the file system: UNAVAILABLE where a disk or a quota is full; all else as it is.
 * @param where the file or folder that was written
 */
export function diskError(error: unknown, where: string): unknown {
  if (!(error instanceof Error) || !('code' in error) || !FULL.has(String(error.code))) return error;
  return new WeftError('UNAVAILABLE', 'there is no space left on the disk', {
    where,
    hint: 'make room, or write to another disk, and do it again',
    cause: error,
  });
}
