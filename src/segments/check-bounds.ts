import type { ASTNode } from '@marcbachmann/cel-js';
import type { CompareOp } from '../features/compare-value.model.js';
import { checkClockBound } from './check-clock.js';
import type { CheckContext } from './check-context.js';
import { checkFunnelBound } from './check-sequence.js';
import type { Expression } from './segment-expression.model.js';

/** Refuses constants that a value can never reach, with which a condition would be true of everybody or of nobody. */
export function checkBounds(c: CheckContext, op: CompareOp, value: Expression, bound: Expression, node: ASTNode): void {
  checkClockBound(c, op, value, bound, node);
  checkSampleBound(c, value, bound, node);
  checkFunnelBound(c, value, bound, node);
}

/** A percentage in the place of a share would let everybody in. */
function checkSampleBound(c: CheckContext, sample: Expression, bound: Expression, node: ASTNode): void {
  if (sample.kind !== 'sample' || bound.kind !== 'literal' || typeof bound.value !== 'number') return;
  if (bound.value >= 0 && bound.value <= 1) return;
  c.fail(node, 'a sample is a number from 0 up to 1', `for 5 % write sample("${sample.name}") < 0.05`);
}
