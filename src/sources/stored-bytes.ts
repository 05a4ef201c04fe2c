import type { FileHandle } from 'node:fs/promises';
import { pipeline, Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';

import { WeftError } from '../platform/errors.js';
import { unzstd } from './unzstd.js';
import { ZSTD_MAGIC } from './zstd-frames.js';

const CHUNK_BYTES = 262_144;
const GZIP_MAGIC = 0x1f8b;
const PARQUET_MAGIC = Buffer.from('PAR1');
const HEAD_BYTES = 4;

/** What the first bytes of a file say that it is. `plain`: none of the others, as texts are. */
export type StoredAs = 'plain' | 'gzip' | 'zstd' | 'parquet';

export async function storedAs(file: FileHandle): Promise<StoredAs> {
  const head = Buffer.alloc(HEAD_BYTES);
  const { bytesRead } = await file.read(head, 0, HEAD_BYTES, 0);
  if (bytesRead >= 2 && head.readUInt16BE(0) === GZIP_MAGIC) return 'gzip';
  if (bytesRead < HEAD_BYTES) return 'plain';
  if (head.readUInt32LE(0) === ZSTD_MAGIC) return 'zstd';
  return head.equals(PARQUET_MAGIC) ? 'parquet' : 'plain';
}

/**
 * The bytes of a file from its first one, decompressed. The handle stays open and can be read again.
 * @param progress gets the bytes of the file, as it is stored, that were read so far
 * @throws WeftError BAD_REQUEST where compressed data is cut off or broken
 */
export async function* decompressedBytes(
  file: FileHandle,
  compression: StoredAs,
  progress: { bytesRead: number },
): AsyncGenerator<Uint8Array, void, undefined> {
  const stored = storedBytes(file, progress);
  if (compression === 'zstd') yield* unzstd(stored);
  else if (compression === 'gzip') yield* gunzipped(stored);
  else yield* stored;
}

/** By position, so that the handle can be read by others meanwhile. */
async function* storedBytes(file: FileHandle, progress: { bytesRead: number }): AsyncGenerator<Buffer> {
  for (;;) {
    const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
    const { bytesRead } = await file.read(buffer, 0, CHUNK_BYTES, progress.bytesRead);
    if (bytesRead === 0) return;
    progress.bytesRead += bytesRead;
    yield bytesRead === CHUNK_BYTES ? buffer : buffer.subarray(0, bytesRead);
  }
}

async function* gunzipped(stored: AsyncGenerator<Buffer>): AsyncGenerator<Buffer, void, undefined> {
  const gunzip = createGunzip({ chunkSize: CHUNK_BYTES });
  // The callback is required; errors reach the reader through the destroyed gunzip stream.
  pipeline(Readable.from(stored, { objectMode: false }), gunzip, () => undefined);
  try {
    for await (const chunk of gunzip) yield chunk as Buffer;
  } catch (error) {
    throw gzipError(error);
  }
}

function gzipError(error: unknown): unknown {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code !== 'Z_BUF_ERROR' && code !== 'Z_DATA_ERROR') return error;
  const what = code === 'Z_BUF_ERROR' ? 'the gzip data ends early' : 'the gzip data is broken';
  return new WeftError('BAD_REQUEST', what, {
    hint: 'get the file again; what was read so far stays loaded',
    cause: error,
  });
}
