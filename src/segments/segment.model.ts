import type { Uuid } from '../platform/ids.js';

export const SEGMENT_STAGES = ['draft', 'shadow', 'active', 'archived'] as const;
export type SegmentStage = (typeof SEGMENT_STAGES)[number];

/** Lengths in UTF-16 units. */
export const SEGMENT_LIMITS = {
  maxNameLength: 200,
  /** Of a description, and of an expression in a file. */
  maxTextLength: 4_000,
  maxTags: 50,
  maxTagLength: 200,
} as const;

export type ChangeKind = 'enter' | 'leave';
export const CAUSE_KINDS = [
  'event',
  'timer',
  'merge',
  'unmerge',
  'model',
  'edit',
  'consent',
  'erasure',
  'load',
  'revert',
  'group',
  'recompute',
] as const;
export type CauseKind = (typeof CAUSE_KINDS)[number];

/** Why a membership changed. */
export interface ChangeCause {
  readonly kind: CauseKind;
  /** Log position of the event that did it; null for timers, and for edits that no event brought, as changes of lists do. */
  readonly pos: number | null;
  /** The other profile, for merge and unmerge, and where a revert joined two. */
  readonly profileId?: Uuid;
}

/** The version of a model that a condition was decided by. */
export interface DecidingModel {
  readonly key: string;
  readonly version: number;
  /** SHA-256 of its ONNX bytes, hexadecimal. */
  readonly digest: string;
}

/** Of one change, at most; what a condition asks beyond that is not told. */
export const MAX_DECIDING_MODELS = 10;

/** A row of the feed: one profile entered or left one segment. */
export interface SegmentChange {
  /** Position in the feed: gapless, in commit order. */
  readonly seq: number;
  readonly profileId: Uuid;
  readonly segmentId: number;
  readonly kind: ChangeKind;
  /** The instant it became true, ms. */
  readonly at: number;
  readonly version: number;
  readonly cause: ChangeCause;
  /** Left out where the condition asks no model, and where none was asked, as when a profile ends. */
  readonly models?: readonly DecidingModel[];
}

/** Live membership as the pipeline maintains it. */
export interface Membership {
  readonly segmentId: number;
  readonly since: number;
  readonly version: number;
  readonly cause: ChangeCause;
}
