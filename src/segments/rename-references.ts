import { parseExit } from './segment-rule.model.js';
import { parseSegment } from './parse-segment.js';
import { childrenOf, type Expression } from './segment-expression.model.js';
import type { SegmentRule } from './segment-rule.model.js';
import type { SegmentSchema } from './segment-schema.model.js';

/** Puts `segment("to")` in the place of every `segment("from")` of both conditions; everything else stays as it is written. */
export function renameReferences<R extends Pick<SegmentRule, 'expression' | 'exitExpression'>>(
  rule: R,
  { from, to }: { readonly from: string; readonly to: string },
  schema: SegmentSchema,
): R {
  const { expression, exitExpression } = rule;
  return {
    ...rule,
    expression: renamed(expression, parseSegment(expression, schema).expression, from, to),
    exitExpression:
      exitExpression === null ? null : renamed(exitExpression, parseExit(exitExpression, schema).expression, from, to),
  };
}

function renamed(text: string, expression: Expression, from: string, to: string): string {
  const places: (readonly [start: number, end: number])[] = [];
  const visit = (node: Expression): void => {
    if (node.kind === 'membership' && node.key === from) places.push([node.start, node.end]);
    childrenOf(node).forEach(visit);
  };
  visit(expression);
  let written = text;
  for (const [start, end] of places.sort(([a], [b]) => b - a)) {
    const call = written.slice(start, end);
    written = `${written.slice(0, start)}${call.replace(/(["'])[^"']*\1/u, `"${to}"`)}${written.slice(end)}`;
  }
  return written;
}
