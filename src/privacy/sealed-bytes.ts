import { createCipheriv, createDecipheriv, randomFillSync, type KeyObject } from 'node:crypto';

/*
 * AES-256-GCM behind a header that says with what:
 *
 *     header        12        …              last 16
 *   +--------+----------+-----------------+---------+
 *   |        | nonce    | the ciphertext  | tag     |
 *   +--------+----------+-----------------+---------+
 *
 * A nonce is random: of one key far fewer than the 2^32 texts are sealed that NIST SP 800-38D allows.
 */
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const ALGORITHM = 'aes-256-gcm';

const NONE: Uint8Array = new Uint8Array(0);

/** Random bytes are cheaper by the thousand. */
const noncePool = Buffer.allocUnsafe(NONCE_BYTES * 1_024);
let nonceAt = noncePool.length;

function nextNonce(into: Buffer, at: number): void {
  if (nonceAt === noncePool.length) {
    randomFillSync(noncePool);
    nonceAt = 0;
  }
  noncePool.copy(into, at, nonceAt, nonceAt + NONCE_BYTES);
  nonceAt += NONCE_BYTES;
}

/** @param bound what else has to be the same when it is opened */
export function sealBytes(key: KeyObject, header: Uint8Array, plain: Buffer, bound: Uint8Array = NONE): Buffer {
  const at = header.length;
  const sealed = Buffer.allocUnsafe(at + NONCE_BYTES + plain.length + TAG_BYTES);
  sealed.set(header);
  nextNonce(sealed, at);
  const cipher = createCipheriv(ALGORITHM, key, sealed.subarray(at, at + NONCE_BYTES));
  if (bound.length > 0) cipher.setAAD(bound);
  cipher.update(plain).copy(sealed, at + NONCE_BYTES);
  cipher.final();
  cipher.getAuthTag().copy(sealed, sealed.length - TAG_BYTES);
  return sealed;
}

/** What stands behind a header of `at` bytes; null for what was changed, or sealed with another key. */
export function openBytes(key: KeyObject, at: number, sealed: Buffer, bound: Uint8Array = NONE): Buffer | null {
  if (sealed.length < at + NONCE_BYTES + TAG_BYTES) return null;
  const decipher = createDecipheriv(ALGORITHM, key, sealed.subarray(at, at + NONCE_BYTES));
  decipher.setAuthTag(sealed.subarray(-TAG_BYTES));
  if (bound.length > 0) decipher.setAAD(bound);
  const plain = decipher.update(sealed.subarray(at + NONCE_BYTES, -TAG_BYTES));
  try {
    decipher.final();
    return plain;
  } catch {
    return null;
  }
}
