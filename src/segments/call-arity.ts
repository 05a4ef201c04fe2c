import type { ASTNode } from '@marcbachmann/cel-js';
import type { CheckContext } from './check-context.js';
import type { Expression } from './segment-expression.model.js';

/** Checks a call of the language, `name(args)`. */
export type CallRule = (c: CheckContext, node: ASTNode, args: readonly ASTNode[]) => Expression;

/** @param usage how the call is written */
export function arity(
  c: CheckContext,
  node: ASTNode,
  args: readonly ASTNode[],
  usage: string,
  min: number,
  max = min,
): void {
  if (args.length >= min && args.length <= max) return;
  const expected = min === max ? String(min) : `${String(min)} to ${String(max)}`;
  c.fail(
    node,
    `expected ${expected} argument${expected === '1' ? '' : 's'}, found ${String(args.length)}`,
    `write ${usage}`,
  );
}

/** The argument at `i`, where {@link arity} has seen to it that there is one. */
export function at(args: readonly ASTNode[], i: number): ASTNode {
  return args[i] as ASTNode;
}
