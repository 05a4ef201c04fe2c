import type { JsonValue } from '../events/event.model.js';
import type { CompareOp } from '../features/compare-value.model.js';
import type { ArithmeticOp, ExpressionType, PureFunction } from './segment-expression.model.js';

/**
 * What an expression gives where CEL would raise an error: an unknown feature or trait, a wrong type, a division by
 * zero. A plain value instead of an exception, because most profiles lack most values and exceptions cost microseconds.
 */
export const ABSENT = Symbol('absent');
export type Absent = typeof ABSENT;
export type Value = JsonValue | Absent;

/** A JSON value as CEL sees it; null and undefined are absent. */
export function valueOf(json: JsonValue | undefined): Value {
  return json ?? ABSENT;
}

/** Field of a JSON object; only its own, so that `constructor` and the like are absent. */
export function fieldOf(target: Value, key: string): Value {
  if (typeof target !== 'object' || target === null || Array.isArray(target)) return ABSENT;
  return Object.hasOwn(target, key) ? valueOf(target[key]) : ABSENT;
}

export function itemOf(target: Value, index: Value): Value {
  if (typeof index === 'string') return fieldOf(target, index);
  if (!Array.isArray(target) || typeof index !== 'number' || !Number.isInteger(index)) return ABSENT;
  return index >= 0 ? valueOf(target[index]) : ABSENT;
}

/** CEL equality: values of different kinds are unequal, numbers compare by value, lists and maps by content. */
export function equal(a: Value, b: Value): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a)) {
    return Array.isArray(b) && a.length === b.length && a.every((item, i) => equal(item, b[i] as JsonValue));
  }
  if (Array.isArray(b)) return false;
  const keys = Object.keys(a);
  if (keys.length !== Object.keys(b).length) return false;
  return keys.every((key) => Object.hasOwn(b, key) && equal(a[key] as JsonValue, b[key] as JsonValue));
}

/** `a op b` for numbers. */
export const COMPARE_NUMBERS: Readonly<Record<CompareOp, (a: number, b: number) => boolean>> = {
  '<': (a, b) => a < b,
  '<=': (a, b) => a <= b,
  '>': (a, b) => a > b,
  '>=': (a, b) => a >= b,
  '==': (a, b) => a === b,
  '!=': (a, b) => a !== b,
};

/** Order exists between two numbers, two texts (by UTF-16 code unit) or two bools; else absent. */
export const COMPARE_VALUES: Readonly<Record<CompareOp, (a: Value, b: Value) => boolean | Absent>> = {
  '<': (a, b) => (ordered(a, b) ? (a as Ordered) < (b as Ordered) : ABSENT),
  '<=': (a, b) => (ordered(a, b) ? (a as Ordered) <= (b as Ordered) : ABSENT),
  '>': (a, b) => (ordered(a, b) ? (a as Ordered) > (b as Ordered) : ABSENT),
  '>=': (a, b) => (ordered(a, b) ? (a as Ordered) >= (b as Ordered) : ABSENT),
  '==': (a, b) => (a === ABSENT || b === ABSENT ? ABSENT : equal(a, b)),
  '!=': (a, b) => (a === ABSENT || b === ABSENT ? ABSENT : !equal(a, b)),
};

type Ordered = number | string | boolean;

function ordered(a: Value, b: Value): boolean {
  const type = typeof a;
  return type === typeof b && (type === 'number' || type === 'string' || type === 'boolean');
}

export type BinaryFunction = (a: Value, b: Value) => Value;

function integer(value: number): Value {
  // Adding zero makes a zero of −0, which ints do not have.
  return Number.isSafeInteger(value) ? value + 0 : ABSENT;
}

const INT_ARITHMETIC: Readonly<Record<ArithmeticOp, (a: number, b: number) => Value>> = {
  '+': (a, b) => integer(a + b),
  '-': (a, b) => integer(a - b),
  '*': (a, b) => integer(a * b),
  // Subtracting the remainder first keeps the quotient exact; it is rounded towards zero, as in CEL.
  '/': (a, b) => (b === 0 ? ABSENT : integer((a - (a % b)) / b)),
  '%': (a, b) => (b === 0 ? ABSENT : integer(a % b)),
};

const DOUBLE_ARITHMETIC: Readonly<Record<ArithmeticOp, (a: number, b: number) => Value>> = {
  '+': (a, b) => a + b,
  '-': (a, b) => a - b,
  '*': (a, b) => a * b,
  '/': (a, b) => a / b,
  '%': (a, b) => (Number.isInteger(a) && Number.isInteger(b) && b !== 0 ? a % b : ABSENT),
};

/** Arithmetic whose result is of the given static type; numbers in traits count as doubles. */
export function arithmetic(op: ArithmeticOp, type: ExpressionType): BinaryFunction {
  const compute = type === 'int' ? INT_ARITHMETIC[op] : DOUBLE_ARITHMETIC[op];
  return (a, b) => {
    if (typeof a === 'number' && typeof b === 'number') return compute(a, b);
    return op === '+' && typeof a === 'string' && typeof b === 'string' ? a + b : ABSENT;
  };
}

/** `item in container`: item of a list, or key of a map. */
export function isIn(item: Value, container: Value): boolean | Absent {
  if (item === ABSENT || container === ABSENT || container === null || typeof container !== 'object') return ABSENT;
  if (Array.isArray(container)) return container.some((other) => equal(item, other));
  return typeof item === 'string' ? Object.hasOwn(container, item) : ABSENT;
}

function codePoints(text: string): number {
  let count = text.length;
  for (let i = 0; i + 1 < text.length; i++) {
    if ((text.charCodeAt(i) & 0xfc00) === 0xd800 && (text.charCodeAt(i + 1) & 0xfc00) === 0xdc00) {
      count--;
      i++;
    }
  }
  return count;
}

function size(value: Value): Value {
  if (typeof value === 'string') return codePoints(value);
  if (Array.isArray(value)) return value.length;
  return typeof value === 'object' && value !== null ? Object.keys(value).length : ABSENT;
}

const INT_TEXT = /^[+-]?\d{1,19}$/;
const DOUBLE_TEXT = /^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$/;

function toInt(value: Value): Value {
  if (typeof value === 'number') return integer(Math.trunc(value));
  return typeof value === 'string' && INT_TEXT.test(value) ? integer(Number(value)) : ABSENT;
}

function toDouble(value: Value): Value {
  if (typeof value === 'number') return value;
  return typeof value === 'string' && DOUBLE_TEXT.test(value) ? Number(value) : ABSENT;
}

function toText(value: Value): Value {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? String(value) : ABSENT;
}

function ofText(compute: (text: string) => Value): (value: Value) => Value {
  return (value) => (typeof value === 'string' ? compute(value) : ABSENT);
}

function ofTexts(compute: (text: string, other: string) => Value): BinaryFunction {
  return (a, b) => (typeof a === 'string' && typeof b === 'string' ? compute(a, b) : ABSENT);
}

/** The functions of the language that only look at their one or two arguments. */
export const FUNCTIONS: Readonly<Record<PureFunction, (a: Value, b: Value) => Value>> = {
  size,
  startsWith: ofTexts((text, other) => text.startsWith(other)),
  endsWith: ofTexts((text, other) => text.endsWith(other)),
  contains: ofTexts((text, other) => text.includes(other)),
  lowerAscii: ofText((text) => text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase())),
  upperAscii: ofText((text) => text.replace(/[a-z]+/g, (letters) => letters.toUpperCase())),
  trim: ofText((text) => text.trim()),
  int: toInt,
  double: toDouble,
  string: toText,
};
