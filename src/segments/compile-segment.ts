import { WeftError } from '../platform/errors.js';
import { consentTrait, type ConsentTerms } from '../profiles/consent.model.js';
import { listTrait } from '../profiles/list.model.js';
import { compileCondition } from './compile-expression.js';
import { leafScope, type CompiledNode } from './compile-leaf.js';
import type { EvalContext, FeatureIndexOf } from './eval-context.model.js';
import { bothGates, consentGate, periodGate, type Gate } from './gates.js';
import type { ParsedSegment } from './parse-segment.js';
import { scoreHoldsUntil } from './score-steps.model.js';
import { NO_TERMS, type MembershipTerms } from './segment-rule.model.js';

/** Candidates that a search for the next flip looks at before it settles for a wake-up that may change nothing. */
export const MAX_FLIP_CANDIDATES = 8;

export interface SegmentIdentity {
  readonly key: string;
  readonly segmentId: number;
  readonly version: number;
  readonly adoptsShadow?: boolean;
}

/** What the members of a segment have to allow, and the terms of all purposes by key. */
export interface SegmentConsents {
  readonly needed: readonly string[];
  readonly purposes: ReadonlyMap<string, ConsentTerms>;
}

const NO_CONSENTS: SegmentConsents = { needed: [], purposes: new Map() };

/**
 * A segment ready to be evaluated, any number of times and for any profile.
 *
 * Most segments are functions of a profile and an instant. One that `remembers`, because it has an exit condition or a
 * minimum dwell, is one of whether, and since when, the profile is in it, too; no more of its past is ever asked for.
 * Evaluated again at the same instant with what came of it, it says the same again.
 */
export interface CompiledSegment extends SegmentIdentity {
  /** Indexes of the features that it reads, inline ones included; ascending. */
  readonly featureDeps: readonly number[];
  readonly traitDeps: readonly string[];
  readonly modelDeps: readonly string[];
  readonly segmentDeps: readonly string[];
  /** Names of samples, see `sample-number.ts`. */
  readonly sampleDeps: readonly string[];
  /** False: its truth never changes by time alone, given its features' values hold. */
  readonly timeDependent: boolean;
  /** Whether membership depends on membership before. */
  readonly remembers: boolean;
  /** Whether who was in its shadow counts as having been in it. */
  readonly adoptsShadow: boolean;
  /** What members have to allow, by key: for the segment, and for the features and models that it reads. */
  readonly purposes: readonly string[];
  /** Closed for those who do not allow what the segment needs: they are not in it. Null: it needs nothing. */
  readonly gate: Gate | null;
  /** The same, closed for everybody outside the active period, too. */
  readonly admission: Gate | null;
  /**
   * True for who is in it from `t` on; false too where an absent value leaves its condition open.
   * @param since when the profile entered it, ms, at or before `t`; null: it is not in it
   */
  evaluate(ctx: EvalContext, t: number, since?: number | null): boolean;
  /**
   * The next instant > t at which to evaluate again if no more events come; Infinity if never. `truth` is the outcome
   * at `t`, and `since` when the profile entered, ms, where that is true. The truth does not change before that instant;
   * at it, it usually does. Scores hold as `score-steps.model.ts` says; memberships in other segments are taken to hold,
   * since those have flips of their own.
   */
  nextFlip(ctx: EvalContext, t: number, truth: boolean, since?: number): number;
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
  terms: MembershipTerms = NO_TERMS,
): CompiledSegment {
  const { requires } = parsed;
  const { adoptsShadow = false } = identity;
  const scope = leafScope(featureIndexOf, purposes, (name) => missingFeature(identity.key, name));
  const names = [...requires.features, ...requires.inlineFeatures.map((definition) => definition.name)];
  const featureDeps = names.map((name) => scope.indexOf({ name, inline: null })).sort((a, b) => a - b);
  const enter = compileCondition(parsed.expression, scope);
  const exit = parsed.exit === null ? null : compileCondition(parsed.exit, scope);
  const gate = consentGate(needed, purposes);
  const admission = bothGates(gate, periodGate(terms.activeFrom, terms.activeUntil));
  const consents = [...new Set([...requires.purposes, ...needed])].map(consentTrait);
  const reserved = [...consents, ...requires.lists.map(listTrait)];
  const dwellMs = terms.minDwellMs ?? 0;
  const flips: Flips = { enter, exit, dwellMs, admission, modelDeps: requires.models };
  const evaluate = evaluation(flips);
  return {
    ...identity,
    featureDeps,
    traitDeps: reserved.length === 0 ? requires.traits : [...requires.traits, ...reserved],
    modelDeps: requires.models,
    segmentDeps: requires.segments,
    sampleDeps: requires.samples,
    timeDependent: isTimeDependent(flips),
    remembers: exit !== null || dwellMs > 0,
    adoptsShadow,
    purposes: needed,
    gate,
    admission,
    evaluate,
    nextFlip: flipSearch(flips, evaluate),
  };
}

