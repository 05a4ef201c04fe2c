import { Environment, EvaluationError, ParseError, TypeError as CelTypeError } from '@marcbachmann/cel-js';
import type { ASTNode } from '@marcbachmann/cel-js';

import type { ColumnType } from './mapping-value.js';

/** Column values by name; absent where the row has none. `row` holds the same. */
export type ExpressionContext = Record<string, unknown>;

/** A checked CEL expression over the columns of a row. */
export interface RowExpression {
  readonly source: string;
  /** Static type of the result; `dyn` where only the row decides. */
  readonly resultType: string;
  /** Columns that it reads, each once. */
  readonly columns: readonly string[];
  /** @throws ExpressionFault */
  evaluate(context: ExpressionContext): unknown;
}

/** An expression that cannot be evaluated on a row, such as one whose column is empty. */
export class ExpressionFault extends Error {
  constructor(readonly reason: string) {
    super(reason);
  }
}

/** An expression that cannot be used at all, at an offset into its text. */
export class ExpressionProblem {
  constructor(
    readonly message: string,
    readonly offset: number,
  ) {}
}

const MAX_NODES = 200;
const MAX_EXPRESSION_LENGTH = 4_000;
const LIMITS = { limits: { maxAstNodes: MAX_NODES, maxDepth: 32 } };
const MACROS = new Set(['all', 'exists', 'exists_one', 'map', 'filter']);

/**
 * Compiles expressions for a mapping. Columns are variables by their names; `row["any name"]` reads those whose names
 * are no CEL names. Numeric columns are doubles whatever their type, and integer literals mix with them, so that
 * `Quantity * UnitPrice` and `Quantity > 0` just work.
 */
export class ExpressionCompiler {
  readonly #syntax = new Environment({ ...LIMITS, unlistedVariablesAreDyn: true });
  readonly #typeOf: (column: string) => ColumnType;

  constructor(typeOf: (column: string) => ColumnType) {
    this.#typeOf = typeOf;
  }

  /** `allowed`: static types that the place of the expression takes. */
  compile(source: string, allowed: readonly string[]): RowExpression | ExpressionProblem {
    if (source.length > MAX_EXPRESSION_LENGTH) {
      return new ExpressionProblem(`an expression has at most ${String(MAX_EXPRESSION_LENGTH)} characters`, 0);
    }
    try {
      const columns = new Set<string>();
      const problem = collect(this.#syntax.parse(source).ast, columns, new Set(), 0);
      if (problem !== null) return problem;
      if (columns.has('row')) return new ExpressionProblem('a column called "row" cannot be read in an expression', 0);
      const evaluate = this.#environment(columns).parse(source);
      const check = evaluate.check();
      if (!check.valid) return problemOf(check.error);
      const resultType = check.type ?? 'dyn';
      if (resultType !== 'dyn' && !allowed.includes(resultType)) {
        return new ExpressionProblem(`the result is ${resultType}, expected is ${allowed.join(' or ')}`, 0);
      }
      return {
        source,
        resultType,
        columns: [...columns],
        evaluate: (context) => {
          try {
            return evaluate(context) as unknown;
          } catch (error) {
            if (error instanceof EvaluationError) throw new ExpressionFault(faultReason(error));
            throw error;
          }
        },
      };
    } catch (error) {
      return problemOf(error);
    }
  }

  #environment(columns: ReadonlySet<string>): Environment {
    const environment = new Environment(LIMITS).registerVariable('row', 'map<string, dyn>');
    for (const column of columns) {
      if (CEL_NAME.test(column)) environment.registerVariable(column, CEL_TYPES[this.#typeOf(column)]);
    }
    for (const [left, right] of [
      ['double', 'int'],
      ['int', 'double'],
    ] as const) {
      for (const [operator, apply] of MIXED_ARITHMETIC) {
        environment.registerOperator(`${left} ${operator} ${right}`, apply);
      }
    }
    return environment.registerOperator('double == int', (a: number, b: bigint) => a === Number(b));
  }
}

type Mixed = (a: number | bigint, b: number | bigint) => number;
const MIXED_ARITHMETIC: readonly (readonly [string, Mixed])[] = [
  ['+', (a, b) => Number(a) + Number(b)],
  ['-', (a, b) => Number(a) - Number(b)],
  ['*', (a, b) => Number(a) * Number(b)],
  ['/', (a, b) => Number(a) / Number(b)],
];

const CEL_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;
const CEL_TYPES = { string: 'string', int: 'double', double: 'double', bool: 'bool', json: 'dyn' } as const;

/**
 * Finds the columns of an expression and refuses what has no bound: backtracking patterns and nested macros.
 * `bound` are the variables of enclosing macros.
 */
function collect(
  node: ASTNode,
  columns: Set<string>,
  bound: ReadonlySet<string>,
  macroDepth: number,
): ExpressionProblem | null {
  if (node.op === 'id') {
    if (bound.has(node.args)) return null;
    if (node.args === 'row') return new ExpressionProblem('write row["column"] with the name in quotes', node.start);
    columns.add(node.args);
    return null;
  }
  if (node.op === '.' && isRow(node.args[0], bound)) {
    columns.add(node.args[1]);
    return null;
  }
  if (node.op === '[]' && isRow(node.args[0], bound) && node.args[1].op === 'value') {
    const key = node.args[1].args;
    if (typeof key !== 'string') return new ExpressionProblem('a column is named by a text', node.start);
    columns.add(key);
    return null;
  }
  let inner = bound;
  let depth = macroDepth;
  if (node.op === 'call' || node.op === 'rcall') {
    const [name] = node.args;
    if (name === 'matches') {
      return new ExpressionProblem(
        'matches() can take unbounded time; use contains, startsWith or endsWith',
        node.start,
      );
    }
    if (node.op === 'rcall' && MACROS.has(name)) {
      depth++;
      if (depth > 1) return new ExpressionProblem(`${name}() inside another macro is not allowed`, node.start);
      const [variable] = node.args[2];
      if (variable?.op === 'id') inner = new Set([...bound, variable.args]);
    }
  }
  for (const child of childrenOf(node)) {
    const problem = collect(child, columns, inner, depth);
    if (problem !== null) return problem;
  }
  return null;
}

function isRow(node: ASTNode, bound: ReadonlySet<string>): boolean {
  return node.op === 'id' && node.args === 'row' && !bound.has('row');
}

function childrenOf(node: ASTNode): ASTNode[] {
  const found: ASTNode[] = [];
  const visit = (part: unknown): void => {
    if (Array.isArray(part)) for (const item of part as unknown[]) visit(item);
    else if (part !== null && typeof part === 'object' && 'op' in part && 'args' in part) found.push(part as ASTNode);
  };
  visit(node.args);
  return found;
}

function problemOf(error: unknown): ExpressionProblem {
  if (error instanceof ParseError || error instanceof CelTypeError || error instanceof EvaluationError) {
    return new ExpressionProblem(error.summary, error.range?.start ?? 0);
  }
  throw error;
}

function faultReason(error: EvaluationError): string {
  const column = /^Unknown variable: (.+)$/.exec(error.summary)?.[1] ?? /^No such key: (.+)$/.exec(error.summary)?.[1];
  return column === undefined ? error.summary : `column "${column}" is empty`;
}
