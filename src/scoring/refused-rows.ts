import { createHash } from 'node:crypto';
import { LRUCache } from 'lru-cache';

import type { FeatureRow } from './prediction.model.js';

const MAX_ROWS = 1_000;
/** How long a row is not asked again: what it met may have been a busy machine. */
const REFUSED_MS = 600_000;

/** Rows that a model failed on, each alone, by a hash of their values: nothing is told of whom they are. */
export class RefusedRows {
  readonly #until = new LRUCache<string, number>({ max: MAX_ROWS });
  readonly #now: () => number;

  /** @param now a clock that only goes forward, ms */
  constructor(now: () => number) {
    this.#now = now;
  }

  add(row: FeatureRow): void {
    this.#until.set(hashOf(row), this.#now() + REFUSED_MS);
  }

  has(row: FeatureRow): boolean {
    // Of almost all models there are none, and hashing costs more than scoring.
    if (this.#until.size === 0) return false;
    return (this.#until.get(hashOf(row)) ?? -Infinity) > this.#now();
  }
}

function hashOf(row: FeatureRow): string {
  const values = row.map(({ status, value }) => (status === 'PRESENT' ? value : null));
  return createHash('sha256').update(JSON.stringify(values)).digest('base64');
}
