import type { FileHandle } from 'node:fs/promises';

import type { JsonObject } from '../events/event.model.js';
import { WeftError } from '../platform/errors.js';
import type { ParquetStep } from './decode-parquet.js';
import { ParquetDecoder } from './parquet-decoder.js';
import type { RowChunk, RowFeed, SourceRow } from './row.model.js';

/** Time that a row group has, on a busy machine, too. */
const GROUP_TIMEOUT_MS = 60_000;

export interface ParquetOptions {
  /** How errors call the file; null: they do not. */
  readonly name?: string | null;
  /** Time for each row group. */
  readonly groupTimeoutMs?: number;
}

type DecodedRows = Extract<ParquetStep, { kind: 'rows' }>;

/**
 * The rows of a Parquet file as objects, numbered from 1, in memory bounded by its largest row group. Compressions:
 * snappy, gzip, brotli, lz4, zstd and none. They are decoded by a process of its own, because a damaged file may keep a
 * decoder busy for ever; it ends with the rows, or once they are not read any further.
 * @throws WeftError BAD_REQUEST where it is no readable Parquet file, or a row group of it is too large; while reading:
 *   where its data are broken
 */
export async function openParquet(
  file: FileHandle,
  { name = null, groupTimeoutMs = GROUP_TIMEOUT_MS }: ParquetOptions = {},
): Promise<RowFeed> {
  const { size } = await file.stat();
  const decoder = new ParquetDecoder(file, groupTimeoutMs);
  try {
    const step = await named(name, decoder.next());
    if (step?.kind !== 'header') throw new Error('a Parquet decoder begins with the header');
    return { header: step.names, chunks: new ParquetChunks(decoder, { ...step, name, size }) };
  } catch (error) {
    decoder.close();
    throw error;
  }
}

interface Opened {
  readonly names: readonly string[];
  readonly rows: number;
  readonly name: string | null;
  readonly size: number;
}

/** No generator function: one that was never asked for anything would not hear that it is over, and leave the process. */
class ParquetChunks implements AsyncGenerator<RowChunk, void, undefined> {
  readonly #decoder: ParquetDecoder;
  readonly #opened: Opened;
  /** Decoded while the rows before are used: one chunk, so that neither waits for the other and little is held. */
  #ahead: Promise<DecodedRows | null> | null = null;
  #isOver = false;

  constructor(decoder: ParquetDecoder, opened: Opened) {
    this.#decoder = decoder;
    this.#opened = opened;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<RowChunk, void>> {
    if (this.#isOver) return { done: true, value: undefined };
    const { name, names, size, rows: total } = this.#opened;
    try {
      const decoded = await named(name, this.#ahead ?? this.#nextRows());
      if (decoded === null) {
        this.#close();
        return { done: false, value: { rows: [], bytesRead: size } };
      }
      this.#ahead = this.#nextRows();
      // Its failure is told when it is asked for, or not at all.
      this.#ahead.catch(() => undefined);
      const rows = rowsOf(names, decoded);
      return { done: false, value: { rows, bytesRead: Math.floor(size * ((decoded.firstRow + rows.length) / total)) } };
    } catch (error) {
      this.#close();
      throw error;
    }
  }

  return(): Promise<IteratorResult<RowChunk, void>> {
    this.#close();
    return Promise.resolve({ done: true, value: undefined });
  }

  throw(error: unknown): Promise<IteratorResult<RowChunk, void>> {
    this.#close();
    return Promise.reject(error instanceof Error ? error : new Error(String(error)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  #close(): void {
    this.#isOver = true;
    this.#decoder.close();
  }

  async #nextRows(): Promise<DecodedRows | null> {
    for (;;) {
      const step = await this.#decoder.next();
      if (step === null || step.kind === 'rows') return step;
    }
  }
}

function rowsOf(names: readonly string[], { firstRow, columns }: DecodedRows): SourceRow[] {
  const rows: SourceRow[] = [];
  const count = columns[0]?.length ?? 0;
  for (let at = 0; at < count; at++) {
    const record: JsonObject = {};
    for (const [i, name] of names.entries()) record[name] = columns[i]?.[at] ?? null;
    rows.push({ number: firstRow + at + 1, cells: null, record, fault: null });
  }
  return rows;
}

async function named<T>(name: string | null, reading: Promise<T>): Promise<T> {
  try {
    return await reading;
  } catch (error) {
    if (name === null || !(error instanceof WeftError) || error.where !== undefined) throw error;
    const { code, message, hint, cause } = error;
    throw new WeftError(code, message, { where: name, cause, ...(hint === undefined ? {} : { hint }) });
  }
}
