import { isDeepStrictEqual } from 'node:util';
import { WeftError } from '../platform/errors.js';
import { durationText } from '../platform/duration.js';
import { parseSegment, type ParsedSegment, type SegmentRequirements } from './parse-segment.js';
import type { SegmentSchema } from './segment-schema.model.js';

/** All that decides who is in a segment: what one version of it says. */
export interface SegmentRule extends MembershipTerms {
  /** Who enters. Without an exit condition also who stays. */
  readonly expression: string;
  /** Who leaves: a member for whom this is not true stays. Null: who is not to enter. */
  readonly exitExpression: string | null;
  /** What its members have to allow, sorted. */
  readonly purposes: readonly string[];
}

/** What a segment says of time, beside its conditions. */
export interface MembershipTerms {
  /** How long a member stays at least, ms, whole seconds, whatever the conditions say; null: no longer than they say. */
  readonly minDwellMs: number | null;
  /** Nobody is in it before this instant, ms; null: it has no beginning. */
  readonly activeFrom: number | null;
  /** Nobody is in it from this instant on, ms; null: it has no end. */
  readonly activeUntil: number | null;
}

/** A segment as its author writes it. What is left out of its rule is as it is; of a new segment there is none. */
export interface SegmentDraft extends Partial<Omit<SegmentRule, 'expression'>> {
  readonly expression: string;
  readonly key: string;
  readonly name: string;
  readonly description: string;
  readonly tags: readonly string[];
  /** Whether edge keys may be told who is in it; left out: as it is, false for a new one. */
  readonly edge?: boolean;
}

export const NO_TERMS: MembershipTerms = { minDwellMs: null, activeFrom: null, activeUntil: null };

/** Longest dwell that can be asked for: a year. */
export const MAX_DWELL_MS = 365 * 86_400_000;
/** Instants that can be asked for end with the year 9999, ms. */
export const MAX_INSTANT_MS = Date.UTC(10_000, 0, 1) - 1;

/** The rule alone, of anything that has one. */
export function ruleOf(rule: SegmentRule): SegmentRule {
  const { expression, exitExpression, minDwellMs, activeFrom, activeUntil, purposes } = rule;
  return { expression, exitExpression, minDwellMs, activeFrom, activeUntil, purposes };
}

export function isSameRule(a: SegmentRule, b: SegmentRule): boolean {
  return isDeepStrictEqual(ruleOf(a), ruleOf(b));
}

/**
 * Both conditions of a rule as one segment, which requires what either does.
 * @throws WeftError EXPRESSION_INVALID with `where` as `line:column`, of the exit condition as `exit line:column`
 */
export function parseRule(
  { expression, exitExpression }: Pick<SegmentRule, 'expression' | 'exitExpression'>,
  schema: SegmentSchema,
): ParsedSegment {
  const enter = parseSegment(expression, schema);
  if (exitExpression === null) return enter;
  const exit = parseExit(exitExpression, schema);
  return { ...enter, exit: exit.expression, requires: bothOf(enter.requires, exit.requires) };
}

/** @throws WeftError as {@link parseRule} */
export function parseExit(exitExpression: string, schema: SegmentSchema): ParsedSegment {
  try {
    return parseSegment(exitExpression, schema);
  } catch (error) {
    if (!(error instanceof WeftError)) throw error;
    const { code, message, where, hint } = error;
    throw new WeftError(code, `in the exit condition: ${message}`, {
      ...(where === undefined ? undefined : { where: `exit ${where}` }),
      ...(hint === undefined ? undefined : { hint }),
      cause: error,
    });
  }
}

function bothOf(a: SegmentRequirements, b: SegmentRequirements): SegmentRequirements {
  const names = (x: readonly string[], y: readonly string[]): string[] => [...new Set([...x, ...y])].sort();
  const inline = new Map([...a.inlineFeatures, ...b.inlineFeatures].map((feature) => [feature.name, feature]));
  return {
    features: names(a.features, b.features),
    inlineFeatures: [...inline.values()].sort((x, y) => (x.name < y.name ? -1 : 1)),
    traits: names(a.traits, b.traits),
    groupTraits: names(a.groupTraits, b.groupTraits),
    models: names(a.models, b.models),
    segments: names(a.segments, b.segments),
    purposes: names(a.purposes, b.purposes),
    lists: names(a.lists, b.lists),
    samples: names(a.samples, b.samples),
  };
}

/** @throws WeftError BAD_REQUEST naming the field, as definitions call it */
export function checkTerms({ minDwellMs, activeFrom, activeUntil }: MembershipTerms): void {
  const refuse = (where: string, message: string, hint: string): never => {
    throw new WeftError('BAD_REQUEST', message, { where, hint });
  };
  const isDwell = minDwellMs === null || (minDwellMs % 1_000 === 0 && minDwellMs > 0 && minDwellMs <= MAX_DWELL_MS);
  if (!isDwell) {
    refuse('min_dwell', 'the minimum dwell is no length of time that can be asked for', dwellHint());
  }
  for (const [where, at] of [
    ['active_from', activeFrom],
    ['active_until', activeUntil],
  ] as const) {
    if (at === null || (Number.isSafeInteger(at) && at >= 0 && at <= MAX_INSTANT_MS)) continue;
    refuse(where, `${where} is no time that can be asked for`, 'give a time between the years 1970 and 9999');
  }
  if (activeFrom !== null && activeUntil !== null && activeFrom >= activeUntil) {
    refuse('active_until', 'the segment would end before it begins', 'give it a time after active_from');
  }
}

export function dwellHint(): string {
  return `give at least 1s and at most ${durationText(MAX_DWELL_MS)}`;
}
