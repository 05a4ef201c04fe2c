import { WeftError } from '../platform/errors.js';

/** With the pauses below about a minute and a half: a database that is restarted is back by then. */
const MAX_ATTEMPTS = 20;
const FIRST_DELAY_MS = 100;
const MAX_DELAY_MS = 5_000;
const GO_ON = 'what was accepted stays; run the same command again to go on from here';

/**
 * Does again what could not be done because the log or its database was overloaded or away, after pauses that grow.
 * @param sleep of so many ms
 * @throws WeftError once it was tried often enough, with how to go on; whatever else `attempt` throws
 */
export async function retryUnavailable<T>(attempt: () => Promise<T>, sleep: (ms: number) => Promise<void>): Promise<T> {
  for (let attempts = 1; ; attempts++) {
    try {
      return await attempt();
    } catch (error) {
      const isTransient = error instanceof WeftError && (error.code === 'OVERLOADED' || error.code === 'UNAVAILABLE');
      if (!isTransient) throw error;
      if (attempts === MAX_ATTEMPTS) throw givenUp(error);
      const firstMs = error.retryAfterMs ?? FIRST_DELAY_MS;
      await sleep(Math.min(firstMs * 2 ** (attempts - 1), MAX_DELAY_MS));
    }
  }
}

function givenUp(error: WeftError): WeftError {
  const { code, message, where, hint } = error;
  return new WeftError(code, `${message}, and was tried ${String(MAX_ATTEMPTS)} times`, {
    ...(where === undefined ? {} : { where }),
    hint: hint === undefined ? GO_ON : `${hint.replace(/\.$/, '')}; ${GO_ON}`,
    cause: error,
  });
}
