import { RE2JS } from 're2js';
import { MIRRORED } from '../features/compare-value.model.js';
import { compileClock, judgement } from './compile-clock.js';
import {
  compileAgeCompare,
  compileConsent,
  compileCountWithin,
  compileFeature,
  compileFeatureCompare,
  compileLastTime,
  compileListed,
  compileModel,
  compileSample,
  type CompiledNode,
  type Evaluate,
  type Hold,
  type LeafScope,
} from './compile-leaf.js';
import { GEO_FUNCTIONS } from './geo.js';
import {
  ABSENT,
  arithmetic,
  COMPARE_VALUES,
  fieldOf,
  FUNCTIONS,
  isIn,
  itemOf,
  valueOf,
  type BinaryFunction,
  type Value,
} from './expression-values.js';
import type {
  CompareExpression,
  ConditionalExpression,
  Expression,
  InExpression,
  LogicalExpression,
  MacroExpression,
} from './segment-expression.model.js';

/**
 * UTF-16 units of a text that a pattern is shown. Traits come from anybody; the time of a pattern is linear in its text,
 * but a pattern with counted repetitions takes 0.1 s for 1,000 characters already.
 */
const MAX_MATCHED_LENGTH = 1_024;

/** How the node around reads a condition. */
interface Position {
  /** Only "true or not" matters: false and absent need no telling apart, as under nothing but `&&` and `||`. */
  readonly truthOnly: boolean;
  /** Inside a macro: the value at one item says nothing about the next, so nothing may be inferred from it. */
  readonly perItem: boolean;
}

const WHOLE: Position = { truthOnly: true, perItem: false };

/** The item that a macro is at. Evaluation is synchronous and macros do not nest, so one cell each is enough. */
interface Cell {
  item: Value;
}

/**
 * Compiles an expression to closures. A condition gives true, false or {@link ABSENT}; `&&` and `||` absorb absent
 * operands as in CEL (false && error is false, true || error is true).
 *
 * Each node also tells how long it holds its value if no more events come. For `&&` and `||` that is read off the
 * operands that decide: a conjunction stays false for as long as any one of its false operands does.
 */
export function compileCondition(expression: Expression, scope: LeafScope): CompiledNode {
  return compile(expression, scope, WHOLE, null);
}

/** Compiles an expression of any type, whose false and absent are told apart. */
export function compileValue(expression: Expression, scope: LeafScope): CompiledNode {
  return compile(expression, scope, { truthOnly: false, perItem: false }, null);
}

