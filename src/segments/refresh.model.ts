/*
 * A refresh: what decides about people changed, and everybody was evaluated anew. How many of its members a segment kept is
 * its stability. Changes of what decides that come before everybody was evaluated by the one before are one refresh.
 *
 * Held against each other are who is in the segment now, and who would be if the refresh had changed nothing. What people
 * did and what the clock did meanwhile is in both, so that it is no instability.
 */

import type { SegmentRule } from './segment-rule.model.js';

/** Another definition, another version of a model, or only that somebody asked for it. */
export const REFRESH_KINDS = ['edit', 'model', 'recompute'] as const;
export type RefreshKind = (typeof REFRESH_KINDS)[number];

/** A Jaccard index below this one is told of. */
export const DEFAULT_MIN_JACCARD = 0.5;
/** Of smaller segments a few people are a large share. */
export const MIN_JUDGED_MEMBERS = 30;
/** So long it is told of, unless the segment is refreshed again; ms. */
export const UNSTABLE_FOR_MS = 7 * 86_400_000;
/** Of each segment, the newest. */
export const KEPT_REFRESHES = 200;

export interface RefreshCounts {
  /** Who would be in it but for the refresh. */
  readonly before: number;
  /** Who is in it by the refresh alone. */
  readonly entered: number;
  /** Who would be in it but for the refresh, and is not. */
  readonly left: number;
}

/** A model that a segment asks and of which other versions answer than before. */
export interface RefreshedModel {
  readonly key: string;
  /** The version, as `2`; beside a canary as `2, 3 for 10 %`; null: none. */
  readonly before: string | null;
  readonly after: string | null;
}

export interface SegmentRefresh extends RefreshCounts {
  readonly id: number;
  readonly segmentId: number;
  readonly kind: RefreshKind;
  /** When it was over and its changes were counted, ms. */
  readonly measuredAt: number;
  /** Of the segment, that was live before. */
  readonly versionBefore: number;
  readonly version: number;
  readonly models: readonly RefreshedModel[];
  /** Of which part of all people changes were counted, in (0, 1]; below 1 the counts are estimates. */
  readonly share: number;
  /**
   * Of all segments of the same model's clusters, as one clustering of those who are in one of them with and without the
   * refresh; null: the segment is none of several.
   */
  readonly adjustedRand: number | null;
}

/** Of all who would be or are in it, the share of those who would be and are, 0…1; null where nobody is. */
export function refreshJaccard({ before, entered, left }: RefreshCounts): number | null {
  const either = before + entered;
  return either === 0 ? null : (before - left) / either;
}

/** Who entered and left for each who would be in it, from 0, above 1 where more came than were there; null of nobody. */
export function changedShare({ before, entered, left }: RefreshCounts): number | null {
  return before === 0 ? null : (entered + left) / before;
}

const ONE_CLASS = /^(cluster|label)\("([a-z0-9_]+)"\) == (\d+|"(?:[^"\\]|\\.)*")$/;

/** What a segment for one class of a model is a part of, and which; null: it says something else. */
export function partOf(rule: SegmentRule): { readonly clustering: string; readonly part: string } | null {
  const isPlain = rule.exitExpression === null && rule.minDwellMs === null;
  const isAlways = rule.activeFrom === null && rule.activeUntil === null;
  const [, output, model, part] = (isPlain && isAlways ? ONE_CLASS.exec(rule.expression.trim()) : null) ?? [];
  if (output === undefined || model === undefined || part === undefined) return null;
  return { clustering: `${output} ${model}`, part };
}
