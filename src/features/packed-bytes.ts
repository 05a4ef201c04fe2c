import { WeftError } from '../platform/errors.js';

/*
 * The primitives of packed feature states. All are canonical: one value has one form.
 *
 *   varint   0 … 2^53−1, seven bits a byte, low bits first, top bit set on all but the last byte
 *   signed   −2^53+1 … 2^53−1: first byte  more:1 sign:1 low:6, then a varint of the rest if `more`
 *   number   varint of |n|·8 + sign·4 + scale, scale 0: n is the number, 1: n/100, 2: n/10000;
 *            scale 3: the varint is 3 and a little-endian IEEE double follows
 *   text     varint of length·2 + wide, then the UTF-16 units of the text, one byte each (wide 0) or two (wide 1);
 *            lossless even for unpaired surrogates, which UTF-8 would change
 */

const MAX_STATE_BYTES = 16 * 1024 * 1024;
/** A safe integer takes at most 8 bytes as a varint, a double at most 9 with its head. */
const MAX_PRIMITIVE_BYTES = 16;
/** Magnitudes below it stay safe integers when three bits are put under them. */
const MAX_SCALED = 2 ** 48;
const SCALES = [1, 100, 10_000] as const;
const RAW_DOUBLE = 3;
/** Up to here, a loop is faster than a call into the runtime. */
const MAX_LOOPED_BYTES = 64;

export function corruptState(what: string, at: number): WeftError {
  return new WeftError('INTERNAL', `a packed feature state cannot be read: ${what}`, {
    where: `byte ${String(at)}`,
    hint: 'rebuild the states of the anchor from the event log',
  });
}

/** Writes into one growing buffer that is used again and again; {@link slice} copies the result out. */
export class PackedWriter {
  #bytes = Buffer.allocUnsafeSlow(8 * 1024);
  #at = 0;

  reset(): void {
    this.#at = 0;
  }