function compile(node: Expression, scope: LeafScope, position: Position, cell: Cell | null): CompiledNode {
  const value = (operand: Expression): CompiledNode =>
    compile(operand, scope, { truthOnly: false, perItem: position.perItem }, cell);
  switch (node.kind) {
    case 'literal': {
      const { value: constant } = node;
      return { evaluate: () => constant, hold: null };
    }
    case 'list':
      return compileList(node.items.map(value));
    case 'feature':
      return compileFeature(scope, node);
    case 'trait': {
      const { name } = node;
      return { evaluate: (ctx) => valueOf(ctx.trait(name)), hold: null };
    }
    case 'groups':
      return { evaluate: (ctx) => ctx.groups(), hold: null };
    case 'member': {
      const { key } = node;
      return unary(value(node.target), (target) => fieldOf(target, key));
    }
    case 'index':
      return binary(value(node.target), value(node.index), itemOf);
    case 'local': {
      if (cell === null) throw new Error(`variable ${node.name} outside of its macro`);
      return { evaluate: () => cell.item, hold: null };
    }
    case 'model':
      return compileModel(node);
    case 'membership': {
      const { key } = node;
      return { evaluate: (ctx) => ctx.membership(key), hold: null };
    }
    case 'consent':
      return compileConsent(scope, node.purpose);
    case 'listed':
      return compileListed(node.key);
    case 'sample':
      return compileSample(node.name);
    case 'last-time':
      return compileLastTime(scope, node.feature);
    case 'age':
      throw new Error('an age stands only in a comparison');
    case 'age-compare':
      return compileAgeCompare(scope, node);
    case 'count-within':
      return compileCountWithin(scope, node);
    case 'clock':
      return compileClock(node, value);
    case 'geo':
      return compileGeo(GEO_FUNCTIONS[node.name], node.args.map(value));
    case 'has':
      return unary(value(node.operand), (operand) => operand !== ABSENT);
    case 'not':
      return unary(value(node.operand), (operand) => (typeof operand === 'boolean' ? !operand : ABSENT));
    case 'negate':
      return node.type === 'int'
        ? unary(value(node.operand), (operand) => (typeof operand === 'number' ? 0 - operand : ABSENT))
        : unary(value(node.operand), (operand) => (typeof operand === 'number' ? -operand : ABSENT));
    case 'and':
    case 'or':
      return compileLogical(node, scope, position, cell);
    case 'conditional':
      return compileConditional(node, value, position);
    case 'compare':
      return compileCompare(node, scope, value);
    case 'arithmetic':
      return binary(value(node.left), value(node.right), arithmetic(node.op, node.type));
    case 'in':
      return compileIn(node, value);
    case 'call': {
      const compute = FUNCTIONS[node.name];
      const [first, second] = node.args.map(value) as [CompiledNode, CompiledNode?];
      return second === undefined ? unary(first, (a) => compute(a, ABSENT)) : binary(first, second, compute);
    }
    case 'regex': {
      const pattern = RE2JS.compile(node.pattern);
      return unary(value(node.text), (text) =>
        typeof text === 'string' ? pattern.test(text.slice(0, MAX_MATCHED_LENGTH)) : ABSENT,
      );
    }
    case 'macro':
      return compileMacro(node, scope, value(node.list));
  }
}

/** The first instant at which any of the operands may change. */
function firstOf(holds: readonly (Hold | null)[]): Hold | null {
  const present = holds.filter((hold) => hold !== null);
  const [first, second] = present;
  if (first === undefined) return null;
  if (second === undefined) return first;
  if (present.length === 2) return (ctx, t) => Math.min(first(ctx, t), second(ctx, t));
  return (ctx, t) => {
    let least = Infinity;
    for (const hold of present) least = Math.min(least, hold(ctx, t));
    return least;
  };
}

function unary(operand: CompiledNode, compute: (value: Value) => Value): CompiledNode {
  const { evaluate, hold } = operand;
  return { evaluate: (ctx, t) => compute(evaluate(ctx, t)), hold };
}

function binary(left: CompiledNode, right: CompiledNode, compute: BinaryFunction): CompiledNode {
  const a = left.evaluate;
  const b = right.evaluate;
  return { evaluate: (ctx, t) => compute(a(ctx, t), b(ctx, t)), hold: firstOf([left.hold, right.hold]) };
}

function compileGeo(compute: (degrees: readonly number[]) => Value, args: readonly CompiledNode[]): CompiledNode {
  const evaluate: Evaluate = (ctx, t) => {
    const degrees: number[] = [];
    for (const arg of args) {
      const value = arg.evaluate(ctx, t);
      if (typeof value !== 'number') return ABSENT;
      degrees.push(value);
    }
    return compute(degrees);
  };
  return { evaluate, hold: firstOf(args.map((arg) => arg.hold)) };
}

function compileList(items: readonly CompiledNode[]): CompiledNode {
  const evaluate: Evaluate = (ctx, t) => {
    const values: Exclude<Value, symbol>[] = [];
    for (const item of items) {
      const value = item.evaluate(ctx, t);
      if (value === ABSENT) return ABSENT;
      values.push(value);
    }
    return values;
  };
  return { evaluate, hold: firstOf(items.map((item) => item.hold)) };
}

