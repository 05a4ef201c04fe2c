import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, rename, rm, type FileHandle } from 'node:fs/promises';
import { diskError } from '../platform/disk-error.js';
import { WeftError } from '../platform/errors.js';
import { partEnding, removeLeftParts } from './part-files.js';

export const manifestPathOf = (path: string): string => `${path}.manifest.json`;

/** Levels of a manifest whose fields and items have a line each; what is deeper stands in one. */
const MANIFEST_LEVELS = 3;

/** A manifest as people and programs may read it: JSON, long lists of numbers in one line. */
export function manifestText(manifest: unknown): string {
  return `${foldedJson(manifest, MANIFEST_LEVELS, '')}\n`;
}

function foldedJson(value: unknown, levels: number, indent: string): string {
  if (levels === 0 || typeof value !== 'object' || value === null) return JSON.stringify(value);
  const inner = `${indent}  `;
  const isList = Array.isArray(value);
  const parts = isList
    ? value.map((item) => foldedJson(item, levels - 1, inner))
    : Object.entries(value).flatMap(([key, item]) =>
        item === undefined ? [] : [`${JSON.stringify(key)}: ${foldedJson(item, levels - 1, inner)}`],
      );
  const [open, close] = isList ? ['[', ']'] : ['{', '}'];
  return parts.length === 0 ? `${open}${close}` : `${open}\n${inner}${parts.join(`,\n${inner}`)}\n${indent}${close}`;
}

export interface WrittenFile {
  /** Hex. */
  readonly sha256: string;
  readonly bytes: number;
}

/** Hex SHA-256 of a file that is there. */
export async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const bytes of createReadStream(path) as AsyncIterable<Buffer>) hash.update(bytes);
  return hash.digest('hex');
}

/** A file that is hashed as it is written. */
class HashedFile {
  readonly #hash = createHash('sha256');
  #bytes = 0;

  private constructor(
    readonly path: string,
    readonly file: FileHandle,
  ) {}

  static async create(path: string, mode: number): Promise<HashedFile> {
    try {
      return new HashedFile(path, await open(path, 'wx', mode));
    } catch (error) {
      throw cannotWrite(path, error);
    }
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.#hash.update(bytes);
    this.#bytes += bytes.length;
    await this.file.writeFile(bytes);
  }

  /** Resolves once the file is on disk. */
  async finish(): Promise<WrittenFile> {
    await this.file.sync();
    await this.file.close();
    return { sha256: this.#hash.digest('hex'), bytes: this.#bytes };
  }

  async discard(): Promise<void> {
    await this.file.close().catch(() => undefined);
    await rm(this.path, { force: true });
  }
}

/**
 * Writes a file and what tells of it beside. Both appear under their names once both are whole and on disk, and neither
 * on a failure. Of several who write to one path the last one stands; until then each has files of its own. What runs that
 * were killed have left of them goes.
 * @param fill writes the file, and answers with what says what is told of it, as JSON
 * @param mode of both files
 * @throws WeftError BAD_REQUEST if it cannot be written, UNAVAILABLE where the disk is full
 */
export async function writeWithManifest<M>(
  path: string,
  fill: (file: Pick<HashedFile, 'write'>) => Promise<(written: WrittenFile) => M>,
  mode = 0o666,
): Promise<M> {
  const ending = partEnding();
  const file = await HashedFile.create(`${path}${ending}`, mode);
  const beside = await HashedFile.create(`${manifestPathOf(path)}${ending}`, mode).catch(async (error: unknown) => {
    await file.discard();
    throw error;
  });
  try {
    await removeLeftParts(path, file.path);
    const manifest = (await fill(file))(await file.finish());
    await beside.write(Buffer.from(manifestText(manifest)));
    await beside.finish();
    await putInPlace(file.path, path);
    await putInPlace(beside.path, manifestPathOf(path)).catch(async (error: unknown) => {
      // A file whose manifest cannot be put beside it goes again.
      await rm(path, { force: true });
      throw error;
    });
    return manifest;
  } catch (error) {
    await file.discard();
    await beside.discard();
    throw diskError(error, path);
  }
}

async function putInPlace(part: string, path: string): Promise<void> {
  try {
    await rename(part, path);
  } catch (error) {
    throw cannotWrite(path, error);
  }
}

function cannotWrite(path: string, cause: unknown): WeftError {
  const hint = 'give --out a path in a folder that exists and may be written to';
  return new WeftError('BAD_REQUEST', 'the file cannot be written', { where: path, hint, cause });
}
