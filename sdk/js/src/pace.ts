import { backoffMs, retryAfterMs } from './retry-delay.js';
import type { Runtime } from './runtime.js';

/** Until a key that Weft does not know, or not for this page, or an address that is not its, is tried again. */
const MISDIRECTED_MS = 300_000;

/** Unreadable, or too long: another question may do better, and one client may ask for all visitors of a site. */
const FAULT_OF_QUESTION = /400|41[34]|431/;

/** When Weft may be asked again after it has refused, or was not there. */
export interface Pace {
  /** At most 0: now. */
  readonly waitMs: () => number;
  /** Whether Weft itself asked to wait, so that nothing shortens it. */
  readonly isPaused: () => boolean;
  readonly taken: () => void;
  /**
   * @param answer null: there was none
   * @returns whether asking again is no use before somebody puts something right
   */
  readonly refused: (answer: Response | null) => boolean;
  /** There is reason to believe that it goes now. */
  readonly hurry: () => void;
}

export function createPace({ now, random }: Pick<Runtime, 'now' | 'random'>): Pace {
  let pausedUntil = 0;
  let backOffUntil = 0;
  let failures = 0;
  return {
    waitMs: () => Math.max(pausedUntil, backOffUntil) - now(),
    isPaused: () => pausedUntil > now(),
    taken: () => {
      failures = 0;
    },
    refused: (answer) => {
      const status = `${answer?.status}`;
      if (FAULT_OF_QUESTION.test(status)) return false;
      const isMisdirected = /^4(?!08|29)/.test(status);
      if (!isMisdirected) backOffUntil = now() + backoffMs(++failures, random());
      pausedUntil = now() + (isMisdirected ? MISDIRECTED_MS : retryAfterMs(answer, now()));
      return isMisdirected;
    },
    hurry: () => {
      backOffUntil = 0;
    },
  };
}