/**
 * `&&` and `||` are mirror images: `&&` is decided by an operand that is false, `||` by one that is true. Where only
 * the truth of the whole matters, an absent operand decides an `&&` like a false one.
 */
function compileLogical(
  node: LogicalExpression,
  scope: LeafScope,
  position: Position,
  cell: Cell | null,
): CompiledNode {
  const operands = node.operands.map((operand) => compile(operand, scope, position, cell));
  const isAnd = node.kind === 'and';
  const evaluates = operands.map((operand) => operand.evaluate);
  const holds = operands.map((operand) => operand.hold);
  const evaluate = position.truthOnly ? truthOf(isAnd, evaluates) : logicOf(isAnd, evaluates);
  if (position.perItem || holds.every((hold) => hold === null)) return { evaluate, hold: firstOf(holds) };
  const decides = (value: Value): boolean =>
    isAnd ? (position.truthOnly ? value !== true : value === false) : value === true;
  const hold: Hold = (ctx, t) => {
    let decided = false;
    let longestDecided = -Infinity;
    let least = Infinity;
    for (let i = 0; i < evaluates.length; i++) {
      const decisive = decides((evaluates[i] as Evaluate)(ctx, t));
      if (decided && !decisive) continue;
      const until = holds[i]?.(ctx, t) ?? Infinity;
      if (decisive) {
        if (until === Infinity) return Infinity;
        decided = true;
        longestDecided = Math.max(longestDecided, until);
      } else least = Math.min(least, until);
    }
    return decided ? longestDecided : least;
  };
  return { evaluate, hold };
}

function truthOf(isAnd: boolean, operands: readonly Evaluate[]): Evaluate {
  const [a, b] = operands as [Evaluate, Evaluate];
  if (operands.length === 2) {
    if (isAnd) return (ctx, t) => a(ctx, t) === true && b(ctx, t) === true;
    return (ctx, t) => a(ctx, t) === true || b(ctx, t) === true;
  }
  return (ctx, t) => {
    for (const operand of operands) if ((operand(ctx, t) === true) !== isAnd) return !isAnd;
    return isAnd;
  };
}

function logicOf(isAnd: boolean, operands: readonly Evaluate[]): Evaluate {
  return (ctx, t) => {
    let result: Value = isAnd;
    for (const operand of operands) {
      const value = operand(ctx, t);
      if (value === !isAnd) return value;
      if (value !== isAnd) result = ABSENT;
    }
    return result;
  };
}

function compileConditional(
  node: ConditionalExpression,
  value: (operand: Expression) => CompiledNode,
  position: Position,
): CompiledNode {
  const condition = value(node.condition);
  const consequent = value(node.consequent);
  const alternate = value(node.alternate);
  const evaluate: Evaluate = (ctx, t) => {
    const chosen = condition.evaluate(ctx, t);
    if (chosen === true) return consequent.evaluate(ctx, t);
    return chosen === false ? alternate.evaluate(ctx, t) : ABSENT;
  };
  const first = firstOf([condition.hold, consequent.hold, alternate.hold]);
  if (first === null || position.perItem) return { evaluate, hold: first };
  const hold: Hold = (ctx, t) => {
    const until = condition.hold?.(ctx, t) ?? Infinity;
    const chosen = condition.evaluate(ctx, t);
    if (typeof chosen !== 'boolean') return until;
    return Math.min(until, (chosen ? consequent : alternate).hold?.(ctx, t) ?? Infinity);
  };
  return { evaluate, hold };
}

