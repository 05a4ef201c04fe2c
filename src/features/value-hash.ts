/*
 * A hash of 48 bits (two of 256 values collide with a chance of one in nine thousand million): two lanes of the MurmurHash3 x86 body (A. Appleby, public
 * domain), each over all UTF-16 units of the text with constants of its own, and its 32-bit finaliser.
 *
 * It is part of stored states: changing it makes them unreadable, so never change it.
 */

const TEXT_SEED = 0x2545_f491;
const NUMBER_SEED = 0x5851_f42d;
const BOOL_SEED = 0x1405_7b7e;

/** Bits of a hash. */
export const HASH_BITS = 48;

/** 0 … 2^48−1. Values of different types differ: 1, "1" and true are three values. */
export function hashValue(value: string | number | boolean): number {
  if (typeof value === 'string') return hashText(value, TEXT_SEED);
  if (typeof value === 'number') return hashText(String(value), NUMBER_SEED);
  return hashText(String(value), BOOL_SEED);
}

function hashText(text: string, seed: number): number {
  let a = seed;
  let b = ~seed;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    let k = Math.imul(unit, 0xcc9e_2d51);
    k = (k << 15) | (k >>> 17);
    a ^= Math.imul(k, 0x1b87_3593);
    a = (a << 13) | (a >>> 19);
    a = (Math.imul(a, 5) + 0xe654_6b64) | 0;
    k = Math.imul(unit, 0x239b_961b);
    k = (k << 16) | (k >>> 16);
    b ^= Math.imul(k, 0xab0e_9789);
    b = (b << 19) | (b >>> 13);
    b = (Math.imul(b, 5) + 0x561c_cd1b) | 0;
  }
  a = finalise(a ^ text.length);
  b = finalise(b ^ text.length ^ a);
  return (a >>> 0) + (b >>> 16) * 0x1_0000_0000;
}

function finalise(hash: number): number {
  let h = hash;
  h ^= h >>> 16;
  h = Math.imul(h, 0x85eb_ca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2_ae35);
  h ^= h >>> 16;
  return h;
}
