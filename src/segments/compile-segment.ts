import { WeftError } from '../platform/errors.js';
import { consentTrait, type ConsentTerms } from '../profiles/consent.model.js';
import { compileCondition } from './compile-expression.js';
import { leafScope, type CompiledNode } from './compile-leaf.js';
import { consentGate, type ConsentGate } from './consent-gate.js';
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

/** What the members of a segment have to allow, and the terms of all purposes by key. */
export interface SegmentConsents {
  readonly needed: readonly string[];
  readonly purposes: ReadonlyMap<string, ConsentTerms>;
}

const NO_CONSENTS: SegmentConsents = { needed: [], purposes: new Map() };

/** A segment ready to be evaluated, any number of times and for any profile. */
export interface CompiledSegment extends SegmentIdentity {
  /** Indexes of the features that it reads, inline ones included; ascending. */
  readonly featureDeps: readonly number[];
  readonly traitDeps: readonly string[];
  readonly modelDeps: readonly string[];
  readonly segmentDeps: readonly string[];
  /** False: its truth never changes by time alone, given its features' values hold. */
  readonly timeDependent: boolean;
  /** What members have to allow, by key: for the segment, and for the features and models that it reads. */
  readonly purposes: readonly string[];
  /** Closed for those who do not allow what the segment needs: they are not in it. Null: it needs nothing. */
  readonly gate: ConsentGate | null;
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
  { needed, purposes }: SegmentConsents = NO_CONSENTS,
): CompiledSegment {
  const { requires } = parsed;
  const scope = leafScope(featureIndexOf, purposes, (name) => missingFeature(identity.key, name));
  const names = [...requires.features, ...requires.inlineFeatures.map((definition) => definition.name)];
  const featureDeps = names.map((name) => scope.indexOf({ name, inline: null })).sort((a, b) => a - b);
  const condition = compileCondition(parsed.expression, scope);
  const gate = consentGate(needed, purposes);
  const consents = [...new Set([...requires.purposes, ...needed])].map(consentTrait);
  const flips = { condition, gate, modelDeps: requires.models };
  const evaluate = evaluation(flips);
  return {
    ...identity,
    featureDeps,
    traitDeps: consents.length === 0 ? requires.traits : [...requires.traits, ...consents],
    modelDeps: requires.models,
    segmentDeps: requires.segments,
    timeDependent: condition.hold !== null || gate !== null,
    purposes: needed,
    gate,
    evaluate,
    nextFlip: flipSearch(flips, evaluate),
  };
}

interface Flips {
  readonly condition: CompiledNode;
  readonly gate: ConsentGate | null;
  readonly modelDeps: readonly string[];
}

function evaluation({ condition, gate }: Flips): CompiledSegment['evaluate'] {
  if (gate === null) return (ctx, t) => condition.evaluate(ctx, t) === true;
  return (ctx, t) => gate.isOpen(ctx, t) && condition.evaluate(ctx, t) === true;
}

function flipSearch(
  { condition: { hold }, gate, modelDeps }: Flips,
  evaluate: CompiledSegment['evaluate'],
): CompiledSegment['nextFlip'] {
  if (hold === null && gate === null) return () => Infinity;
  return (ctx, t, truth) => {
    // Nobody is scored for what they do not allow: what follows once they do cannot be judged before.
    if (gate !== null && modelDeps.length > 0 && !gate.isOpen(ctx, t)) return gate.holdsUntil(ctx, t);
    const scoresHoldUntil = modelDeps.length === 0 ? Infinity : scoresUntil(ctx, modelDeps);
    let at = t;
    for (let i = 0; i < MAX_FLIP_CANDIDATES; i++) {
      let until = gate === null ? Infinity : gate.holdsUntil(ctx, at);
      if (hold !== null && (gate === null || gate.isOpen(ctx, at))) until = Math.min(until, hold(ctx, at));
      // One millisecond on at least, so that whoever follows the flips always gets ahead.
      at = Math.max(until, at + 1);
      if (at >= scoresHoldUntil || at === Infinity || evaluate(ctx, at) !== truth) return at;
    }
    return at;
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
