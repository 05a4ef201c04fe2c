import { createHash, createSecretKey, type KeyObject } from 'node:crypto';
import { FORMAT_SEALED } from '../events/event-seal.model.js';

/*
 * The header of what is sealed with the keys of several:
 *
 *     byte 0      1        2 …
 *   +--------+--------+-------------------------------+
 *   | 2      | n      | n handles of keys, 8 bytes each |
 *   +--------+--------+-------------------------------+
 *
 * A handle is random: from that of a key which is destroyed nobody can tell whose it was.
 */
const HANDLE_BYTES = 8;
const HANDLES_AT = 2;
const MAX_PARTS = 255;
/** The counter of the first and only round. */
const ROUND = Buffer.from([0, 0, 0, 1]);

/** A data key, and what it is known by in headers. */
export interface DataKey {
  /** 8 bytes. */
  readonly handle: Buffer;
  /** 32 bytes. */
  readonly bytes: Buffer;
}

/** @throws RangeError for none, or for more than 255 */
export function headerOf(parts: readonly DataKey[]): Buffer {
  if (parts.length === 0 || parts.length > MAX_PARTS) {
    throw new RangeError(`a payload is sealed with 1 to 255 keys, and not with ${String(parts.length)}`);
  }
  const header = Buffer.allocUnsafe(HANDLES_AT + HANDLE_BYTES * parts.length);
  header[0] = FORMAT_SEALED;
  header[1] = parts.length;
  for (const [i, { handle }] of parts.entries()) handle.copy(header, HANDLES_AT + HANDLE_BYTES * i);
  return header;
}

/** That of a sealed payload; null where there is no whole one. */
export function headerIn(sealed: Buffer): Buffer | null {
  const count = sealed[1] ?? 0;
  const end = HANDLES_AT + HANDLE_BYTES * count;
  return count === 0 || sealed.length < end ? null : sealed.subarray(0, end);
}

/** As texts in Latin-1, in the order of the keys. */
export function handlesIn(header: Buffer): string[] {
  const handles: string[] = [];
  for (let at = HANDLES_AT; at < header.length; at += HANDLE_BYTES) {
    handles.push(header.toString('latin1', at, at + HANDLE_BYTES));
  }
  return handles;
}

/**
 * The key that several make together, which nobody has who lacks one of them: the one-step derivation of NIST
 * SP 800-56C Rev. 2 (section 4) with SHA-256, the secrets one after the other, and the header as fixed information.
 * @param parts in the order of the header
 */
export function jointKey(header: Buffer, parts: readonly DataKey[]): KeyObject {
  const hash = createHash('sha256').update(ROUND);
  for (const { bytes } of parts) hash.update(bytes);
  return createSecretKey(hash.update(header).digest());
}
