/**
 * XXH64 of bytes that come in parts, with seed 0.
 *
 * The algorithm is that of "xxHash fast digest algorithm", version 0.1.1 (Y. Collet): stripes of 32 bytes go into four
 * accumulators of 64 bits; these, the length and the up to 31 bytes that are left make the digest.
 *
 * Stripes are computed in halves of 32 bits, because a BigInt for each lane would cost more than reading the data does.
 */

const PRIME_1 = 0x9e3779b185ebca87n;
const PRIME_2 = 0xc2b2ae3d27d4eb4fn;
const PRIME_3 = 0x165667b19e3779f9n;
const PRIME_4 = 0x85ebca77c2b2ae63n;
const PRIME_5 = 0x27d4eb2f165667c5n;

const STRIPE_BYTES = 32;
const LANE_BYTES = 8;

export class Xxh64 {
  /** Four accumulators, each as its low and its high half. */
  readonly #acc = new Uint32Array(8);
  /** A stripe that is not whole yet. */
  readonly #held = new Uint8Array(STRIPE_BYTES);
  #heldBytes = 0;
  #totalBytes = 0;

  constructor() {
    [PRIME_1 + PRIME_2, PRIME_2, 0n, -PRIME_1].forEach((start, lane) => {
      this.#acc[2 * lane] = Number(u64(start) & 0xffffffffn);
      this.#acc[2 * lane + 1] = Number(u64(start) >> 32n);
    });
  }

  update(bytes: Uint8Array): void {
    this.#totalBytes += bytes.length;
    let at = 0;
    if (this.#heldBytes > 0) {
      at = Math.min(STRIPE_BYTES - this.#heldBytes, bytes.length);
      this.#held.set(bytes.subarray(0, at), this.#heldBytes);
      this.#heldBytes += at;
      if (this.#heldBytes < STRIPE_BYTES) return;
      addStripes(this.#acc, this.#held, 0, STRIPE_BYTES);
    }
    const end = bytes.length - ((bytes.length - at) % STRIPE_BYTES);
    addStripes(this.#acc, bytes, at, end);
    this.#held.set(bytes.subarray(end));
    this.#heldBytes = bytes.length - end;
  }

  /** The digest of all bytes so far, 64 bits, unsigned; more may follow. */
  digest(): bigint {
    const hash = (this.#totalBytes < STRIPE_BYTES ? PRIME_5 : this.#merged()) + BigInt(this.#totalBytes);
    return avalanche(addRest(u64(hash), this.#held.subarray(0, this.#heldBytes)));
  }

  #merged(): bigint {
    const lanes = [0, 1, 2, 3].map(
      (lane) => (BigInt(this.#acc[2 * lane + 1] ?? 0) << 32n) | BigInt(this.#acc[2 * lane] ?? 0),
    );
    const sum = lanes.reduce((total, lane, i) => total + rotate(lane, [1n, 7n, 12n, 18n][i] ?? 0n), 0n);
    return lanes.reduce((hash, lane) => u64((hash ^ round(0n, lane)) * PRIME_1 + PRIME_4), u64(sum));
  }
}

const PRIME_1_LOW = 0x85ebca87;
const PRIME_1_HIGH = 0x9e3779b1;
const PRIME_2_LOW = 0x27d4eb4f;
const PRIME_2_HIGH = 0xc2b2ae3d;

/** Adds whole stripes: of each lane, `acc = rotate(acc + lane * PRIME_2, 31) * PRIME_1`. */
function addStripes(acc: Uint32Array, bytes: Uint8Array, from: number, to: number): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let lane = 0; lane < 4; lane++) {
    let low = acc[2 * lane] ?? 0;
    let high = acc[2 * lane + 1] ?? 0;
    for (let at = from + lane * LANE_BYTES; at < to; at += STRIPE_BYTES) {
      const inputLow = view.getUint32(at, true);
      const inputHigh = view.getUint32(at + 4, true);
      const sumLow = low + (Math.imul(inputLow, PRIME_2_LOW) >>> 0);
      const carry = sumLow > 0xffffffff ? 1 : 0;
      const sumHigh =
        (high +
          highProduct(inputLow, PRIME_2_LOW) +
          Math.imul(inputLow, PRIME_2_HIGH) +
          Math.imul(inputHigh, PRIME_2_LOW) +
          carry) |
        0;
      const rotatedLow = ((sumLow << 31) | (sumHigh >>> 1)) >>> 0;
      const rotatedHigh = (sumHigh << 31) | ((sumLow | 0) >>> 1);
      low = Math.imul(rotatedLow, PRIME_1_LOW) >>> 0;
      high =
        (highProduct(rotatedLow, PRIME_1_LOW) +
          Math.imul(rotatedLow, PRIME_1_HIGH) +
          Math.imul(rotatedHigh, PRIME_1_LOW)) >>>
        0;
    }
    acc[2 * lane] = low;
    acc[2 * lane + 1] = high;
  }
}

/** The upper 32 bits of the product of two unsigned numbers of 32 bits; no step exceeds 2^32. */
function highProduct(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const other = aLow * bHigh + (middle & 0xffff);
  return aHigh * bHigh + (middle >>> 16) + (other >>> 16);
}

/** What is left after the stripes: by 8 bytes, then 4, then one. */
function addRest(start: bigint, bytes: Uint8Array): bigint {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let hash = start;
  let at = 0;
  for (; at + 8 <= bytes.length; at += 8) {
    hash = u64(rotate(hash ^ round(0n, view.getBigUint64(at, true)), 27n) * PRIME_1 + PRIME_4);
  }
  for (; at + 4 <= bytes.length; at += 4) {
    hash = u64(rotate(hash ^ u64(BigInt(view.getUint32(at, true)) * PRIME_1), 23n) * PRIME_2 + PRIME_3);
  }
  for (; at < bytes.length; at++) {
    hash = u64(rotate(hash ^ u64(BigInt(view.getUint8(at)) * PRIME_5), 11n) * PRIME_1);
  }
  return hash;
}

function avalanche(start: bigint): bigint {
  let hash = u64((start ^ (start >> 33n)) * PRIME_2);
  hash = u64((hash ^ (hash >> 29n)) * PRIME_3);
  return hash ^ (hash >> 32n);
}

function round(acc: bigint, lane: bigint): bigint {
  return u64(rotate(u64(acc + lane * PRIME_2), 31n) * PRIME_1);
}

function rotate(value: bigint, bits: bigint): bigint {
  return u64(value << bits) | (value >> (64n - bits));
}

function u64(value: bigint): bigint {
  return BigInt.asUintN(64, value);
}
