import { ByteWriter, ParquetWriter, type SchemaElement } from 'hyparquet-writer';
import type { FeatureType } from './feature.model.js';
import type { TrainingCell, TrainingColumn } from './training-set.model.js';

/** Cells of a row group at most; what is held in memory. */
const MAX_GROUP_CELLS = 2_000_000;
const MAX_GROUP_ROWS = 50_000;

type ParquetCell = string | number | bigint | boolean | readonly bigint[] | null;

/**
 * A Parquet file, row group by row group: whole numbers as INT64, times as TIMESTAMP_MILLIS in UTC, lists of times as a
 * LIST of INT64 (ms). Every column but those lists may be null.
 */
export class ParquetRows {
  readonly #columns: readonly TrainingColumn[];
  readonly #groupRows: number;
  readonly #bytes = new ByteWriter(1 << 20);
  readonly #writer: ParquetWriter;
  #cells: ParquetCell[][];
  #rows = 0;

  constructor(columns: readonly TrainingColumn[]) {
    this.#columns = columns;
    this.#groupRows = Math.max(1, Math.min(MAX_GROUP_ROWS, Math.floor(MAX_GROUP_CELLS / columns.length)));
    this.#cells = columns.map(() => []);
    const schema = [{ name: 'root', num_children: columns.length }, ...columns.flatMap(schemaOf)];
    this.#writer = new ParquetWriter({ writer: this.#bytes, schema, createdBy: 'weft' });
  }

  /** Takes a row; the bytes of a row group once it is full, else null. They are valid until the next call. */
  add(cells: readonly TrainingCell[]): Uint8Array | null {
    this.#columns.forEach(({ type }, i) => this.#cells[i]?.push(parquetCell(cells[i] ?? null, type)));
    this.#rows++;
    return this.#rows < this.#groupRows ? null : this.#flush();
  }

  /** The rest of the file. */
  end(): Uint8Array {
    const rest = Buffer.from(this.#rows === 0 ? this.#taken() : this.#flush());
    void this.#writer.finish();
    return Buffer.concat([rest, this.#taken()]);
  }

  #flush(): Uint8Array {
    const columnData = this.#columns.map(({ name }, i) => ({ name, data: this.#cells[i] ?? [] }));
    void this.#writer.write({ columnData, rowGroupSize: this.#rows });
    this.#cells = this.#columns.map(() => []);
    this.#rows = 0;
    return this.#taken();
  }

  /** What was written since the last call; offsets in the file go on counting. */
  #taken(): Uint8Array {
    const bytes = this.#bytes.getBytes();
    this.#bytes.index = 0;
    return bytes;
  }
}

function schemaOf({ name, type }: TrainingColumn): SchemaElement[] {
  switch (type) {
    case 'int':
      return [{ name, type: 'INT64', repetition_type: 'OPTIONAL' }];
    case 'double':
      return [{ name, type: 'DOUBLE', repetition_type: 'OPTIONAL' }];
    case 'bool':
      return [{ name, type: 'BOOLEAN', repetition_type: 'OPTIONAL' }];
    case 'timestamp':
      return [{ name, type: 'INT64', converted_type: 'TIMESTAMP_MILLIS', repetition_type: 'OPTIONAL' }];
    case 'string':
      return [{ name, type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'OPTIONAL' }];
    case 'times':
      return [
        { name, repetition_type: 'OPTIONAL', converted_type: 'LIST', num_children: 1 },
        { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
        { name: 'element', type: 'INT64', repetition_type: 'REQUIRED' },
      ];
  }
}

function parquetCell(cell: TrainingCell, type: FeatureType): ParquetCell {
  if (cell === null) return null;
  if (typeof cell === 'object') return cell.map((time) => BigInt(time));
  return (type === 'int' || type === 'timestamp') && typeof cell === 'number' ? BigInt(cell) : cell;
}
