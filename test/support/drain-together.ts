import { WeftError } from '../../src/platform/errors.js';
import type { Worker } from '../../src/worker.js';

/** All workers at once, until none has anything left to do; what may pass, as a lost connection, is tried again. */
export async function drainTogether(workers: readonly Worker[]): Promise<void> {
  const round = async (worker: Worker): Promise<boolean> => {
    try {
      return await worker.runOnce();
    } catch (error) {
      if (error instanceof WeftError && error.code === 'UNAVAILABLE') return true;
      throw error;
    }
  };
  for (let idle = 0; idle < 2;) {
    const done = await Promise.all(workers.map(round));
    idle = done.some(Boolean) ? 0 : idle + 1;
  }
}
