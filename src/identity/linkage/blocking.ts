import { compileConditions, TRUE, type Test } from './compile-condition.js';
import { columnsOf, type Operand } from './condition.model.js';
import { keySpaceOf } from './key-space.js';
import type { BlockingRule } from './linkage-model.model.js';
import type { RecordTable } from './record-table.js';
import { compileSteps } from './value-steps.js';
import { MISSING, type ValueStore } from './value-store.js';

/** Columns that the rules read. */
export function blockingColumns(rules: readonly BlockingRule[]): string[] {
  const columns = rules.flatMap(({ keys, filter }) => [
    ...keys.map(({ column }) => column),
    ...(filter === null ? [] : columnsOf(filter)),
  ]);
  return [...new Set(columns)].sort();
}

/**
 * One rule on the records of a table: which records are in one block. A record may be in several blocks where a key is a
 * list, and is in none where a key is missing.
 */
export class RuleBlocks {
  readonly rule: BlockingRule;
  /** Blocks of record `i`: `blocks[starts[i]]` up to `blocks[starts[i + 1]]`, ascending. */
  readonly #starts: Int32Array;
  readonly #blocks: Int32Array;
  /** Records of block `b`, ascending, likewise. */
  readonly #memberStarts: Int32Array;
  readonly #members: Int32Array;
  readonly #filter: Test | null;
  readonly #valuesOf: Blocks['valuesOf'];

