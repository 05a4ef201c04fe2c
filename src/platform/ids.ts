import { hash, randomFillSync } from 'node:crypto';

/** A UUID in its 36-character text form. */
export type Uuid = string;

/** Before and after every id there is, for pages by id. */
export const LEAST_ID: Uuid = '00000000-0000-0000-0000-000000000000';
export const GREATEST_ID: Uuid = 'ffffffff-ffff-ffff-ffff-ffffffffffff';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** Whether a text is a UUID of any version, in either case. What is none cannot be asked of the database as one. */
export function isUuid(text: string): boolean {
  return UUID.test(text);
}

/** The text of a UUID in the making. */
const text = Buffer.from('00000000-0000-0000-0000-000000000000', 'latin1');
/** Where the digits of each byte stand in it, and what code a digit has. */
const DIGITS_AT = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34] as const;
const DIGIT_CODES = Buffer.from('0123456789abcdef', 'latin1');

/**
 * Digit by digit: a text that is joined of slices is kept in its nine pieces, and they are joined when it is looked up in
 * a map for the first time, which takes half as long again.
 *
 * @param bytes 16 of them
 */
export function uuidOf(bytes: Uint8Array): Uuid {
  for (let i = 0; i < DIGITS_AT.length; i++) {
    const at = DIGITS_AT[i] ?? 0;
    const byte = bytes[i] ?? 0;
    text[at] = DIGIT_CODES[byte >>> 4] ?? 0;
    text[at + 1] = DIGIT_CODES[byte & 0xf] ?? 0;
  }
  return text.toString('latin1');
}

/**
 * A UUID that is a function of its parts: the first 128 bits of SHA-256 over the parts joined by NUL.
 * Equal parts give equal ids on every machine, so rows can be written without first asking for their ids.
 */
export function hashId(...parts: readonly string[]): Uuid {
  const hex = hash('sha256', parts.length === 1 ? (parts[0] ?? '') : parts.join('\0'), 'hex');
  for (let i = 0; i < DIGITS_AT.length; i++) {
    const at = DIGITS_AT[i] ?? 0;
    text[at] = hex.charCodeAt(2 * i);
    text[at + 1] = hex.charCodeAt(2 * i + 1);
  }
  return text.toString('latin1');
}

const ID_BYTES = 16;
/** Of new ids, fetched so many at once. */
const RANDOM_IDS = 256;
const randomBytes = Buffer.alloc(RANDOM_IDS * ID_BYTES);
let randomAt = randomBytes.length;

/** A new UUID of version 7 (RFC 9562 §5.7): sorts by creation time, then at random. */
export function newId(nowMs: number): Uuid {
  if (randomAt === randomBytes.length) {
    randomFillSync(randomBytes);
    randomAt = 0;
  }
  const bytes = randomBytes.subarray(randomAt, (randomAt += ID_BYTES));
  bytes.writeUIntBE(nowMs, 0, 6);
  bytes[6] = 0x70 | ((bytes[6] ?? 0) & 0x0f);
  bytes[8] = 0x80 | ((bytes[8] ?? 0) & 0x3f);
  return uuidOf(bytes);
}

/** Partition of an id: its leading 32 bits modulo `count`. Ids made by {@link hashId} spread evenly. */
export function partitionOf(id: Uuid, count: number): number {
  return Number.parseInt(id.slice(0, 8), 16) % count;
}