function compileCompare(
  node: CompareExpression,
  scope: LeafScope,
  value: (operand: Expression) => CompiledNode,
): CompiledNode {
  const { op, left, right } = node;
  const leftNumber = numberOf(left);
  const rightNumber = numberOf(right);
  if (isNumericFeature(left) && rightNumber !== null) {
    return compileFeatureCompare(scope, left.feature, op, rightNumber);
  }
  if (isNumericFeature(right) && leftNumber !== null) {
    return compileFeatureCompare(scope, right.feature, MIRRORED[op], leftNumber);
  }
  const compare = COMPARE_VALUES[op];
  if (left.kind === 'clock' && right.kind === 'literal') {
    return compileClock(
      left,
      value,
      judgement((shown) => compare(shown, right.value), [right.value]),
    );
  }
  if (right.kind === 'clock' && left.kind === 'literal') {
    return compileClock(
      right,
      value,
      judgement((shown) => compare(left.value, shown), [left.value]),
    );
  }
  return binary(value(left), value(right), compare);
}

function numberOf(node: Expression): number | null {
  return node.kind === 'literal' && typeof node.value === 'number' ? node.value : null;
}

function isNumericFeature(node: Expression): node is Expression & { kind: 'feature' } {
  return node.kind === 'feature' && (node.type === 'int' || node.type === 'double');
}

function compileIn(node: InExpression, value: (operand: Expression) => CompiledNode): CompiledNode {
  const { container } = node;
  if (container.kind === 'list' && container.items.every((item) => item.kind === 'literal')) {
    const constants = new Set<Value>(container.items.map((item) => item.value));
    const isOne = (item: Value): Value => (item === ABSENT ? ABSENT : constants.has(item));
    if (node.item.kind === 'clock') return compileClock(node.item, value, judgement(isOne, [...constants]));
    return unary(value(node.item), isOne);
  }
  return binary(value(node.item), value(container), isIn);
}

/** Items of a list, or keys of a map; null where the value is neither. */
function itemsOf(value: Value): readonly Value[] | null {
  if (Array.isArray(value)) return value;
  return typeof value === 'object' && value !== null ? Object.keys(value) : null;
}

function compileMacro(node: MacroExpression, scope: LeafScope, list: CompiledNode): CompiledNode {
  const cell: Cell = { item: ABSENT };
  const body = compile(node.body, scope, { truthOnly: false, perItem: true }, cell);
  const fold = MACROS[node.name];
  const evaluate: Evaluate = (ctx, t) => {
    const items = itemsOf(list.evaluate(ctx, t));
    if (items === null) return ABSENT;
    return fold(items, (item) => {
      cell.item = item ?? ABSENT;
      return body.evaluate(ctx, t);
    });
  };
  return { evaluate, hold: firstOf([list.hold, body.hold]) };
}

type Fold = (items: readonly Value[], body: (item: Value) => Value) => Value;

/** `exists` is `||` over the items and `all` is `&&`: errors are absorbed. The others fail with any item that fails. */
const MACROS: Readonly<Record<MacroExpression['name'], Fold>> = {
  exists: (items, body) => quantify(items, body, true),
  all: (items, body) => quantify(items, body, false),
  exists_one: (items, body) => {
    const kept = keep(items, body);
    return kept === null ? ABSENT : kept.length === 1;
  },
  filter: (items, body) => keep(items, body) ?? ABSENT,
  map: (items, body) => {
    const mapped: Exclude<Value, symbol>[] = [];
    for (const item of items) {
      const value = body(item);
      if (value === ABSENT) return ABSENT;
      mapped.push(value);
    }
    return mapped;
  },
};

function quantify(items: readonly Value[], body: (item: Value) => Value, decisive: boolean): Value {
  let result: Value = !decisive;
  for (const item of items) {
    const value = body(item);
    if (value === decisive) return decisive;
    if (value !== !decisive) result = ABSENT;
  }
  return result;
}

function keep(items: readonly Value[], body: (item: Value) => Value): Exclude<Value, symbol>[] | null {
  const kept: Exclude<Value, symbol>[] = [];
  for (const item of items) {
    const value = body(item);
    if (typeof value !== 'boolean') return null;
    if (value && item !== ABSENT) kept.push(item);
  }
  return kept;
}
