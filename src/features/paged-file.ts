import { open } from 'node:fs/promises';
import { deserialize, serialize } from 'node:v8';

/*
 * A file that is read a page at a time:
 *
 *   length ─ header ─ length ─ page ─ length ─ page ─ …      lengths: 4 bytes, big-endian; all else as V8 writes it
 */
const LENGTH_BYTES = 4;
const PAGE_ITEMS = 100;

/** The bytes of a file with a header and items. */
export function pagedBytes(header: unknown, items: readonly unknown[]): Buffer {
  const parts = [header];
  for (let from = 0; from < items.length; from += PAGE_ITEMS) parts.push(items.slice(from, from + PAGE_ITEMS));
  return Buffer.concat(
    parts.flatMap((part) => {
      const bytes = serialize(part);
      const length = Buffer.alloc(LENGTH_BYTES);
      length.writeUInt32BE(bytes.length);
      return [length, bytes];
    }),
  );
}

/** Its header; null: there is no such file. */
export async function readPagedHeader(path: string): Promise<unknown> {
  return (await readPart(path, 0).catch(() => null))?.value ?? null;
}

/** Its items, a page of them in memory; no handle is held between pages. */
export async function* readPagedItems(path: string): AsyncGenerator<unknown, void, undefined> {
  let at = (await readPart(path, 0))?.end ?? 0;
  for (let part = await readPart(path, at); part !== null; part = await readPart(path, at)) {
    at = part.end;
    yield* part.value as unknown[];
  }
}

/** What stands at an offset, and where it ends; null: the file ends there. */
async function readPart(path: string, at: number): Promise<{ value: unknown; end: number } | null> {
  const file = await open(path);
  try {
    const length = Buffer.alloc(LENGTH_BYTES);
    const { bytesRead } = await file.read(length, 0, LENGTH_BYTES, at);
    if (bytesRead < LENGTH_BYTES) return null;
    const bytes = Buffer.alloc(length.readUInt32BE());
    await file.read(bytes, 0, bytes.length, at + LENGTH_BYTES);
    return { value: deserialize(bytes), end: at + LENGTH_BYTES + bytes.length };
  } finally {
    await file.close();
  }
}
