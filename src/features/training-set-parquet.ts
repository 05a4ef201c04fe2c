import { ByteWriter, ParquetWriter, type SchemaElement } from 'hyparquet-writer';
import {
  isItemType,
  isList,
  isMapType,
  itemTypeOf,
  type FeatureType,
  type Item,
  type ItemType,
} from './feature.model.js';
import type { TrainingCell, TrainingColumn } from './training-set.model.js';

/** Cells of a row group at most; what is held in memory. */
const MAX_GROUP_CELLS = 2_000_000;
const MAX_GROUP_ROWS = 50_000;

type ParquetItem = string | number | bigint | boolean;
type ParquetCell = ParquetItem | readonly ParquetItem[] | Readonly<Record<string, number>> | null;

/**
 * A Parquet file, row group by row group: whole numbers as INT64, times as TIMESTAMP_MILLIS in UTC, lists of times as a
 * LIST of INT64 (ms), other lists as a LIST of what their items are, maps as JSON. Every column but lists may be null.
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

const ITEMS: { readonly [T in ItemType]: Pick<SchemaElement, 'type' | 'converted_type'> } = {
  int: { type: 'INT64' },
  double: { type: 'DOUBLE' },
  bool: { type: 'BOOLEAN' },
  timestamp: { type: 'INT64', converted_type: 'TIMESTAMP_MILLIS' },
  string: { type: 'BYTE_ARRAY', converted_type: 'UTF8' },
};

function schemaOf({ name, type }: TrainingColumn): SchemaElement[] {
  if (isMapType(type)) return [{ name, type: 'BYTE_ARRAY', converted_type: 'JSON', repetition_type: 'OPTIONAL' }];
  if (isItemType(type)) return [{ name, ...ITEMS[type], repetition_type: 'OPTIONAL' }];
  return [
    { name, repetition_type: 'OPTIONAL', converted_type: 'LIST', num_children: 1 },
    { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
    { name: 'element', ...ITEMS[itemTypeOf(type) ?? 'int'], repetition_type: 'REQUIRED' },
  ];
}

function parquetCell(cell: TrainingCell, type: FeatureType): ParquetCell {
  if (cell === null) return null;
  if (typeof cell !== 'object') return parquetItem(cell, type);
  const item = itemTypeOf(type) ?? 'int';
  // Columns of JSON are turned into text by the writer.
  return isList(cell) ? cell.map((each) => parquetItem(each, item)) : cell;
}

function parquetItem(item: Item, type: FeatureType): ParquetItem {
  return (type === 'int' || type === 'timestamp') && typeof item === 'number' ? BigInt(item) : item;
}
