import { createHmac } from 'node:crypto';
import { NO_SECRET, type InstallationSecret } from '../../platform/installation-secret.js';

/** Bytes of a hash: so many that no two values of a column meet. */
const HASH_BYTES = 12;

/**
 * What stands for the values that a stored model counts: HMACs (SHA-256) under a key of the installation's secret, each
 * of the model, the column and the value. So nobody can tell whose values they are, nor find them by trying names,
 * without the secret; and those of two columns or models have nothing in common.
 */
export class TermHash {
  readonly #key: Buffer;

  private constructor(key: Buffer) {
    this.#key = key;
  }

  /** Null where the installation has no secret. */
  static of(secret: InstallationSecret): TermHash | null {
    return secret === NO_SECRET ? null : new TermHash(secret.derive('linkage terms'));
  }

  /** @param version of the model */
  keysOf(version: string): (column: string) => (value: string) => string {
    return (column) => (value) =>
      createHmac('sha256', this.#key)
        .update(JSON.stringify([version, column, value]))
        .digest()
        .subarray(0, HASH_BYTES)
        .toString('base64url');
  }
}
