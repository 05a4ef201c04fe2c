import { compileConditions, TRUE, type Test } from './compile-condition.js';
import { columnsOf, type Condition, type Operand } from './condition.model.js';
import { keySpaceOf } from './key-space.js';
import type { Comparison } from './linkage-model.model.js';
import type { RecordTable } from './record-table.js';
import { compileSteps } from './value-steps.js';

/** Entries of the cache of one comparison: 9 bytes each. A power of two. */
const CACHE_ENTRIES = 1 << 18;
/** With more keys, hardly any pair of them comes up twice before its place in the cache is taken. */
const MAX_CACHED_KEYS = 10_000;
const NOT_KNOWN = -1;

/** The level that a comparison puts a pair of records on. */
export interface LevelFinder {
  /** @returns index of the level; -1 where no condition holds, which weighs 0 */
  levelOf(left: number, right: number): number;
}

/**
 * Compares distinct combinations of values and not records: what is worked out for one pair of them is kept for the next
 * that comes up with the same two, in a cache of fixed size in which a newer pair takes the place of an older one.
 */
export function compileComparison({ levels }: Comparison, table: RecordTable): LevelFinder {
  const conditions = levels.map(({ condition }) => condition);
  const columns = [...new Set(conditions.flatMap(columnsOf))].sort();
  const space = keySpaceOf(
    columns.map((column) => table.column(column)),
    table.size,
  );
  const { store } = table;
  const known = new Map<string, Int32Array>();
  const rows = ({ expression }: Exclude<Operand, { side: 'none' }>): Int32Array => {
    const name = JSON.stringify(expression);
    let values = known.get(name);
    if (values === undefined) {
      const column = space.columns[columns.indexOf(expression.column)] as Int32Array;
      values = column.map(compileSteps(expression, store));
      known.set(name, values);
    }
    return values;
  };
  const { tests, memo } = compileConditions(conditions, store, rows);
  const find = (a: number, b: number): number => {
    memo.next();
    return firstTrue(tests, a, b);
  };
  return new CachedLevels(space.keyOf, space.size, find, conditions.every(isSymmetric));
}

function firstTrue(tests: readonly Test[], a: number, b: number): number {
  for (let level = 0; level < tests.length; level++) if ((tests[level] as Test)(a, b) === TRUE) return level;
  return NOT_KNOWN;
}

class CachedLevels implements LevelFinder {
  readonly #keyOf: Int32Array;
  readonly #find: (a: number, b: number) => number;
  readonly #isSymmetric: boolean;
  /** Level of a key with itself, plus 2; 0 where it is not worked out. */
  readonly #ofEqual: Uint8Array;
  readonly #mask: number;
  readonly #left: Int32Array;
  readonly #right: Int32Array;
  readonly #level: Int8Array;

  constructor(keyOf: Int32Array, keys: number, find: (a: number, b: number) => number, symmetric: boolean) {
    this.#keyOf = keyOf;
    this.#find = find;
    this.#isSymmetric = symmetric;
    this.#ofEqual = new Uint8Array(keys);
    let entries = 16;
    while (entries < CACHE_ENTRIES && entries < keys * keys) entries *= 2;
    if (keys > MAX_CACHED_KEYS) entries = 1;
    this.#mask = entries - 1;
    this.#left = new Int32Array(entries).fill(NOT_KNOWN);
    this.#right = new Int32Array(entries).fill(NOT_KNOWN);
    this.#level = new Int8Array(entries);
  }

  levelOf(left: number, right: number): number {
    let a = this.#keyOf[left] as number;
    let b = this.#keyOf[right] as number;
    if (a === b) return this.#levelOfEqual(a);
    if (a > b && this.#isSymmetric) [a, b] = [b, a];
    if (this.#mask === 0) return this.#find(a, b);
    const at = ((Math.imul(a, 0x9e3779b1) ^ Math.imul(b, 0x85ebca6b)) >>> 7) & this.#mask;
    if (this.#left[at] === a && this.#right[at] === b) return this.#level[at] as number;
    const level = this.#find(a, b);
    this.#left[at] = a;
    this.#right[at] = b;
    this.#level[at] = level;
    return level;
  }

  #levelOfEqual(key: number): number {
    const known = this.#ofEqual[key] as number;
    if (known !== 0) return known - 2;
    const level = this.#find(key, key);
    this.#ofEqual[key] = level + 2;
    return level;
  }
}

/** Whether a condition says the same when the records change places. */
export function isSymmetric(condition: Condition): boolean {
  return canonical(condition, false) === canonical(condition, true);
}

function canonical(condition: Condition, isMirrored: boolean): string {
  switch (condition.kind) {
    case 'else':
      return 'else';
    case 'all':
    case 'any':
      return `${condition.kind}(${condition.of
        .map((part) => canonical(part, isMirrored))
        .sort()
        .join()})`;
    case 'not':
      return `not(${canonical(condition.of, isMirrored)})`;
    case 'missing':
      return `missing(${operandText(condition.operand, isMirrored)})`;
    case 'equal':
      return `equal(${operandTexts([condition.left, condition.right], isMirrored)})`;
    case 'measure':
      return `${condition.measure}${condition.sign}${condition.bound}(${operandTexts(condition.operands, isMirrored)})`;
  }
}

/** All measures are the same in either direction. */
function operandTexts(operands: readonly Operand[], isMirrored: boolean): string {
  return operands
    .map((operand) => operandText(operand, isMirrored))
    .sort()
    .join();
}

function operandText(operand: Operand, isMirrored: boolean): string {
  if (operand.side === 'none') return JSON.stringify(operand.text);
  const isLeft = (operand.side === 'left') !== isMirrored;
  return `${isLeft ? 'l' : 'r'}${JSON.stringify(operand.expression)}`;
}
