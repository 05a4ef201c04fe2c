import { WeftError } from '../platform/errors.js';

/** What keeps a Parquet file, or a row group of it, from being read: it is damaged. */
export function damaged(why: string, cause?: Error): WeftError {
  return new WeftError('BAD_REQUEST', `the Parquet file cannot be read: ${why}`, {
    hint: 'get the file again, or write it anew; what was read so far stays loaded',
    cause,
  });
}

/** It may be whole, and is not taken. */
export function notTaken(message: string, hint: string): WeftError {
  return new WeftError('BAD_REQUEST', message, { hint });
}

/**
 * What `read` gives. The library throws plain errors, and a RangeError where a length in the file is nonsense.
 * @param place what is read, such as `row group 2`; null: the footer
 * @throws WeftError {@link damaged}
 */
export async function readable<T>(place: string | null, read: () => T | Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof WeftError || !(error instanceof Error)) throw error;
    const why = error.message.replace(/^parquet /, '');
    throw damaged(place === null ? why : `${place}: ${why}`, error);
  }
}
