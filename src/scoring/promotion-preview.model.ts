import { WeftError } from '../platform/errors.js';

/** What is asked before a version is promoted. */
export interface PromotionAsk {
  readonly key: string;
  readonly version: number;
  /** About how many profiles are looked at, drawn by a hash of their ids; null: all. */
  readonly maxProfiles: number | null;
  /** A trait by whose values it is looked at whom segments have, as `gender`; null: none. */
  readonly by: string | null;
  /** After so long, ms, what is left is not looked at, and `share` says so. Default: as long as it takes. */
  readonly timeLimitMs?: number;
  readonly onProgress?: (seen: number, total: number) => void;
  readonly signal?: AbortSignal;
}

/** What would change with a promotion. All counts are of the profiles that were looked at. */
export interface PromotionPreview {
  readonly key: string;
  readonly version: number;
  /** The version that answers now; null: none does. */
  readonly active: number | null;
  /** As of when it was evaluated, ms. */
  readonly asOf: number;
  readonly profilesTotal: number;
  readonly profilesSeen: number;
  /** Of all profiles, 0 to 1. */
  readonly share: number;
  /** The active segments that ask the model, themselves or by another one, by key. */
  readonly segments: readonly SegmentShift[];
  /** Null: not both versions give a score. */
  readonly scores: ScoreShift | null;
  /** Null: not both versions give a label or a cluster. */
  readonly classes: ClassShift | null;
  /** Of each segment, where a trait was asked about; else empty. */
  readonly impacts: readonly SegmentImpact[];
  /** In what it may come out otherwise. */
  readonly notes: readonly string[];
}

export interface SegmentShift {
  readonly key: string;
  /** Members before and after. */
  readonly before: number;
  readonly after: number;
  readonly entering: number;
  readonly leaving: number;
  /** Of all who are in it before or after, those who are not both: 1 − Jaccard; 0 where nobody is. */
  readonly churn: number;
}

export interface ScoreShift {
  /** Population stability index, over ten bins of which each had about as many of the scores before. */
  readonly psi: number;
  readonly meanBefore: number;
  readonly meanAfter: number;
  /** Mean of the absolute difference of a profile's two scores. */
  readonly meanDifference: number;
  /** Of a profile's two scores, by Pearson; null where one version gives everybody the same. */
  readonly correlation: number | null;
  readonly bins: readonly ScoreBin[];
}

export interface ScoreBin {
  /** Its greatest score; null: the last one. */
  readonly upTo: number | null;
  readonly before: number;
  readonly after: number;
}

export interface ClassShift {
  /** Of the classes. */
  readonly psi: number;
  /** Share of the profiles that both versions give the same class, 0 to 1. */
  readonly agreement: number;
  /**
   * Adjusted Rand index of the two (Hubert and Arabie 1985), at most 1: how alike the groups of people are, whatever they
   * are called. Null: of fewer than two people.
   */
  readonly adjustedRand: number | null;
  /** How many go from which class to which, most first. */
  readonly moves: readonly ClassMove[];
}

export interface ClassMove {
  readonly before: string;
  readonly after: string;
  readonly profiles: number;
}

/** How a segment selects among groups of people. */
export interface SegmentImpact {
  readonly segment: string;
  readonly trait: string;
  /** The largest ones. */
  readonly groups: readonly ImpactGroup[];
  /** People of groups that are too small to be told of, or too many; and without a value. */
  readonly unknown: number;
  /** Groups that are too small to be told of or judged, and the people in them. */
  readonly tooSmall: { readonly groups: number; readonly people: number };
  /**
   * The lowest ratio of all groups, before and after: below 0.8 is evidence of adverse impact by the four-fifths rule (29
   * CFR 1607.4(D)). Null: there are no two groups of which there are enough people to say.
   */
  readonly leastBefore: number | null;
  readonly leastAfter: number | null;
}

export interface ImpactGroup {
  readonly value: string;
  readonly people: number;
  /** Share of the group that is in the segment, 0 to 1. */
  readonly rateBefore: number;
  readonly rateAfter: number;
  /** That share, of the share of the group of which most are; null: of so few people it would say nothing. */
  readonly ratioBefore: number | null;
  readonly ratioAfter: number | null;
}

/** Answers {@link PromotionAsk}. */
export interface PromotionPreviewer {
  /** @throws WeftError NOT_FOUND, MODEL_INVALID (it cannot be promoted), BAD_REQUEST (`by`, too slow), UNAVAILABLE */
  preview(ask: PromotionAsk): Promise<PromotionPreview>;
}

export const FOUR_FIFTHS = 0.8;
/** Groups of fewer people are not told of: a rate of them says little of a group and much of its people. */
export const MIN_GROUP = 30;
/**
 * A rate is held against another one only where so many of the group are in the segment, or would be at the other rate:
 * below that a few people decide. The usual bound of approximations to counts (W. G. Cochran, "Some methods for
 * strengthening the common χ² tests", Biometrics 10, 1954).
 */
export const MIN_SELECTED = 5;

/** What a population stability index is taken to say: N. Siddiqi, "Credit Risk Scorecards", 2006. */
export function stabilityWords(psi: number): string {
  if (psi < 0.1) return 'no change to speak of';
  return psi <= 0.25 ? 'some change' : 'a great change';
}

const PREFIX = 'trait.';

/**
 * The name of a trait that is written as `trait.gender`.
 * @throws WeftError BAD_REQUEST
 */
export function traitAsked(text: string): string {
  if (text.startsWith(PREFIX) && text.length > PREFIX.length) return text.slice(PREFIX.length);
  throw new WeftError('BAD_REQUEST', `"${text.slice(0, 100)}" is no trait`, {
    where: 'by',
    hint: 'write it as trait.gender',
  });
}
