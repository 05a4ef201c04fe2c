import { createHash } from 'node:crypto';
import type { Uuid } from '../platform/ids.js';

const BYTES = 6;

/**
 * Where a profile stands in a sample: a number in [0, 1), the same at all times and on all machines, independent between
 * names. It is the first 48 bits of SHA-256 over `name:profileId` (UTF-8, the id in small letters), as a fraction of 2^48:
 * whoever has the ids can compute it too.
 */
export function sampleNumber(name: string, profileId: Uuid): number {
  return createHash('sha256').update(`${name}:${profileId}`).digest().readUIntBE(0, BYTES) / 2 ** (8 * BYTES);
}
