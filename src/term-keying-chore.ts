import type { LinkageModelStore } from './identity/matching/linkage-model.store.js';
import type { TermHash } from './identity/matching/term-hash.js';
import { TermKeying } from './identity/matching/term-keying.js';
import type { Database } from './platform/postgres.js';

export interface TermKeyingChoreParts {
  readonly db: Database;
  readonly models: Pick<LinkageModelStore, 'nextPlain' | 'saveKeyed'>;
  /** Null: there is no secret to hash by. */
  readonly terms: TermHash | null;
  /** Values that one step hashes, at most. Default 2,000. */
  readonly maxStepTerms?: number;
}

const MAX_STEP_TERMS = 2_000;

/**
 * Hashes the values that stored models count, where they are there as they are: models that were added before values were
 * hashed, or by a process without a secret. A step is some values, outside a transaction, between batches; the model is
 * written once all of it is done. Two workers that are at the same model make the same of it.
 */
export class TermKeyingChore {
  readonly #parts: TermKeyingChoreParts;
  #current: { readonly version: string; readonly keying: TermKeying } | null = null;
  #isDone: boolean;

  constructor(parts: TermKeyingChoreParts) {
    this.#parts = parts;
    this.#isDone = parts.terms === null;
  }

  /** There is a model to be looked at that was not there before. */
  wake(): void {
    this.#isDone = this.#parts.terms === null;
  }

  /** One step; false if there is nothing left to do. */
  async runOne(): Promise<boolean> {
    const { db, models, terms, maxStepTerms = MAX_STEP_TERMS } = this.#parts;
    if (this.#isDone || terms === null) return false;
    if (this.#current === null) {
      const plain = await models.nextPlain(db);
      this.#isDone = plain === null;
      if (plain === null) return false;
      const { version, content } = plain;
      this.#current = { version, keying: new TermKeying(content, terms.keysOf(version)) };
      return true;
    }
    const { version, keying } = this.#current;
    const content = keying.step(maxStepTerms);
    if (content === null) return true;
    await models.saveKeyed(db, version, content);
    this.#current = null;
    return true;
  }
}
