import { randomBytes } from 'node:crypto';
import { inject } from 'vitest';

/** URL of the run's Redis server; null where there is none, and its suites are skipped. */
export function redisUrl(): string | null {
  return inject('redisUrl');
}

/** Keeps what one test writes apart from what others write: one server serves the whole run. */
export function redisPrefix(): string {
  return `weft-test:${randomBytes(6).toString('hex')}:`;
}
