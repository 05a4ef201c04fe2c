import type { ASTNode } from '@marcbachmann/cel-js';
import type { FunnelStep } from '../features/feature.model.js';
import {
  faultOfStep,
  MAX_FUNNEL_STEPS,
  MAX_WITHIN_MS,
  MIN_FUNNEL_STEPS,
  MIN_WITHIN_MS,
} from '../features/funnel.model.js';
import { durationText } from '../platform/duration.js';
import { arity, at, type CallRule } from './call-arity.js';
import { span, type CheckContext } from './check-context.js';
import { constantText, eventName, windowOf } from './constant-arguments.js';
import { funnelFeature } from './inline-features.js';
import type { Expression, FeatureExpression, LiteralExpression } from './segment-expression.model.js';

const STEP_USAGE = 'step("purchase", "properties.total > 50")';

/** Whether all steps were done in their order: a funnel whose last step was reached. */
export const sequence: CallRule = (c, node, args) => {
  const depth = funnelOf(c, node, args, 'sequence');
  const steps = depth.feature.inline?.options?.steps?.length ?? 0;
  const last: LiteralExpression = { kind: 'literal', type: 'int', ...span(node), value: steps };
  return { kind: 'compare', type: 'bool', ...span(node), op: '>=', left: depth, right: last };
};

/** How many of the steps were done in their order. */
export const funnel: CallRule = (c, node, args) => funnelOf(c, node, args, 'funnel');

function funnelOf(
  c: CheckContext,
  node: ASTNode,
  args: readonly ASTNode[],
  name: 'sequence' | 'funnel',
): FeatureExpression {
  arity(c, node, args, `${name}(["product_view", "purchase"], "7d")`, 1, 3);
  const steps = stepsOf(c, at(args, 0), name);
  const windowMs = args.length > 1 ? windowOf(c, at(args, 1)) : null;
  const withinMs = args.length > 2 ? withinOf(c, at(args, 2), windowMs) : undefined;
  return { kind: 'feature', type: 'int', ...span(node), feature: funnelFeature(steps, windowMs, withinMs) };
}

function stepsOf(c: CheckContext, node: ASTNode, name: string): FunnelStep[] {
  const usage = `write ${name}(["product_view", "add_to_cart", "purchase"], "7d")`;
  if (node.op !== 'list') return c.fail(node, `${name}() expects a list of events`, usage);
  if (node.args.length < MIN_FUNNEL_STEPS || node.args.length > MAX_FUNNEL_STEPS) {
    const range = `${String(MIN_FUNNEL_STEPS)} to ${String(MAX_FUNNEL_STEPS)}`;
    return c.fail(node, `${name}() takes ${range} steps, found ${String(node.args.length)}`, usage);
  }
  return node.args.map((item) => stepOf(c, item));
}

function stepOf(c: CheckContext, node: ASTNode): FunnelStep {
  if (node.op !== 'call' || node.args[0] !== 'step') return { event: eventName(c, node), where: null };
  const args = node.args[1];
  arity(c, node, args, STEP_USAGE, 2);
  const where = constantText(c, at(args, 1), 'the condition of the step');
  const fault = faultOfStep(where);
  if (fault === null) return { event: eventName(c, at(args, 0)), where };
  const place = fault.where === undefined ? '' : ` at ${fault.where} of it`;
  return c.fail(at(args, 1), `the condition of the step is wrong${place}: ${fault.message}`, fault.hint);
}

function withinOf(c: CheckContext, node: ASTNode, windowMs: number | null): number | undefined {
  const ms = windowOf(c, node);
  if (ms < MIN_WITHIN_MS || ms > MAX_WITHIN_MS) {
    const range = `${durationText(MIN_WITHIN_MS)} to ${durationText(MAX_WITHIN_MS)}`;
    return c.fail(node, `from the first step to the last there are ${range}`, 'leave it out where any time will do');
  }
  // All events of a window are less than its length apart.
  return windowMs !== null && ms >= windowMs ? undefined : ms;
}

/** `funnel([…]) >= 4` of three steps would be true of nobody. */
export function checkFunnelBound(c: CheckContext, depth: Expression, bound: Expression, node: ASTNode): void {
  if (depth.kind !== 'feature' || bound.kind !== 'literal' || typeof bound.value !== 'number') return;
  const steps = depth.feature.inline?.options?.steps?.length;
  if (steps === undefined || (bound.value >= 0 && bound.value <= steps)) return;
  c.fail(node, `this funnel gives 0 to ${String(steps)}`, 'it is how many of its steps were reached');
}
