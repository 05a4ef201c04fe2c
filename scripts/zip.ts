import { crc32, deflateRawSync } from 'node:zlib';

export interface ZipEntry {
  /** With `/` between folders; ASCII. */
  readonly name: string;
  readonly content: Buffer;
}

const VERSION = 20;
const DEFLATE = 8;
/** Midnight of 1 January 1980, the first time that a zip can tell: the same files make the same bytes. */
const DATE = (1 << 5) | 1;

/**
 * A zip archive (PKWARE APPNOTE 6.3.10, §4.3) of a few small files.
 *
 *   local header, data  for each file
 *   directory entry     for each file
 *   end of directory
 */
export function zip(entries: readonly ZipEntry[]): Buffer {
  const bodies: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const { name, content } of entries) {
    const data = deflateRawSync(content, { level: 9 });
    const about = describe(name, content, data);
    const local = Buffer.concat([word32(0x04034b50), about, Buffer.from(name), data]);
    // Comment, disk, attributes: none; then where the local header is.
    const rest = Buffer.concat([Buffer.alloc(2 + 2 + 2 + 4), word32(offset)]);
    directory.push(word32(0x02014b50), word16(VERSION), about, rest, Buffer.from(name));
    bodies.push(local);
    offset += local.length;
  }
  const index = Buffer.concat(directory);
  const counts = Buffer.concat([word16(entries.length), word16(entries.length)]);
  const end = [word32(0x06054b50), Buffer.alloc(4), counts, word32(index.length), word32(offset), word16(0)];
  return Buffer.concat([...bodies, index, ...end]);
}

/** The fields that local header and directory entry share, in order. */
function describe(name: string, content: Buffer, data: Buffer): Buffer {
  return Buffer.concat([
    ...[VERSION, 0, DEFLATE, 0, DATE].map(word16),
    ...[crc32(content), data.length, content.length].map(word32),
    ...[name.length, 0].map(word16),
  ]);
}

function word16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16LE(value);
  return bytes;
}

function word32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}
