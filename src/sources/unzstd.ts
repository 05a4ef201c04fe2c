import { Decompress, ZstdErrorCode } from 'fzstd';

import { WeftError } from '../platform/errors.js';
import { Xxh64 } from '../platform/xxh64.js';
import { ZstdFrames, type FrameEnd } from './zstd-frames.js';

/** What `zstd` itself decompresses without being told to use more memory: `--long=27`. */
const MAX_WINDOW_BYTES = 128 * 1024 * 1024;
/** Small, because what a push decompresses to is held, and a block of one repeated byte is stored in four. */
const PUSH_BYTES = 16_384;
/** Longest frame header up to the window's size. */
const HEAD_BYTES = 17;

/**
 * Decompresses Zstandard data (RFC 8878), of one frame or several, as it comes. Node.js has no decoder of its own before
 * 22.15. Memory is bounded by the window of the frames, which the first one must have within {@link MAX_WINDOW_BYTES}.
 * Data that ends early is an error, and so is a frame whose content does not have the checksum that it carries: nothing
 * of the frames after it comes out, but what the frame itself holds already has, as checksums are at the end.
 * @throws WeftError BAD_REQUEST
 */
export async function* unzstd(stored: AsyncGenerator<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  const frames = new ZstdFrames();
  let frame = new FrameDecoder();
  let isFirst = true;
  for await (const chunk of stored) {
    if (isFirst) checkWindow(chunk);
    isFirst = false;
    for (const { bytes, end } of frames.split(chunk)) {
      for (let from = 0; from < bytes.length; from += PUSH_BYTES) {
        yield* frame.push(bytes.subarray(from, from + PUSH_BYTES), frames.hasChecksum);
      }
      if (end === null) continue;
      yield* frame.finish(end);
      frame = new FrameDecoder();
    }
  }
  if (!frames.isBetweenFrames) throw broken('the zstd data ends early');
}

class FrameDecoder {
  readonly #hash = new Xxh64();
  readonly #decoder: Decompress;
  #out: Uint8Array[] = [];

  constructor() {
    // The decoder's window goes on changing, so what it hands out is copied.
    this.#decoder = new Decompress((data) => {
      if (data.length > 0) this.#out.push(data.slice());
    });
  }

  /** What the frame holds, as far as it is told by its bytes so far. */
  push(bytes: Uint8Array, hasChecksum: boolean): Uint8Array[] {
    return this.#decode(bytes, false, hasChecksum);
  }

  /** @throws WeftError BAD_REQUEST, once all that the frame holds is handed out, where that has another checksum */
  *finish({ checksum, number }: FrameEnd): Generator<Uint8Array, void, undefined> {
    yield* this.#decode(new Uint8Array(0), true, checksum !== null);
    if (checksum === null || Number(this.#hash.digest() & 0xffffffffn) === checksum) return;
    throw new WeftError('BAD_REQUEST', 'the zstd data is damaged: a checksum does not match what was read', {
      where: `frame ${String(number)}`,
      hint: 'get the file again; rows of this frame that are loaded may be wrong: weft load revert takes them back',
    });
  }

  #decode(bytes: Uint8Array, isLast: boolean, hasChecksum: boolean): Uint8Array[] {
    push(this.#decoder, bytes, isLast);
    const out = this.#out;
    this.#out = [];
    if (hasChecksum) for (const part of out) this.#hash.update(part);
    return out;
  }
}

function push(decoder: Decompress, bytes: Uint8Array, isLast: boolean): void {
  try {
    decoder.push(bytes, isLast);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    const isShort = isLast || code === ZstdErrorCode.UnexpectedEOF;
    const what = isShort ? 'the zstd data ends early' : 'the zstd data is broken';
    throw broken(what, error);
  }
}

function broken(what: string, cause?: unknown): WeftError {
  return new WeftError('BAD_REQUEST', what, {
    hint: 'get the file again; what was read so far stays loaded',
    ...(cause === undefined ? undefined : { cause }),
  });
}

/** RFC 8878 §3.1.1.1: the descriptor says whether a window descriptor or only the content's size follows. */
function checkWindow(bytes: Uint8Array): void {
  const head = Buffer.alloc(HEAD_BYTES);
  head.set(bytes.subarray(0, HEAD_BYTES));
  const descriptor = head[4] ?? 0;
  const isSingleSegment = (descriptor & 0x20) !== 0;
  const exponent = (head[5] ?? 0) >> 3;
  const mantissa = (head[5] ?? 0) & 7;
  const base = 2 ** (10 + exponent);
  const windowBytes = isSingleSegment ? contentSize(head, descriptor) : base + (base / 8) * mantissa;
  if (windowBytes <= MAX_WINDOW_BYTES) return;
  throw new WeftError('BAD_REQUEST', 'the zstd data needs a window of more than 128 MiB', {
    where: 'byte 4',
    hint: 'compress it again without --ultra --long of more than 27',
  });
}

function contentSize(head: Buffer, descriptor: number): number {
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 3] ?? 0;
  const at = 5 + dictionaryBytes;
  const kind = descriptor >> 6;
  if (kind === 0) return head[at] ?? 0;
  if (kind === 1) return head.readUInt16LE(at) + 256;
  return kind === 2 ? head.readUInt32LE(at) : Number(head.readBigUInt64LE(at));
}
