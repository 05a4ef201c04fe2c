/* Decodes whatever bytes it is sent, one file after the other, and tells what became of each. */
import { decodeParquet } from '../../src/sources/decode-parquet.js';
import { WeftError } from '../../src/platform/errors.js';

export interface FuzzedFile {
  readonly content: Uint8Array;
}

/** `rows` are those that came before the file was refused, too. */
export interface FuzzOutcome {
  readonly claimed: number | null;
  readonly rows: number;
  /** Null: it was read to its end. */
  readonly refused: string | null;
  /** What is no outcome: an error that is not for whoever reads, or steps that do not fit each other. */
  readonly defect: string | null;
}

async function outcomeOf(content: Uint8Array): Promise<FuzzOutcome> {
  let claimed: number | null = null;
  let rows = 0;
  try {
    const bytes = Uint8Array.from(content).buffer;
    const file = { byteLength: bytes.byteLength, slice: (start: number, end?: number) => bytes.slice(start, end) };
    let width = -1;
    for await (const step of decodeParquet(file)) {
      if (step.kind === 'header') [claimed, width] = [step.rows, step.names.length];
      if (step.kind !== 'rows') continue;
      const lengths = new Set(step.columns.map((column) => column.length));
      if (step.firstRow !== rows || step.columns.length !== width || lengths.size > 1) {
        return { claimed, rows, refused: null, defect: `uneven columns at row ${String(step.firstRow)}` };
      }
      // Fails where a cell is no JSON.
      JSON.parse(JSON.stringify(step.columns));
      rows += step.columns[0]?.length ?? 0;
    }
    return { claimed, rows, refused: null, defect: rows === claimed ? null : `${String(rows)} rows` };
  } catch (error) {
    if (error instanceof WeftError) return { claimed, rows, refused: error.message, defect: null };
    return {
      claimed,
      rows,
      refused: null,
      defect: error instanceof Error ? (error.stack ?? error.message) : String(error),
    };
  }
}

process.on('message', (file) => {
  void outcomeOf((file as FuzzedFile).content).then((outcome) => process.send?.(outcome));
});