interface Flips {
  readonly enter: CompiledNode;
  readonly exit: CompiledNode | null;
  /** 0: there is no minimum. */
  readonly dwellMs: number;
  readonly admission: Gate | null;
  readonly modelDeps: readonly string[];
}

function isTimeDependent({ enter, exit, dwellMs, admission }: Flips): boolean {
  return enter.hold !== null || (exit !== null && exit.hold !== null) || dwellMs > 0 || admission !== null;
}

/**
 * Whoever is not admitted is out at once. A member within the dwell is in. For all others the conditions decide, and
 * where both hold the exit condition does: nobody enters to leave again.
 */
function evaluation({ enter, exit, dwellMs, admission }: Flips): CompiledSegment['evaluate'] {
  const decides = (ctx: EvalContext, t: number, since: number | null): boolean => {
    if (since !== null && t < since + dwellMs) return true;
    if (exit === null) return enter.evaluate(ctx, t) === true;
    if (exit.evaluate(ctx, t) === true) return false;
    return since !== null || enter.evaluate(ctx, t) === true;
  };
  if (admission !== null) {
    return (ctx, t, since = null) => admission.isOpen(ctx, t) && decides(ctx, t, since);
  }
  if (exit === null && dwellMs === 0) return (ctx, t) => enter.evaluate(ctx, t) === true;
  return (ctx, t, since = null) => decides(ctx, t, since);
}

function flipSearch(flips: Flips, evaluate: CompiledSegment['evaluate']): CompiledSegment['nextFlip'] {
  if (!isTimeDependent(flips)) return () => Infinity;
  const { dwellMs, admission, modelDeps } = flips;
  return (ctx, t, truth, since = t) => {
    // Nobody is scored who is not admitted: what follows once they are cannot be judged before.
    if (admission !== null && modelDeps.length > 0 && !admission.isOpen(ctx, t)) return admission.holdsUntil(ctx, t);
    const scoresHoldUntil = modelDeps.length === 0 ? Infinity : scoresUntil(ctx, modelDeps);
    const dwellEnd = truth ? since + dwellMs : -Infinity;
    let at = t;
    for (let i = 0; i < MAX_FLIP_CANDIDATES; i++) {
      let until = admission === null ? Infinity : admission.holdsUntil(ctx, at);
      if (at < dwellEnd) until = Math.min(until, dwellEnd);
      else if (admission === null || admission.isOpen(ctx, at))
        until = conditionsHoldUntil(flips, ctx, at, truth, until);
      // One millisecond on at least, so that whoever follows the flips always gets ahead.
      at = Math.max(until, at + 1);
      if (at >= scoresHoldUntil || at === Infinity || evaluate(ctx, at, truth ? since : null) !== truth) return at;
    }
    return at;
  };
}

/** `least`, or the instant before it up to which (exclusive) the conditions say what they say at `t`. */
function conditionsHoldUntil(
  { enter, exit }: Flips,
  ctx: EvalContext,
  t: number,
  isMember: boolean,
  least: number,
): number {
  let until = least;
  // Of a member only the exit condition is asked, where there is one.
  if (enter.hold !== null && !(isMember && exit !== null)) until = Math.min(until, enter.hold(ctx, t));
  if (exit !== null && exit.hold !== null) until = Math.min(until, exit.hold(ctx, t));
  return until;
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
