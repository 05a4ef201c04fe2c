import { WeftError } from '../platform/errors.js';
import { compileCondition } from './compile-expression.js';
import { leafScope } from './compile-leaf.js';
import type { EvalContext, FeatureIndexOf } from './eval-context.model.js';
import type { ParsedSegment } from './parse-segment.js';
import { scoreHoldsUntil } from './score-steps.model.js';

/** Candidates that a search for the next flip looks at before it settles for a wake-up that may change nothing. */
export const MAX_FLIP_CANDIDATES = 8;

export interface SegmentIdentity {
  readonly key: string;
  readonly segmentId: number;
  readonly version: number;
}

/** A segment ready to be evaluated, any number of times and for any profile. */
export interface CompiledSegment extends SegmentIdentity {
  /** Indexes of the features that it reads, inline ones included; ascending. */
  readonly featureDeps: readonly number[];
  readonly traitDeps: readonly string[];
  readonly modelDeps: readonly string[];
  readonly segmentDeps: readonly string[];
  /** False: its truth never changes by time alone, given its features' values hold. */
  readonly timeDependent: boolean;
  /** True where the condition is true at `t`; false where it is false, or an absent value leaves it open. */
  evaluate(ctx: EvalContext, t: number): boolean;
  /**
   * The next instant > t at which to evaluate again if no more events come; Infinity if never. `truth` is the outcome
   * at `t`. The truth does not change before that instant; at it, it usually does. Scores hold as `score-steps.model.ts`
   * says; memberships in other segments are taken to hold, since those have flips of their own.
   */
  nextFlip(ctx: EvalContext, t: number, truth: boolean): number;
}

/**
 * Binds a parsed segment to a set of features.
 * @throws WeftError EXPRESSION_INVALID if the set lacks a feature that the segment reads.
 */
export function compileSegment(
  parsed: ParsedSegment,
  identity: SegmentIdentity,
  featureIndexOf: FeatureIndexOf,
): CompiledSegment {
  const { requires } = parsed;
  const scope = leafScope(featureIndexOf, (name) => missingFeature(identity.key, name));
  const names = [...requires.features, ...requires.inlineFeatures.map((definition) => definition.name)];
  const featureDeps = names.map((name) => scope.indexOf({ name, inline: null })).sort((a, b) => a - b);
  const { evaluate: condition, hold } = compileCondition(parsed.expression, scope);
  const modelDeps = requires.models;

  const evaluate = (ctx: EvalContext, t: number): boolean => condition(ctx, t) === true;
  const nextFlip = (ctx: EvalContext, t: number, truth: boolean): number => {
    if (hold === null) return Infinity;
    const scoresHoldUntil = modelDeps.length === 0 ? Infinity : scoresUntil(ctx, modelDeps);
    let at = t;
    for (let i = 0; i < MAX_FLIP_CANDIDATES; i++) {
      // One millisecond on at least, so that whoever follows the flips always gets ahead.
      at = Math.max(hold(ctx, at), at + 1);
      if (at >= scoresHoldUntil || at === Infinity || evaluate(ctx, at) !== truth) return at;
    }
    return at;
  };
  return {
    ...identity,
    featureDeps,
    traitDeps: requires.traits,
    modelDeps,
    segmentDeps: requires.segments,
    timeDependent: hold !== null,
    evaluate,
    nextFlip,
  };
}

/** From here on a score may differ from what the context says, so that no candidate can be judged. */
function scoresUntil(ctx: EvalContext, models: readonly string[]): number {
  let until = Infinity;
  for (const key of models) {
    const output = ctx.model(key);
    if (output !== undefined) until = Math.min(until, scoreHoldsUntil(output.validUntil));
  }
  return until;
}

function missingFeature(segmentKey: string, name: string): never {
  throw new WeftError('EXPRESSION_INVALID', `the segment reads the feature ${name}, which does not exist`, {
    where: segmentKey,
    hint: 'apply the feature view that defines it, or archive the segment',
  });
}
