/** The first four bytes of a Zstandard frame, little-endian (RFC 8878 §3.1.1). */
export const ZSTD_MAGIC = 0xfd2fb528;

/** Magic numbers of skippable frames differ in their lowest four bits (RFC 8878 §3.1.2). */
const SKIPPABLE_MAGIC = 0x184d2a50;
/** A block of one repeated byte, which is stored once whatever its size says. */
const RUN_BLOCK = 1;

/** Stored bytes of one frame. */
export interface FramePiece {
  readonly bytes: Uint8Array;
  /** Set on the last piece of a frame. */
  readonly end: FrameEnd | null;
}

export interface FrameEnd {
  /** The lower 32 bits of the XXH64 of what the frame holds; null: it carries none. */
  readonly checksum: number | null;
  /** The frame's, from 1. */
  readonly number: number;
}

type Part =
  'magic' | 'descriptor' | 'header' | 'block header' | 'block' | 'checksum' | 'skippable size' | 'skippable content';

/**
 * Finds where the frames of Zstandard data end, and their checksums, as the bytes come. Nothing is decompressed; what is
 * no frame is left for the decoder to refuse.
 *
 *     magic 4 │ descriptor 1 │ header 0…13 │ block header 3 │ block │ … │ checksum 0 or 4      RFC 8878 §3.1.1
 *     magic 4 │ size 4 │ content                                                  skippable    RFC 8878 §3.1.2
 */
export class ZstdFrames {
  #part: Part = 'magic';
  /** Bytes of this part that are still to come. */
  #missing = 4;
  #taken = 0;
  /** The first four bytes of this part, little-endian. */
  #value = 0;
  #number = 0;
  #hasChecksum = false;
  #isLastBlock = false;

  /** Whether the frame of the last piece carries a checksum; known before anything that it holds is. */
  get hasChecksum(): boolean {
    return this.#hasChecksum;
  }

  /** Whether a frame has ended with the last byte, or none has begun. */
  get isBetweenFrames(): boolean {
    return this.#part === 'magic' && this.#taken === 0;
  }

  *split(chunk: Uint8Array): Generator<FramePiece, void, undefined> {
    let from = 0;
    for (let at = 0; at < chunk.length;) {
      at += this.#take(chunk, at);
      while (this.#missing === 0) {
        const end = this.#next();
        if (end === null) continue;
        yield { bytes: chunk.subarray(from, at), end };
        from = at;
      }
    }
    if (from < chunk.length) yield { bytes: chunk.subarray(from), end: null };
  }

  /** Takes what there is of this part, and tells how many bytes that is. */
  #take(chunk: Uint8Array, at: number): number {
    const bytes = Math.min(this.#missing, chunk.length - at);
    for (let i = 0; i < bytes && this.#taken + i < 4; i++) {
      this.#value = (this.#value | ((chunk[at + i] ?? 0) << (8 * (this.#taken + i)))) >>> 0;
    }
    this.#taken += bytes;
    this.#missing -= bytes;
    return bytes;
  }

  /** Goes on to the part that follows; the end of the frame, if none does. */
  #next(): FrameEnd | null {
    const value = this.#value;
    switch (this.#part) {
      case 'magic':
        this.#number++;
        return (value & 0xfffffff0) >>> 0 === SKIPPABLE_MAGIC
          ? this.#expect('skippable size', 4)
          : this.#expect('descriptor', 1);
      case 'descriptor':
        this.#hasChecksum = (value & 4) !== 0;
        return this.#expect('header', headerBytes(value));
      case 'block header': {
        this.#isLastBlock = (value & 1) !== 0;
        const isRun = ((value >> 1) & 3) === RUN_BLOCK;
        return this.#expect('block', isRun ? 1 : value >> 3);
      }
      case 'header':
        return this.#expect('block header', 3);
      case 'block':
        if (!this.#isLastBlock) return this.#expect('block header', 3);
        return this.#hasChecksum ? this.#expect('checksum', 4) : this.#end(null);
      case 'checksum':
        return this.#end(value);
      case 'skippable size':
        return this.#expect('skippable content', value);
      case 'skippable content':
        return this.#end(null);
    }
  }

  #expect(part: Part, bytes: number): null {
    this.#part = part;
    this.#missing = bytes;
    this.#taken = 0;
    this.#value = 0;
    return null;
  }

  #end(checksum: number | null): FrameEnd {
    this.#expect('magic', 4);
    return { checksum, number: this.#number };
  }
}

/** Of window, dictionary and size of the content, as the descriptor says (RFC 8878 §3.1.1.1.1). */
function headerBytes(descriptor: number): number {
  const isSingleSegment = (descriptor & 0x20) !== 0;
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 3] ?? 0;
  const sizeFlag = descriptor >> 6;
  const sizeBytes = sizeFlag === 0 ? Number(isSingleSegment) : 1 << sizeFlag;
  return Number(!isSingleSegment) + dictionaryBytes + sizeBytes;
}
