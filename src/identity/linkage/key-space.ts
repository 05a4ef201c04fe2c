/** The distinct combinations of values in some columns, numbered from 0. */
export interface KeySpace {
  /** By record. */
  readonly keyOf: Int32Array;
  readonly size: number;
  /** By column, then by key: the numbers of the values. */
  readonly columns: readonly Int32Array[];
}

/** @param columns numbers of values by record, -1 where missing */
export function keySpaceOf(columns: readonly Int32Array[], records: number): KeySpace {
  let keyOf = new Int32Array(records);
  let size = records === 0 ? 0 : 1;
  for (const column of columns) [keyOf, size] = refined(keyOf, column);
  const sample = new Int32Array(size);
  for (let i = 0; i < records; i++) sample[keyOf[i] as number] = i;
  return { keyOf, size, columns: columns.map((column) => sample.map((record) => column[record] as number)) };
}

/** Keys told apart by one more column. */
function refined(keyOf: Int32Array, column: Int32Array): [keyOf: Int32Array<ArrayBuffer>, size: number] {
  let values = 0;
  for (const value of column) if (value >= values) values = value + 1;
  const numbers = new Map<number, number>();
  const result = new Int32Array(keyOf.length);
  for (let i = 0; i < keyOf.length; i++) {
    const combined = (keyOf[i] as number) * (values + 1) + (column[i] as number) + 1;
    let number = numbers.get(combined);
    if (number === undefined) {
      number = numbers.size;
      numbers.set(combined, number);
    }
    result[i] = number;
  }
  return [result, numbers.size];
}
