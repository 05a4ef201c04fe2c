import type { CompiledSegment } from './compile-segment.js';
import { explainCondition, type ExplainedCondition, type ExplainScope } from './explain-condition.js';
import type { ParsedSegment } from './parse-segment.js';
import type { SegmentRule } from './segment-rule.model.js';

/** What decided, in the order in which it is asked (`compile-segment.ts`). */
export const DECIDING_RULES = ['admission', 'dwell', 'exit', 'memory', 'condition'] as const;
export type DecidingRule = (typeof DECIDING_RULES)[number];

/** Why a profile is, or is not, in a segment at an instant. */
export interface ExplainedSegment {
  readonly isMember: boolean;
  /**
   * `admission`: consent or the active period; `dwell`: members stay so long; `exit`: the exit condition is true; `memory`:
   * a member stays, as it is not; `condition`: the condition.
   */
  readonly decidedBy: DecidingRule;
  /** Since when it is a member, ms; null: it is none. */
  readonly since: number | null;
  /** Until when the minimum dwell keeps it in, ms; null: it does not. */
  readonly dwellUntil: number | null;
  /** Purposes that members have to allow, also for what the segment reads. */
  readonly purposes: readonly string[];
  /** Whether consent and the active period admit it. */
  readonly isAdmitted: boolean;
  /** Before this instant, ms, time alone does not change whether it is a member; Infinity: it never does. */
  readonly holdsUntil: number;
  readonly conditions: readonly ExplainedCondition[];
  /** Of the exit condition; empty where there is none. */
  readonly exitConditions: readonly ExplainedCondition[];
}

interface ExplainedRule {
  readonly segment: CompiledSegment;
  readonly parsed: ParsedSegment;
  readonly rule: Pick<SegmentRule, 'exitExpression' | 'minDwellMs'>;
  /** Since when it is a member, ms; null: it is none. */
  readonly since: number | null;
}

/** By what decides membership, part by part. */
export function explainSegment({ segment, parsed, rule, since }: ExplainedRule, scope: ExplainScope): ExplainedSegment {
  const { ctx, t } = scope;
  const isMember = segment.evaluate(ctx, t, since);
  const isAdmitted = segment.admission?.isOpen(ctx, t) ?? true;
  const dwellEnd = since === null ? -Infinity : since + (rule.minDwellMs ?? 0);
  const conditions = explainCondition(parsed.source, parsed.expression, scope);
  const { exitExpression } = rule;
  const exitConditions =
    parsed.exit === null || exitExpression === null ? [] : explainCondition(exitExpression, parsed.exit, scope);
  const hasLeft = exitConditions[0]?.value === true;
  return {
    ...{ isMember, since, isAdmitted, conditions, exitConditions },
    decidedBy: !isAdmitted
      ? 'admission'
      : t < dwellEnd
        ? 'dwell'
        : hasLeft
          ? 'exit'
          : since !== null && exitConditions.length > 0
            ? 'memory'
            : 'condition',
    dwellUntil: t < dwellEnd ? dwellEnd : null,
    purposes: segment.purposes,
    holdsUntil: segment.segmentDeps.reduce(
      (least, key) => Math.min(least, scope.referenceHolds(key)),
      segment.nextFlip(ctx, t, isMember, since ?? t),
    ),
  };
}