  constructor(rule: BlockingRule, table: RecordTable) {
    this.rule = rule;
    const { starts, blocks, count, valuesOf } = blocksOf(rule, table);
    this.#starts = starts;
    this.#blocks = blocks;
    [this.#memberStarts, this.#members] = inverted(starts, blocks, count);
    this.#valuesOf = valuesOf;
    this.#filter = rule.filter === null ? null : filterOf(rule, table);
  }

  /** How many pairs the rule makes before its filter; where records share two blocks, twice. */
  countPairs(): number {
    let pairs = 0;
    for (let block = 0; block < this.#memberStarts.length - 1; block++) {
      const size = (this.#memberStarts[block + 1] as number) - (this.#memberStarts[block] as number);
      pairs += (size * (size - 1)) / 2;
    }
    return pairs;
  }

  /** Records in the greatest block. */
  largestBlock(): number {
    let most = 0;
    for (let block = 0; block < this.#memberStarts.length - 1; block++) {
      most = Math.max(most, (this.#memberStarts[block + 1] as number) - (this.#memberStarts[block] as number));
    }
    return most;
  }

  /** Whether the rule makes a pair of these records, the left one having the lower number. */
  makes(left: number, right: number): boolean {
    return this.#firstCommon(left, right) !== MISSING && this.#passes(left, right);
  }

  /** The values of the rule's keys in each block of a record. */
  keysOf(record: number, store: ValueStore): string[][] {
    const blocks = this.#blocks.subarray(this.#starts[record], this.#starts[record + 1]);
    return Array.from(blocks, (block) => this.#valuesOf(block).map((id) => store.text(id)));
  }

  /** Ranges of blocks, each of about so many pairs and at least one block, one behind the other. */
  *ranges(pairs: number): Generator<readonly [from: number, to: number]> {
    const blocks = this.#memberStarts.length - 1;
    let from = 0;
    let sum = 0;
    for (let block = 0; block < blocks; block++) {
      const size = (this.#memberStarts[block + 1] as number) - (this.#memberStarts[block] as number);
      sum += (size * (size - 1)) / 2;
      if (sum < pairs && block < blocks - 1) continue;
      yield [from, block + 1];
      from = block + 1;
      sum = 0;
    }
  }

  /** Calls back with each pair of some blocks once, the lower number first. */
  forEachPair(
    visit: (left: number, right: number) => void,
    fromBlock = 0,
    toBlock = this.#memberStarts.length - 1,
  ): void {
    const members = this.#members;
    for (let block = fromBlock; block < toBlock; block++) {
      const from = this.#memberStarts[block] as number;
      const to = this.#memberStarts[block + 1] as number;
      for (let a = from; a < to; a++) {
        const left = members[a] as number;
        const isSingle = (this.#starts[left + 1] as number) - (this.#starts[left] as number) === 1;
        for (let b = a + 1; b < to; b++) {
          const right = members[b] as number;
          if (!isSingle && this.#firstCommon(left, right) !== block) continue;
          if (this.#passes(left, right)) visit(left, right);
        }
      }
    }
  }

  #passes(left: number, right: number): boolean {
    return this.#filter === null || this.#filter(left, right) === TRUE;
  }

  /** The first block of both; -1 if there is none. */
  #firstCommon(left: number, right: number): number {
    const blocks = this.#blocks;
    let a = this.#starts[left] as number;
    let b = this.#starts[right] as number;
    const endA = this.#starts[left + 1] as number;
    const endB = this.#starts[right + 1] as number;
    while (a < endA && b < endB) {
      const [blockA, blockB] = [blocks[a] as number, blocks[b] as number];
      if (blockA === blockB) return blockA;
      if (blockA < blockB) a++;
      else b++;
    }
    return MISSING;
  }
}

/** Pairs between two breaths of what goes through them all. */
const PAIRS_A_BREATH = 1_000_000;

/**
 * Calls back with each pair of candidates once, under the first rule that makes it, without keeping any.
 * @param breathe awaited from time to time; what it throws ends the walk
 */
export async function forEachCandidate(
  rules: readonly RuleBlocks[],
  visit: (left: number, right: number, rule: number) => void,
  breathe?: () => Promise<void>,
): Promise<void> {
  for (const [index, rule] of rules.entries()) {
    const earlier = rules.slice(0, index);
    const isNew = (left: number, right: number): boolean => {
      for (const other of earlier) if (other.makes(left, right)) return false;
      return true;
    };
    for (const [from, to] of rule.ranges(PAIRS_A_BREATH)) {
      rule.forEachPair(
        (left, right) => {
          if (isNew(left, right)) visit(left, right, index);
        },
        from,
        to,
      );
      await breathe?.();
    }
  }
}

interface Blocks {
  readonly starts: Int32Array;
  readonly blocks: Int32Array;
  /** How many there are, some of them perhaps of nobody. */
  readonly count: number;
  /** The values of the keys. */
  readonly valuesOf: (block: number) => readonly number[];
}

function blocksOf(rule: BlockingRule, table: RecordTable): Blocks {
  const hasLists = rule.keys.some(({ column }) => rule.listColumns.includes(column));
  return hasLists ? blocksOfLists(rule, table) : blocksOfSingles(rule, table);
}

/** Where no key is a list, a record is in one block or in none. */
function blocksOfSingles({ keys }: BlockingRule, table: RecordTable): Blocks {
  const columns = keys.map((key) => table.column(key.column).map(compileSteps(key, table.store)));
  const { keyOf, size, columns: byKey } = keySpaceOf(columns, table.size);
  const isWhole = new Uint8Array(size).fill(1);
  for (const column of byKey) for (let key = 0; key < size; key++) if (column[key] === MISSING) isWhole[key] = 0;
  const starts = new Int32Array(table.size + 1);
  const blocks = new Int32Array(table.size);
  let count = 0;
  for (let record = 0; record < table.size; record++) {
    const key = keyOf[record] as number;
    if (isWhole[key] === 1) blocks[count++] = key;
    starts[record + 1] = count;
  }
  const valuesOf = (key: number): number[] => byKey.map((column) => column[key] as number);
  return { starts, blocks: blocks.subarray(0, count), count: size, valuesOf };
}

function blocksOfLists(rule: BlockingRule, table: RecordTable): Blocks {
  const parts = rule.keys.map((key) => ({
    values: table.column(key.column),
    steps: compileSteps(key, table.store),
    isList: rule.listColumns.includes(key.column),
  }));
  const numbers = new Map<string, number>();
  const values: (readonly number[])[] = [];
  const starts = new Int32Array(table.size + 1);
  const blocks: number[] = [];
  for (let record = 0; record < table.size; record++) {
    let keys: (readonly number[])[] = [[]];
    for (const part of parts) {
      const value = part.values[record] as number;
      const choices = (part.isList ? itemsOf(value, table) : [value]).map(part.steps).filter((id) => id !== MISSING);
      keys = keys.flatMap((key) => choices.map((id) => [...key, id]));
    }
    const own = new Set<number>();
    for (const key of keys) {
      const text = key.join();
      let number = numbers.get(text);
      if (number === undefined) {
        number = numbers.size;
        numbers.set(text, number);
        values.push(key);
      }
      own.add(number);
    }
    blocks.push(...[...own].sort((a, b) => a - b));
    starts[record + 1] = blocks.length;
  }
  return { starts, blocks: Int32Array.from(blocks), count: values.length, valuesOf: (block) => values[block] ?? [] };
}

function itemsOf(value: number, table: RecordTable): readonly number[] {
  return value === MISSING ? [] : (table.store.list(value) ?? [value]);
}

/** Records by block, from blocks by record. */
function inverted(starts: Int32Array, blocks: Int32Array, count: number): [starts: Int32Array, members: Int32Array] {
  const memberStarts = new Int32Array(count + 1);
  for (const block of blocks) memberStarts[block + 1] = (memberStarts[block + 1] as number) + 1;
  for (let block = 0; block < count; block++) {
    memberStarts[block + 1] = (memberStarts[block + 1] as number) + (memberStarts[block] as number);
  }
  const next = memberStarts.slice();
  const members = new Int32Array(blocks.length);
  for (let record = 0; record < starts.length - 1; record++) {
    for (let i = starts[record] as number; i < (starts[record + 1] as number); i++) {
      const block = blocks[i] as number;
      const at = next[block] as number;
      members[at] = record;
      next[block] = at + 1;
    }
  }
  return [memberStarts, members];
}

function filterOf({ filter }: BlockingRule, table: RecordTable): Test | null {
  if (filter === null) return null;
  const known = new Map<string, Int32Array>();
  const rows = ({ expression }: Exclude<Operand, { side: 'none' }>): Int32Array => {
    const name = JSON.stringify(expression);
    let values = known.get(name);
    if (values === undefined) {
      values = table.column(expression.column).map(compileSteps(expression, table.store));
      known.set(name, values);
    }
    return values;
  };
  const { tests, memo } = compileConditions([filter], table.store, rows);
  const [test] = tests;
  if (test === undefined) return null;
  return (left, right) => {
    memo.next();
    return test(left, right);
  };
}
