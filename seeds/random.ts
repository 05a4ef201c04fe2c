/**
 * Deterministic pseudo-random numbers: the same seed gives the same sequence on every machine and Node version.
 * The generator is sfc32 (Chris Doty-Humphrey, PractRand), seeded by FNV-1a of a text.
 */
export class SeededRandom {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  /** Each topic draws from its own generator (`new SeededRandom('web/cookies')`), so that one never shifts another. */
  constructor(seed: string) {
    this.#a = fnv1a(`${seed}/a`);
    this.#b = fnv1a(`${seed}/b`);
    this.#c = fnv1a(`${seed}/c`);
    for (let i = 0; i < 12; i++) this.#uint32();
  }

  /** Uniform in [0, 1), 32 bits of it. */
  next(): number {
    return this.#uint32() / 4294967296;
  }

  /** Uniform integer in [0, bound). */
  int(bound: number): number {
    return Math.floor(this.next() * bound);
  }

  /** True with the given probability, 0…1. */
  chance(probability: number): boolean {
    return this.next() < probability;
  }

  /** One of a non-empty list. */
  pick<T>(items: readonly T[]): T {
    const item = items[this.int(items.length)];
    if (item === undefined) throw new RangeError('cannot pick from an empty list');
    return item;
  }

  /** Index in [0, bound) with the low ones likelier: `floor(bound · u^power)`. */
  skewedInt(bound: number, power = 2): number {
    return Math.floor(bound * this.next() ** power);
  }

  /** A copy in random order (Fisher–Yates). */
  shuffle<T>(items: readonly T[]): T[] {
    const result = [...items];
    for (let i = result.length - 1; i > 0; i--) {
      const j = this.int(i + 1);
      const swapped = result[i] as T;
      result[i] = result[j] as T;
      result[j] = swapped;
    }
    return result;
  }

  /** A UUID in the form of version 4. */
  uuid(): string {
    let hex = '';
    for (let i = 0; i < 4; i++) hex += this.#uint32().toString(16).padStart(8, '0');
    const variant = ((Number.parseInt(hex.charAt(16), 16) & 0x3) | 0x8).toString(16);
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20)}`;
  }

  #uint32(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (this.#c << 21) | (this.#c >>> 11);
    this.#c = (this.#c + sum) | 0;
    return sum >>> 0;
  }
}

/** FNV-1a, 32 bits, over UTF-16 code units (http://www.isthe.com/chongo/tech/comp/fnv/). */
function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) {
    hash ^= text.charCodeAt(i);
    hash = Math.imul(hash, 0x01000193);
  }
  return hash | 0;
}
