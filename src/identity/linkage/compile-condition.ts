import type { ComparisonSign, Condition, Measure, Operand } from './condition.model.js';
import { kmApart, pairMeasure, type MeasureBounds } from './measure-values.js';
import { MISSING, type ValueStore } from './value-store.js';

/** As in SQL: true, false, or neither for want of a value. */
export const TRUE = 1;
export const FALSE = 0;
const UNKNOWN = -1;

/** What a condition says of a left and a right row. */
export type Test = (left: number, right: number) => number;

/** The values of an expression by row. */
export type Rows = (operand: Exclude<Operand, { side: 'none' }>) => Int32Array;

/** Values of measures that several levels of one comparison ask for, worked out once a pair. */
export class MeasureMemo {
  #pair = 0;
  readonly #slots = new Map<string, (left: number, right: number) => number>();

  /** To be called before each pair. */
  next(): void {
    this.#pair++;
  }

  measure(
    key: string,
    compute: () => (left: number, right: number) => number,
  ): (left: number, right: number) => number {
    const found = this.#slots.get(key);
    if (found !== undefined) return found;
    const fresh = compute();
    let pair = -1;
    let value = NaN;
    const slot = (left: number, right: number): number => {
      if (pair !== this.#pair) {
        value = fresh(left, right);
        pair = this.#pair;
      }
      return value;
    };
    this.#slots.set(key, slot);
    return slot;
  }
}

export interface CompileContext {
  readonly store: ValueStore;
  readonly rows: Rows;
  readonly memo: MeasureMemo;
  /** What the levels ask for, by measure and operands. */
  readonly bounds: ReadonlyMap<string, MeasureBounds>;
}

/** The conditions of one comparison as functions of rows. */
export function compileConditions(
  conditions: readonly Condition[],
  store: ValueStore,
  rows: Rows,
): { tests: Test[]; memo: MeasureMemo } {
  const memo = new MeasureMemo();
  const bounds = new Map<string, MeasureBounds>();
  for (const condition of conditions) collectBounds(condition, bounds);
  const tests = conditions.map((condition) => compile(condition, { store, rows, memo, bounds }));
  return { tests, memo };
}

function compile(condition: Condition, context: CompileContext): Test {
  switch (condition.kind) {
    case 'else':
      return () => TRUE;
    case 'all':
      return allOf(condition.of.map((part) => compile(part, context)));
    case 'any':
      return anyOf(condition.of.map((part) => compile(part, context)));
    case 'not': {
      const test = compile(condition.of, context);
      return (left, right) => {
        const result = test(left, right);
        return result === UNKNOWN ? UNKNOWN : 1 - result;
      };
    }
    case 'missing': {
      const value = reader(condition.operand, context);
      return (left, right) => (value(left, right) === MISSING ? TRUE : FALSE);
    }
    case 'equal': {
      const [a, b] = [reader(condition.left, context), reader(condition.right, context)];
      return (left, right) => {
        const idA = a(left, right);
        if (idA === MISSING) return UNKNOWN;
        const idB = b(left, right);
        if (idB === MISSING) return UNKNOWN;
        return idA === idB ? TRUE : FALSE;
      };
    }
    case 'measure':
      return compileMeasure(condition, context);
  }
}

function allOf(tests: readonly Test[]): Test {
  return (left, right) => {
    let result = TRUE;
    for (let i = 0; i < tests.length; i++) {
      const each = (tests[i] as Test)(left, right);
      if (each === FALSE) return FALSE;
      if (each === UNKNOWN) result = UNKNOWN;
    }
    return result;
  };
}

function anyOf(tests: readonly Test[]): Test {
  return (left, right) => {
    let result = FALSE;
    for (let i = 0; i < tests.length; i++) {
      const each = (tests[i] as Test)(left, right);
      if (each === TRUE) return TRUE;
      if (each === UNKNOWN) result = UNKNOWN;
    }
    return result;
  };
}

/** The value of an operand in a pair of rows. */
function reader(operand: Operand, { store, rows }: CompileContext): (left: number, right: number) => number {
  if (operand.side === 'none') {
    const id = store.internText(operand.text);
    return () => id;
  }
  const values = rows(operand);
  if (operand.side === 'left') return (left) => values[left] as number;
  return (_, right) => values[right] as number;
}

function compileMeasure(condition: Condition & { kind: 'measure' }, context: CompileContext): Test {
  const { measure, operands, sign, bound } = condition;
  const key = measureKey(measure, operands);
  const value = context.memo.measure(key, () => measured(measure, operands, context, key));
  const holds = comparedWith(sign, bound);
  return (left, right) => {
    const number = value(left, right);
    if (Number.isNaN(number)) return UNKNOWN;
    return holds(number) ? TRUE : FALSE;
  };
}

function comparedWith(sign: ComparisonSign, bound: number): (number: number) => boolean {
  switch (sign) {
    case '=':
      return (number) => number === bound;
    case '<>':
      return (number) => number !== bound;
    case '<':
      return (number) => number < bound;
    case '<=':
      return (number) => number <= bound;
    case '>':
      return (number) => number > bound;
    case '>=':
      return (number) => number >= bound;
  }
}

function measured(
  measure: Measure,
  operands: readonly Operand[],
  context: CompileContext,
  key: string,
): (left: number, right: number) => number {
  const readers = operands.map((operand) => reader(operand, context));
  if (measure === 'km_apart') {
    const numbers = readers.map((read) => (left: number, right: number) => {
      const id = read(left, right);
      return id === MISSING ? NaN : Number(context.store.text(id));
    });
    return (left, right) => {
      const [latitudeA = NaN, latitudeB = NaN, longitudeA = NaN, longitudeB = NaN] = numbers.map((read) =>
        read(left, right),
      );
      return kmApart(latitudeA, latitudeB, longitudeA, longitudeB);
    };
  }
  const [a, b] = readers;
  if (a === undefined || b === undefined) throw new Error(`${measure} has two operands`);
  const compare = pairMeasure(measure, context.store, context.bounds.get(key) ?? EXACT);
  return (left, right) => {
    const idA = a(left, right);
    const idB = b(left, right);
    return idA === MISSING || idB === MISSING ? NaN : compare(idA, idB);
  };
}

const EXACT: MeasureBounds = { most: Infinity, least: 0 };

/** A distance that is only asked to be small need not be told beyond that, nor a similarity below what is asked. */
function collectBounds(condition: Condition, bounds: Map<string, MeasureBounds>): void {
  if (condition.kind === 'all' || condition.kind === 'any') {
    for (const part of condition.of) collectBounds(part, bounds);
  }
  if (condition.kind === 'not') collectBounds(condition.of, bounds);
  if (condition.kind !== 'measure') return;
  const { sign, bound } = condition;
  const key = measureKey(condition.measure, condition.operands);
  const most = sign === '<=' || sign === '<' ? Math.max(0, Math.floor(bound)) : Infinity;
  const least = sign === '>=' || sign === '>' ? bound : 0;
  const known = bounds.get(key);
  bounds.set(key, { most: Math.max(known?.most ?? most, most), least: Math.min(known?.least ?? least, least) });
}

function measureKey(measure: Measure, operands: readonly Operand[]): string {
  return JSON.stringify([measure, operands]);
}
