import { Decompress, ZstdErrorCode } from 'fzstd';

import { WeftError } from '../platform/errors.js';

/** The first four bytes of a Zstandard frame, little-endian (RFC 8878 §3.1.1). */
export const ZSTD_MAGIC = 0xfd2fb528;

/** What `zstd` itself decompresses without being told to use more memory: `--long=27`. */
const MAX_WINDOW_BYTES = 128 * 1024 * 1024;
/** Small, because the decoder calls itself once a frame, and a push may hold many of them. */
const PUSH_BYTES = 16_384;
/** Longest frame header up to the window's size. */
const HEAD_BYTES = 17;

/**
 * Decompresses Zstandard data (RFC 8878), of one frame or several, as it comes. Node.js has no decoder of its own before
 * 22.15. Memory is bounded by the window of the frames, which the first one must have within {@link MAX_WINDOW_BYTES}.
 * Checksums are not verified; data that ends early is an error.
 * @throws WeftError BAD_REQUEST
 */
export async function* unzstd(stored: AsyncGenerator<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  const out: Uint8Array[] = [];
  // The decoder's window goes on changing, so what it hands out is copied.
  const decoder = new Decompress((data) => out.push(data.slice()));
  let isFirst = true;
  for await (const chunk of stored) {
    if (isFirst) checkWindow(chunk);
    isFirst = false;
    for (let from = 0; from < chunk.length; from += PUSH_BYTES) {
      push(decoder, chunk.subarray(from, from + PUSH_BYTES), false);
      yield* out.splice(0).filter(({ length }) => length > 0);
    }
  }
  push(decoder, new Uint8Array(0), true);
  yield* out.filter(({ length }) => length > 0);
}

function push(decoder: Decompress, bytes: Uint8Array, isLast: boolean): void {
  try {
    decoder.push(bytes, isLast);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    const isShort = isLast || code === ZstdErrorCode.UnexpectedEOF;
    const what = isShort ? 'the zstd data ends early' : 'the zstd data is broken';
    throw new WeftError('BAD_REQUEST', what, {
      hint: 'get the file again; what was read so far stays loaded',
      cause: error,
    });
  }
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
