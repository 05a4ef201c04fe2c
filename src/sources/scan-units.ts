import type { RowMapper } from './compile-mapping.js';
import type { LoadUnit } from './group-rows.js';
import { hashFile, type LoadFile } from './load-file.js';
import type { LoadProgress } from './load.model.js';
import type { Mapping } from './mapping.model.js';
import { openUnits } from './send-file.js';

/** For readings of which no event is sent. */
const UNNAMED = { fileHash: '', timeShiftMs: 0 } as const;

export interface Scanning {
  readonly mapping: Mapping;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: LoadProgress) => void;
}

/** @throws WeftError where the columns of the file are not those of the mapping */
export async function checkFit(file: LoadFile, mapping: Mapping): Promise<void> {
  const { opened } = await openUnits(file, mapping, UNNAMED);
  await opened.chunks.return();
}

/**
 * Reads the whole file for a look at what its rows become, of which nothing is sent.
 * @param look is also told what mapped the rows
 */
export async function scanUnits(
  { mapping, signal, onProgress }: Scanning,
  file: LoadFile,
  look: (unit: LoadUnit, mapper: RowMapper) => void,
): Promise<void> {
  const { maker, mapper, opened } = await openUnits(file, mapping, UNNAMED);
  const units: LoadUnit[] = [];
  const bytesTotal = file.sizeBytes;
  let rows = 0;
  const take = (): void => {
    for (const unit of units) look(unit, mapper);
    units.length = 0;
  };
  for await (const { rows: read, bytesRead } of opened.chunks) {
    signal?.throwIfAborted();
    for (const row of read) maker.push(row, units);
    rows += read.length;
    take();
    onProgress?.({ phase: 'scanning', rows, events: 0, refused: 0, bytesRead, bytesTotal });
  }
  maker.end(units);
  take();
}

/** SHA-256 of a file, hex, whose progress is told. */
export function hashed({ signal, onProgress }: Omit<Scanning, 'mapping'>, file: LoadFile): Promise<string> {
  return hashFile(file, signal, (bytesRead) => {
    onProgress?.({ phase: 'hashing', rows: 0, events: 0, refused: 0, bytesRead, bytesTotal: file.sizeBytes });
  });
}
