import type { Condition, Operand, ValueExpression } from './condition.model.js';
import type { BlockingRule } from './linkage-model.model.js';
import { parseBlockingCondition, parseValueExpression } from './parse-condition.js';
import { refused } from './sql-expression.js';

/**
 * Reads a rule as Splink writes it: equalities of the same expression of both records, and what else has to hold.
 * @param listColumns columns of lists, of which records need to share one item
 * @throws WeftError MODEL_INVALID with the position
 */
export function readSqlRule(sql: string, listColumns: readonly string[] = []): BlockingRule {
  const condition = parseBlockingCondition(sql);
  const parts = condition.kind === 'all' ? condition.of : [condition];
  const keys: ValueExpression[] = [];
  const others: Condition[] = [];
  for (const part of parts) {
    const key = keyOf(part);
    if (key === null) others.push(part);
    else keys.push(key);
  }
  if (keys.length === 0) {
    const hint = 'write at least one l.column = r.column, joined to the rest by AND; for OR write one rule each';
    throw refused(
      sql,
      0,
      'it demands nothing to be equal, so that every record would be compared with every other',
      hint,
    );
  }
  const [first] = others;
  const filter: Condition | null = others.length > 1 ? { kind: 'all', of: others } : (first ?? null);
  return { source: sql, keys, filter, listColumns };
}

/** A rule by the expressions that records have to agree in. */
export function readKeyRule(expressions: readonly string[], listColumns: readonly string[] = []): BlockingRule {
  return { source: expressions, keys: expressions.map(parseValueExpression), filter: null, listColumns };
}

function keyOf(condition: Condition): ValueExpression | null {
  if (condition.kind !== 'equal') return null;
  const { left, right } = condition;
  const [a, b] = [expressionOf(left), expressionOf(right)];
  if (a === null || b === null || left.side === right.side) return null;
  return JSON.stringify(a) === JSON.stringify(b) ? a : null;
}

function expressionOf(operand: Operand): ValueExpression | null {
  return operand.side === 'none' ? null : operand.expression;
}
