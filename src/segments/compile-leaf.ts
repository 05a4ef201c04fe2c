import type { CompareOp } from '../features/compare-value.model.js';
import { allowedUntil, consentTrait, isAllowed, UNDECLARED, type ConsentTerms } from '../profiles/consent.model.js';
import { isListed, listTrait } from '../profiles/list.model.js';
import type { EvalContext, FeatureIndexOf, ModelOutput } from './eval-context.model.js';
import { ABSENT, COMPARE_NUMBERS, valueOf, type Value } from './expression-values.js';
import { scoreHoldsUntil } from './score-steps.model.js';
import { sampleNumber } from './sample-number.js';
import type {
  AgeCompareExpression,
  CountWithinExpression,
  FeatureExpression,
  FeatureReference,
  ModelExpression,
} from './segment-expression.model.js';

export type Evaluate = (ctx: EvalContext, t: number) => Value;

/** An instant > t up to which (exclusive) the node keeps the value it has at `t`; Infinity if for ever. */
export type Hold = (ctx: EvalContext, t: number) => number;

export interface CompiledNode {
  readonly evaluate: Evaluate;
  /** Null: time alone never changes it. */
  readonly hold: Hold | null;
}

/** What the leaves of one segment share. */
export interface LeafScope {
  indexOf: (feature: FeatureReference) => number;
  readonly purposes: ReadonlyMap<string, ConsentTerms>;
}

export function leafScope(
  indexOf: FeatureIndexOf,
  purposes: ReadonlyMap<string, ConsentTerms>,
  missing: (name: string) => never,
): LeafScope {
  return { indexOf: (feature) => indexOf(feature.name) ?? missing(feature.name), purposes };
}

export function compileFeature(scope: LeafScope, node: FeatureExpression): CompiledNode {
  const index = scope.indexOf(node.feature);
  return {
    evaluate: (ctx, t) => {
      const value = ctx.feature(index, t);
      return value.status === 'PRESENT' ? (value.value as Value) : ABSENT;
    },
    hold: (ctx, t) => ctx.feature(index, t).validUntil,
  };
}

/** `f.x op constant` for numbers: its own leaf, because the feature knows exactly when that flips. */
export function compileFeatureCompare(
  scope: LeafScope,
  feature: FeatureReference,
  op: CompareOp,
  constant: number,
): CompiledNode {
  const index = scope.indexOf(feature);
  const compare = COMPARE_NUMBERS[op];
  return {
    evaluate: (ctx, t) => {
      const { status, value } = ctx.feature(index, t);
      return status === 'PRESENT' && typeof value === 'number' ? compare(value, constant) : ABSENT;
    },
    hold: (ctx, t) => ctx.flipAt(index, t, op, constant),
  };
}

export function compileLastTime(scope: LeafScope, feature: FeatureReference): CompiledNode {
  const index = scope.indexOf(feature);
  return { evaluate: (ctx) => ctx.lastTimes(index)[0] ?? ABSENT, hold: null };
}

/** How many of the times, newest first, have `t − time < windowMs`. */
function countWithin(times: readonly number[], t: number, windowMs: number): number {
  const from = t - windowMs;
  let count = 0;
  while (count < times.length && (times[count] as number) > from) count++;
  return count;
}

/**
 * A count over the latest times. The oldest of them leaves the window at its time + `windowMs`; the truth flips at
 * the first such departure that carries the count across the constant.
 */
export function compileCountWithin(scope: LeafScope, node: CountWithinExpression): CompiledNode {
  const index = scope.indexOf(node.feature);
  const limit = node.feature.inline?.limit ?? Infinity;
  const { windowMs, constant } = node;
  const compare = COMPARE_NUMBERS[node.op];
  const countAt = (ctx: EvalContext, t: number): number =>
    Math.min(limit, countWithin(ctx.lastTimes(index), t, windowMs));
  const evaluate: Evaluate = (ctx, t) => compare(countAt(ctx, t), constant);
  if (windowMs === Infinity) return { evaluate, hold: null };
  return {
    evaluate,
    hold: (ctx, t) => {
      const times = ctx.lastTimes(index);
      const count = countAt(ctx, t);
      const truth = compare(count, constant);
      for (let left = count - 1; left >= 0; left--) {
        const time = times[left] as number;
        if (compare(left, constant) !== truth) return time + windowMs;
      }
      return Infinity;
    },
  };
}

/** Ages only grow, by whole milliseconds: `>= D` and `< D` flip at D, `> D` and `<= D` one later. */
export function compileAgeCompare(scope: LeafScope, node: AgeCompareExpression): CompiledNode {
  const index = scope.indexOf(node.feature);
  const { ageMs, op } = node;
  const compare = COMPARE_NUMBERS[op];
  const flipAgeMs = op === '>=' || op === '<' ? ageMs : ageMs + 1;
  return {
    evaluate: (ctx, t) => {
      const time = ctx.lastTimes(index)[0];
      return time === undefined ? ABSENT : compare(t - time, ageMs);
    },
    hold: (ctx, t) => {
      const time = ctx.lastTimes(index)[0];
      return time === undefined || time + flipAgeMs <= t ? Infinity : time + flipAgeMs;
    },
  };
}

function modelValue(node: ModelExpression, { score, label, cluster }: ModelOutput): Value {
  if (node.output === 'score') return valueOf(score);
  if (node.output === 'cluster') return cluster ?? ABSENT;
  return label === undefined ? ABSENT : String(label);
}

export function compileModel(node: ModelExpression): CompiledNode {
  const { key } = node;
  return {
    evaluate: (ctx) => {
      const output = ctx.model(key);
      return output === undefined ? ABSENT : modelValue(node, output);
    },
    hold: (ctx) => {
      const output = ctx.model(key);
      return output === undefined ? Infinity : scoreHoldsUntil(output.validUntil);
    },
  };
}

export function compileListed(key: string): { evaluate(ctx: EvalContext): boolean; readonly hold: null } {
  const trait = listTrait(key);
  return { evaluate: (ctx) => isListed(ctx.trait(trait)), hold: null };
}

export function compileSample(name: string): CompiledNode {
  return { evaluate: (ctx) => sampleNumber(name, ctx.profileId()), hold: null };
}

/** Whether the profile may be used for a purpose; flips when the word on it runs out, to the millisecond. */
export function compileConsent({ purposes }: Pick<LeafScope, 'purposes'>, purpose: string): ConsentNode {
  const terms = purposes.get(purpose) ?? UNDECLARED;
  const trait = consentTrait(purpose);
  return {
    evaluate: (ctx, t) => isAllowed(terms, ctx.consent(trait), t),
    hold: (ctx, t) => allowedUntil(terms, ctx.consent(trait), t),
  };
}

interface ConsentNode {
  evaluate(ctx: EvalContext, t: number): boolean;
  hold(ctx: EvalContext, t: number): number;
}