  slice(start: number): Buffer {
    return Buffer.from(this.#bytes.subarray(start, this.#at));
  }

  varint(value: number): void {
    if (this.#at + MAX_PRIMITIVE_BYTES > this.#bytes.length) this.#grow(MAX_PRIMITIVE_BYTES);
    const bytes = this.#bytes;
    let at = this.#at;
    let rest = value;
    if (rest > Number.MAX_SAFE_INTEGER) throw new RangeError(`${String(rest)} cannot be packed`);
    while (rest > 0x7fff_ffff) {
      bytes[at++] = (rest % 128) + 128;
      rest = Math.floor(rest / 128);
    }
    while (rest > 127) {
      bytes[at++] = (rest & 127) | 128;
      rest >>>= 7;
    }
    bytes[at++] = rest;
    this.#at = at;
  }

  signed(value: number): void {
    const magnitude = value < 0 ? -value : value;
    const head = (magnitude % 64) + (value < 0 ? 64 : 0);
    if (magnitude < 64) {
      this.varint(head);
    } else {
      this.#reserve(1);
      this.#bytes[this.#at++] = head + 128;
      this.varint(Math.floor(magnitude / 64));
    }
  }

  /** @param value finite; −0 is written as 0 */
  number(value: number): void {
    const magnitude = Math.abs(value);
    for (let scale = 0; scale < SCALES.length; scale++) {
      const factor = SCALES[scale] ?? 1;
      const scaled = Math.round(magnitude * factor);
      if (scaled < MAX_SCALED && scaled / factor === magnitude) {
        this.varint(scaled * 8 + (value < 0 ? 4 : 0) + scale);
        return;
      }
    }
    this.varint(RAW_DOUBLE);
    this.#reserve(MAX_PRIMITIVE_BYTES);
    this.#at = this.#bytes.writeDoubleLE(value, this.#at);
  }

  text(value: string): void {
    const wide = isWide(value);
    this.varint(value.length * 2 + (wide ? 1 : 0));
    this.#reserve(value.length * 2);
    if (!wide && value.length <= MAX_LOOPED_BYTES) {
      for (let i = 0; i < value.length; i++) this.#bytes[this.#at++] = value.charCodeAt(i);
    } else {
      this.#at += this.#bytes.write(value, this.#at, wide ? 'utf16le' : 'latin1');
    }
  }

  /** The 48 bits of a hash, always six bytes: hashes have no small values to gain from. */
  hash(value: number): void {
    this.#reserve(MAX_PRIMITIVE_BYTES);
    const bytes = this.#bytes;
    const at = this.#at;
    const high = Math.floor(value / 0x100_0000);
    const low = value - high * 0x100_0000;
    bytes[at] = low & 255;
    bytes[at + 1] = (low >>> 8) & 255;
    bytes[at + 2] = low >>> 16;
    bytes[at + 3] = high & 255;
    bytes[at + 4] = (high >>> 8) & 255;
    bytes[at + 5] = high >>> 16;
    this.#at = at + 6;
  }

  bytes(source: Buffer, start: number, end: number): void {
    this.#reserve(end - start);
    if (end - start > MAX_LOOPED_BYTES) {
      source.copy(this.#bytes, this.#at, start, end);
      this.#at += end - start;
    } else {
      for (let i = start; i < end; i++) this.#bytes[this.#at++] = source[i] ?? 0;
    }
  }

  /** Begins bytes that are to stand behind a varint of how many they are. */
  openFrame(): number {
    this.#reserve(1);
    return ++this.#at;
  }

  /** @param start what {@link openFrame} gave */
  closeFrame(start: number): void {
    const length = this.#at - start;
    if (length < 128) {
      this.#bytes[start - 1] = length;
      return;
    }
    let prefix = 1;
    for (let rest = length; rest > 127; rest = Math.floor(rest / 128)) prefix++;
    this.#reserve(prefix);
    this.#bytes.copyWithin(start - 1 + prefix, start, this.#at);
    this.#at = start - 1;
    this.varint(length);
    this.#at += length;
  }

  #reserve(count: number): void {
    if (this.#at + count > this.#bytes.length) this.#grow(count);
  }

  #grow(count: number): void {
    const needed = this.#at + count;
    if (needed > MAX_STATE_BYTES) {
      throw new WeftError('INTERNAL', `a feature state is larger than ${String(MAX_STATE_BYTES)} bytes`, {
        hint: 'shorten the windows of its features, or narrow the events they count',
      });
    }
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.#bytes.length * 2));
    this.#bytes.copy(grown, 0, 0, this.#at);
    this.#bytes = grown;
  }
}

/** Reads a range of bytes that may be damaged: never past its end, and every call takes at least one byte or throws. */
export class PackedReader {
  readonly #bytes: Buffer;
  readonly #end: number;
  #at: number;

  constructor(bytes: Buffer, start: number, end: number) {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
  }

  get at(): number {
    return this.#at;
  }

  get done(): boolean {
    return this.#at >= this.#end;
  }

  varint(): number {
    const first = this.#byte();
    if (first < 128) return first;
    let value = first & 127;
    let factor = 128;
    for (;;) {
      const byte = this.#byte();
      value += (byte & 127) * factor;
      if (value > Number.MAX_SAFE_INTEGER) throw corruptState('a number is too large', this.#at);
      if (byte < 128) return value;
      factor *= 128;
    }
  }

  signed(): number {
    const head = this.#byte();
    const low = head & 63;
    if (head < 128) return (head & 64) === 0 ? low : -low;
    const magnitude = low + this.varint() * 64;
    if (magnitude > Number.MAX_SAFE_INTEGER) throw corruptState('a number is too large', this.#at);
    return (head & 64) === 0 ? magnitude : -magnitude;
  }

  number(): number {
    const head = this.varint();
    const scale = (head % 8) & 3;
    if (scale === RAW_DOUBLE) {
      const at = this.skip(8);
      const value = this.#bytes.readDoubleLE(at);
      if (!Number.isFinite(value)) throw corruptState('a value is not finite', at);
      return value;
    }
    const magnitude = Math.floor(head / 8) / (SCALES[scale] ?? 1);
    return (head & 4) === 0 ? magnitude : -magnitude;
  }

  text(): string {
    const head = this.varint();
    const wide = head % 2 === 1;
    const byteLength = Math.floor(head / 2) * (wide ? 2 : 1);
    const at = this.skip(byteLength);
    return this.#bytes.toString(wide ? 'utf16le' : 'latin1', at, at + byteLength);
  }

  hash(): number {
    const at = this.skip(6);
    const bytes = this.#bytes;
    const low = (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16);
    const high = (bytes[at + 3] ?? 0) | ((bytes[at + 4] ?? 0) << 8) | ((bytes[at + 5] ?? 0) << 16);
    return low + high * 0x100_0000;
  }

  /** Skips `count` bytes; where they begin. */
  skip(count: number): number {
    const at = this.#at;
    if (count > this.#end - at) throw corruptState('it ends too early', at);
    this.#at = at + count;
    return at;
  }

  #byte(): number {
    const at = this.#at;
    if (at >= this.#end) throw corruptState('it ends too early', at);
    this.#at = at + 1;
    return this.#bytes[at] ?? 0;
  }
}

function isWide(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 0xff) return true;
  return false;
}
