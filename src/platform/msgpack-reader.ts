import { unpack } from 'msgpackr';

/** The first bytes from which on a value is a short map, array, text. */
const [FIXMAP, FIXARRAY, FIXSTR] = [0x80, 0x90, 0xa0];

/**
 * Reads a text of MessagePack (https://github.com/msgpack/msgpack/blob/master/spec.md) from one end to the other, and goes
 * past what nobody asks for: where one value of fifty is wanted, to unpack them all takes several times as long.
 *
 * A read of another type than is there, or past the end, throws a RangeError. Ext types are not read.
 */
export class MsgpackReader {
  #at: number;

  constructor(
    private readonly bytes: Buffer,
    at = 0,
  ) {
    this.#at = at;
  }

  /** Where the next value begins. */
  get at(): number {
    return this.#at;
  }

  /** The number of items of an array, which follow. */
  arrayLength(): number {
    const type = this.#byte();
    if (type >= FIXARRAY && type < FIXSTR) return type & 0x0f;
    if (type === 0xdc) return this.#uint(2);
    if (type === 0xdd) return this.#uint(4);
    throw this.#unexpected(type);
  }

  number(): number {
    const type = this.#byte();
    if (type < FIXMAP) return type;
    if (type >= 0xe0) return type - 0x100;
    if (type === 0xcb) return this.bytes.readDoubleBE(this.#past(8));
    if (type === 0xca) return this.bytes.readFloatBE(this.#past(4));
    if (type === 0xcc) return this.#uint(1);
    if (type === 0xcd) return this.#uint(2);
    if (type === 0xce) return this.#uint(4);
    if (type === 0xcf) return Number(this.bytes.readBigUInt64BE(this.#past(8)));
    if (type === 0xd0) return this.bytes.readInt8(this.#past(1));
    if (type === 0xd1) return this.bytes.readInt16BE(this.#past(2));
    if (type === 0xd2) return this.bytes.readInt32BE(this.#past(4));
    if (type === 0xd3) return Number(this.bytes.readBigInt64BE(this.#past(8)));
    throw this.#unexpected(type);
  }

  text(): string {
    const length = this.#textLength();
    const start = this.#past(length);
    return this.bytes.toString('utf8', start, this.#at);
  }

  /** Which of these, in UTF-8, the next text is; -1: none of them. */
  textAmong(candidates: readonly Buffer[]): number {
    const length = this.#textLength();
    const start = this.#past(length);
    for (let i = 0; i < candidates.length; i++) {
      const candidate = candidates[i];
      if (candidate?.length === length && this.#isAt(start, candidate)) return i;
    }
    return -1;
  }

  /** Not copied. */
  binary(): Buffer {
    const type = this.#byte();
    if (type < 0xc4 || type > 0xc6) throw this.#unexpected(type);
    const start = this.#past(this.#uint(1 << (type - 0xc4)));
    return this.bytes.subarray(start, this.#at);
  }

  /** Whatever comes next. */
  any(): unknown {
    const type = this.bytes[this.#at] ?? 0;
    if ((type >= FIXSTR && type < 0xc0) || type === 0xd9) return this.text();
    const start = this.#at;
    this.skip();
    return unpack(this.bytes.subarray(start, this.#at)) as unknown;
  }

  /** Goes past this many values. */
  skip(values = 1): void {
    for (let left = values; left > 0; left--) {
      const type = this.#byte();
      if (type < FIXMAP || type >= 0xe0) continue;
      if (type < FIXARRAY) left += 2 * (type & 0x0f);
      else if (type < FIXSTR) left += type & 0x0f;
      else if (type < 0xc0) this.#past(type & 0x1f);
      else left += this.#skipLong(type);
    }
  }

  /** @returns the values within, which are still to be gone past */
  #skipLong(type: number): number {
    switch (type) {
      case 0xc0: // nil, false, true
      case 0xc2:
      case 0xc3:
        return 0;
      case 0xc4: // bin
      case 0xc5:
      case 0xc6:
        this.#past(this.#uint(1 << (type - 0xc4)));
        return 0;
      case 0xd9: // str
      case 0xda:
      case 0xdb:
        this.#past(this.#uint(1 << (type - 0xd9)));
        return 0;
      case 0xca: // float
      case 0xcb:
        this.#past(type === 0xca ? 4 : 8);
        return 0;
      case 0xcc: // uint, int
      case 0xcd:
      case 0xce:
      case 0xcf:
      case 0xd0:
      case 0xd1:
      case 0xd2:
      case 0xd3:
        this.#past(1 << (type & 0x03));
        return 0;
      case 0xdc: // array
      case 0xdd:
        return this.#uint(type === 0xdc ? 2 : 4);
      case 0xde: // map
      case 0xdf:
        return 2 * this.#uint(type === 0xde ? 2 : 4);
      default:
        throw this.#unexpected(type);
    }
  }

  #isAt(start: number, expected: Buffer): boolean {
    for (let i = 0; i < expected.length; i++) if (this.bytes[start + i] !== expected[i]) return false;
    return true;
  }

  #textLength(): number {
    const type = this.#byte();
    if (type >= FIXSTR && type < 0xc0) return type & 0x1f;
    if (type >= 0xd9 && type <= 0xdb) return this.#uint(1 << (type - 0xd9));
    throw this.#unexpected(type);
  }

  #uint(size: number): number {
    let value = 0;
    for (let i = 0; i < size; i++) value = value * 256 + this.#byte();
    return value;
  }

  #byte(): number {
    const byte = this.bytes[this.#at];
    if (byte === undefined) throw new RangeError(`MessagePack ends before byte ${String(this.#at)}`);
    this.#at++;
    return byte;
  }

  /** Goes past so many bytes. @returns where they begin */
  #past(length: number): number {
    const start = this.#at;
    if (start + length > this.bytes.length)
      throw new RangeError(`MessagePack ends within byte ${String(start)} and on`);
    this.#at = start + length;
    return start;
  }

  #unexpected(type: number): RangeError {
    return new RangeError(
      `MessagePack holds 0x${type.toString(16)} at byte ${String(this.#at - 1)}, which is not looked for`,
    );
  }
}
