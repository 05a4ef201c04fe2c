import type { FileHandle } from 'node:fs/promises';

import { WeftError } from '../../platform/errors.js';
import { writeLoadFile, type LoadFile } from '../load-file.js';
import { WAREHOUSE_LIMITS, type WarehouseSource, type WindowStart } from './warehouse.model.js';

const WRITE_BYTES = 1_048_576;

export interface Spooling {
  readonly start: WindowStart;
  /** The window ends with the value of the cursor that reaches this; null: with the last row. */
  readonly minRows: number | null;
  readonly maxBytes?: number;
  readonly signal: AbortSignal | undefined;
  readonly onRows?: (rows: number) => void;
}

export interface SpooledWindow {
  /** JSON lines. To be closed by who gets it. */
  readonly file: LoadFile;
  readonly rows: number;
  /** The cursor of the last row; null where the query has none. */
  readonly last: string | null;
  /** Whether there were no more rows. */
  readonly isLast: boolean;
}

/**
 * Copies the rows after a place to a temporary file, which has no name, so that the transaction ends before anything is
 * sent. Rows of one cursor value are in one window, so that reading on from that value leaves none out. Null: no rows.
 * @throws WeftError PAYLOAD_TOO_LARGE where the window is too large for a file
 */
export async function spoolWindow(
  source: WarehouseSource,
  { start, minRows, maxBytes = WAREHOUSE_LIMITS.maxWindowBytes, signal, onRows }: Spooling,
): Promise<SpooledWindow | null> {
  let rows = 0;
  let last: string | null = null;
  let isLast = true;
  const copy = async (handle: FileHandle): Promise<void> => {
    const writer = new BoundedWriter(handle, maxBytes, source.place);
    for await (const batch of source.read(start, signal)) {
      for (const { record, cursor } of batch) {
        if (minRows !== null && rows >= minRows && cursor !== last) {
          isLast = false;
          break;
        }
        rows++;
        last = cursor;
        await writer.write(`${JSON.stringify(record)}\n`);
      }
      onRows?.(rows);
      if (!isLast) break;
    }
    await writer.end();
  };
  const file = await writeLoadFile(source.place, copy);
  if (rows > 0) return { file, rows, last, isLast };
  await file.handle.close();
  return null;
}

class BoundedWriter {
  #parts: string[] = [];
  #pendingLength = 0;
  #bytes = 0;

  constructor(
    private readonly handle: FileHandle,
    private readonly maxBytes: number,
    private readonly place: string,
  ) {}

  async write(line: string): Promise<void> {
    this.#parts.push(line);
    this.#pendingLength += line.length;
    if (this.#pendingLength >= WRITE_BYTES) await this.end();
  }

  async end(): Promise<void> {
    const bytes = Buffer.from(this.#parts.join(''));
    this.#parts = [];
    this.#pendingLength = 0;
    this.#bytes += bytes.length;
    if (this.#bytes > this.maxBytes) {
      throw new WeftError('PAYLOAD_TOO_LARGE', `the rows have more than ${String(this.maxBytes)} bytes at once`, {
        where: `from, ${this.place}`,
        hint: 'give "from" a "cursor" of many values, by which rows are read in windows',
      });
    }
    await this.handle.writeFile(bytes);
  }
}
