import type { Warning } from '../platform/warning.js';
import { NEAR_DUPLICATE, type SegmentPair } from './overlap.model.js';
import type { SegmentRule } from './segment-rule.model.js';

/** Fewer members than this are few, unless `WEFT_SEGMENT_MIN_SIZE` says otherwise. */
export const DEFAULT_MIN_SEGMENT_SIZE = 50;
/** Where there are fewer people than so many times the smallest size, every segment is small. */
export const MIN_PEOPLE_FACTOR = 20;
/** Two segments with fewer people in either can be alike by chance. */
export const MIN_COMPARED = 20;
/** For so many days a segment has had few members before it is warned of. */
export const SMALL_FOR_DAYS = 7;

/** What a segment is warned of because another one has its members. */
export function duplicateWarning(other: string, { size, otherSize, common, jaccard }: PairCounts): Warning {
  const either = size + otherSize - common;
  return {
    message: `it has nearly the same members as ${other}: ${String(common)} of ${String(either)} in either are in both (Jaccard ${jaccard.toFixed(3)})`,
    where: other,
    hint: 'use one of the two; weft segment proposals tells who uses which',
  };
}

export type PairCounts = Pick<SegmentPair, 'size' | 'otherSize' | 'common' | 'jaccard'>;

export function isDuplicate({ size, otherSize, common, jaccard }: PairCounts): boolean {
  return jaccard >= NEAR_DUPLICATE && size + otherSize - common >= MIN_COMPARED;
}

export function sameRuleWarning(other: string): Warning {
  return {
    message: `segment ${other} says the same`,
    where: other,
    hint: `use ${other}, or refer to it by segment("${other}")`,
  };
}

/** @param most how many members it has had at most in that time */
export function smallWarning(key: string, most: number, minSize: number): Warning {
  return {
    message: `it has had fewer than ${String(minSize)} members for ${String(SMALL_FOR_DAYS)} days, at most ${String(most)}`,
    where: key,
    hint: 'let another one take them in, as weft segment proposals tells, or archive it',
  };
}

/**
 * Whether a sample shows that a segment has fewer members than the smallest size: the number seen, which is a Poisson
 * variable, lies below what that size would show by more than two standard deviations.
 * @param seen members in the sample
 * @param share which part of all people that is, in (0, 1]
 */
export function isSmall(seen: number, share: number, people: number, minSize: number): boolean {
  if (minSize === 0 || people < minSize * MIN_PEOPLE_FACTOR) return false;
  const expected = minSize * share;
  return share >= 1 ? seen < minSize : seen < expected - 2 * Math.sqrt(expected);
}

export function previewSmallWarning(seen: number, share: number, minSize: number): Warning {
  return {
    message: `fewer than ${String(minSize)} would be in it, ${share < 1 ? 'about ' : ''}${String(Math.round(seen / share))}`,
    where: 'size',
    hint: 'let the condition ask for less, or widen another segment instead',
  };
}

/** Two rules that differ in nothing but the space between their words have one fingerprint. */
export function ruleFingerprint(rule: SegmentRule): string {
  const { expression, exitExpression, minDwellMs, activeFrom, activeUntil, purposes } = rule;
  const texts = [expression, exitExpression ?? ''].map(withoutSpace);
  return JSON.stringify([...texts, minDwellMs, activeFrom, activeUntil, purposes]);
}

/** Texts in quotes stay as they are; outside of them space counts only between two words. */
function withoutSpace(expression: string): string {
  const parts = expression.match(/"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|\s+|[^\s"']+|["']/gu) ?? [];
  let written = '';
  for (const [i, part] of parts.entries()) {
    const isSpace = /^\s+$/u.test(part);
    if (!isSpace) written += part;
    else if (/[\w.]$/u.test(written) && /^[\w.]/u.test(parts[i + 1] ?? '')) written += ' ';
  }
  return written;
}
