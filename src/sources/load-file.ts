import { createHash, type Hash } from 'node:crypto';
import { mkdtemp, open, rm, type FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import type { Readable } from 'node:stream';

import { WeftError } from '../platform/errors.js';

const READ_BYTES = 1_048_576;
export const STDIN = '-';

/** A file opened once for all its readings, so that a file put in its place meanwhile is not mixed into it. */
export interface LoadFile {
  readonly handle: FileHandle;
  /** Without folders. */
  readonly name: string;
  readonly sizeBytes: number;
  readonly modifiedMs: number;
}

/**
 * Opens a file; `-` is standard input, which is kept in a temporary file (gone when closed) because a load reads its
 * input twice: to name it by its hash, and to load it.
 * @throws WeftError BAD_REQUEST where it cannot be read.
 */
export async function openLoadFile(path: string, stdin: Readable): Promise<LoadFile> {
  try {
    const handle = path === STDIN ? await spool(copyOf(stdin)) : await open(path, 'r');
    const { size, mtimeMs } = await regularStat(handle, path);
    return { handle, name: path === STDIN ? 'stdin' : basename(path), sizeBytes: size, modifiedMs: mtimeMs };
  } catch (error) {
    if (error instanceof WeftError || !(error instanceof Error && 'code' in error)) throw error;
    const reason = REASONS[String(error.code)] ?? String(error.code);
    throw new WeftError('BAD_REQUEST', `cannot read the file: ${reason}`, { where: path, cause: error });
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is none with this name',
  EACCES: 'no permission',
  EISDIR: 'it is a folder',
  ENOSPC: 'no space for its temporary copy',
};

async function regularStat(handle: FileHandle, path: string): Promise<{ size: number; mtimeMs: number }> {
  const stat = await handle.stat();
  if (stat.isFile()) return stat;
  await handle.close();
  throw new WeftError('BAD_REQUEST', 'not a regular file', { where: path, hint: 'a pipe is read with "-"' });
}

/** A file of what is written, gone when it is closed. */
export async function writeLoadFile(name: string, write: (handle: FileHandle) => Promise<void>): Promise<LoadFile> {
  const handle = await spool(write);
  const { size, mtimeMs } = await handle.stat();
  return { handle, name, sizeBytes: size, modifiedMs: mtimeMs };
}

function copyOf(input: Readable): (handle: FileHandle) => Promise<void> {
  return async (handle) => {
    for await (const chunk of input) await handle.writeFile(chunk as Buffer);
  };
}

/** The temporary file has no name any more when this returns, so nothing is left whatever happens. */
async function spool(write: (handle: FileHandle) => Promise<void>): Promise<FileHandle> {
  const folder = await mkdtemp(join(tmpdir(), 'weft-load-'));
  const handle = await open(join(folder, 'rows'), 'wx+', 0o600);
  try {
    await write(handle);
    return handle;
  } catch (error) {
    await handle.close();
    throw error;
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** SHA-256 of the bytes as they are stored, in hex. `onBytes` is told how many were read. */
export async function hashFile(
  file: LoadFile,
  signal: AbortSignal | undefined,
  onBytes: (bytesRead: number) => void,
): Promise<string> {
  const hash: Hash = createHash('sha256');
  const buffer = Buffer.allocUnsafe(READ_BYTES);
  for (let at = 0; ;) {
    signal?.throwIfAborted();
    const { bytesRead } = await file.handle.read(buffer, 0, READ_BYTES, at);
    if (bytesRead === 0) return hash.digest('hex');
    hash.update(bytesRead === READ_BYTES ? buffer : buffer.subarray(0, bytesRead));
    at += bytesRead;
    onBytes(at);
  }
}

/** @throws WeftError CONFLICT where the file is not what it was when it was opened. */
export async function assertUnchanged(file: LoadFile): Promise<void> {
  const { size, mtimeMs } = await file.handle.stat();
  if (size === file.sizeBytes && mtimeMs === file.modifiedMs) return;
  throw new WeftError('CONFLICT', 'the file was changed while it was loaded', {
    where: file.name,
    hint: 'load it again once nothing writes to it',
  });
}
