import type { ASTNode } from '@marcbachmann/cel-js';
import type { Expression, ExpressionType } from './segment-expression.model.js';
import type { SegmentSchema } from './segment-schema.model.js';

/** What the rules for single constructs need of the checker that walks the tree. */
export interface CheckContext {
  readonly schema: SegmentSchema;
  /** The variable of the macro that is being checked. */
  local: string | null;
  /** Whether that variable is a group. */
  localIsGroup: boolean;
  check(node: ASTNode): Expression;
  /** Throws EXPRESSION_INVALID at the node. */
  fail(node: { readonly pos: number }, message: string, hint?: string): never;
}

export function span(node: { readonly start: number; readonly end: number }): { start: number; end: number } {
  return { start: node.start, end: node.end };
}

/** The type that two values can be compared in; null if they cannot. Numbers compare by value, whatever their type. */
export function unify(a: ExpressionType, b: ExpressionType): ExpressionType | null {
  if (a === b) return a;
  if (a === 'duration' || b === 'duration') return null;
  if (a === 'dyn' || b === 'dyn') return 'dyn';
  return (a === 'int' && b === 'double') || (a === 'double' && b === 'int') ? 'double' : null;
}
