import type { Later } from './runtime.js';

/**
 * Sends a request and reads its answer, within a time for both. No cookies go along.
 *
 * @param failed says what it means that there was no answer, or none that `read` could read
 */
export async function askWithin<T>(
  url: string,
  init: RequestInit,
  timeoutMs: number,
  later: Later,
  read: (response: Response) => Promise<T>,
  failed: (isLate: boolean) => T,
): Promise<T> {
  const abort = new AbortController();
  const callOff = later(() => abort.abort(), timeoutMs);
  try {
    return await read(await fetch(url, { ...init, credentials: 'omit', signal: abort.signal }));
  } catch {
    return failed(abort.signal.aborted);
  } finally {
    callOff();
  }
}
