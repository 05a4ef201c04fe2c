import { createCipheriv, createDecipheriv } from 'node:crypto';
import { uuidOf, type Uuid } from './ids.js';

/** One block is one id: nothing is to be told of several together, so no mode is needed. */
const ALGORITHM = 'aes-256-ecb';

/** An id in a form that tells nothing to those without the key: AES-256 of its 128 bits. @param key 32 bytes */
export function hideId(key: Buffer, id: Uuid): Uuid {
  const cipher = createCipheriv(ALGORITHM, key, null).setAutoPadding(false);
  return uuidOf(Buffer.concat([cipher.update(id.replaceAll('-', ''), 'hex'), cipher.final()]));
}

/** The counterpart of {@link hideId}; of what it never made, some other id. */
export function revealId(key: Buffer, hidden: Uuid): Uuid {
  const decipher = createDecipheriv(ALGORITHM, key, null).setAutoPadding(false);
  return uuidOf(Buffer.concat([decipher.update(hidden.replaceAll('-', ''), 'hex'), decipher.final()]));
}
