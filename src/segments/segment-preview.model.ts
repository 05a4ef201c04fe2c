import type { Warning } from '../platform/warning.js';
import type { Uuid } from '../platform/ids.js';
import type { Definitions } from './definitions.model.js';
import type { ParsedSegment } from './parse-segment.js';
import type { SegmentRule } from './segment-rule.model.js';

/** A rule that is tried without being written. */
export interface SegmentTrial {
  /** What other segments would refer to it by. */
  readonly key: string;
  readonly rule: SegmentRule;
  readonly parsed: ParsedSegment;
}

/** Definitions with a segment that is only tried. */
export interface TrialDefinitions {
  /** The segment with all that it refers to, and nothing else. */
  readonly definitions: Definitions;
  /** Its id in `definitions`; no stored segment has it. */
  readonly segmentId: number;
  /** All active segments over the same features, without it. */
  readonly others: Definitions;
  /** Names of the features that it reads and that the log does not tell any more, because a retention removed events. */
  readonly untold: readonly string[];
}

/** What a segment would be, and for a span of time what it would have done. */
export interface SegmentPreview {
  /** When it would have become active, ms; null: only asked as of `toMs`. */
  readonly fromMs: number | null;
  readonly toMs: number;
  /** Profiles that live now. */
  readonly profilesTotal: number;
  /** Those that were known by `toMs` and were looked at; all numbers below are of these. */
  readonly profilesSeen: number;
  /** Which part of all people these are, in (0, 1]: drawn by a hash of their ids. */
  readonly share: number;
  readonly eventsRead: number;
  /** Members as of `toMs`. */
  readonly size: number;
  /** Some of these, drawn by a hash of their ids; at most {@link MAX_SAMPLE}. */
  readonly sample: readonly Uuid[];
  /** Other active segments by how much they have in common with it, most first; at most {@link MAX_OVERLAPS}. */
  readonly overlaps: readonly SegmentOverlap[];
  /** What is live of the same segment; null: nothing is, it remembers, or no stored segment was asked about. */
  readonly live: LiveComparison | null;
  /** Null where no span was asked for. */
  readonly span: SpanPreview | null;
  /** In what it is not as it would have been, and why; for people. */
  readonly notes: readonly string[];
  /** Why it may be one segment too many. */
  readonly warnings: readonly Warning[];
}

/** What is live, as of the same instant, and what would change were the previewed one activated. */
export interface LiveComparison {
  readonly size: number;
  readonly entering: number;
  readonly leaving: number;
}

export interface SegmentOverlap {
  readonly key: string;
  /** Members as of the same instant. */
  readonly size: number;
  /** Members of both. */
  readonly common: number;
  /** `common` of all who are in either, in 0…1. */
  readonly jaccard: number;
}

/** What the feed would have been told. */
export interface SpanPreview {
  /** Who would have entered by its becoming active. */
  readonly initialSize: number;
  readonly enters: number;
  readonly leaves: number;
  /** Changes by loads of history, which the feed is not told. */
  readonly silent: number;
  /** By day of UTC, those without changes left out. */
  readonly days: readonly DayOfChanges[];
  /** The busiest second; of spans over a day, the busiest minute. Null: there was no change. */
  readonly peak: { readonly at: number; readonly changes: number; readonly periodMs: number } | null;
  /** Profiles that would have changed more than `above` times. */
  readonly flapping: { readonly above: number; readonly profiles: number; readonly mostChanges: number };
}

export interface DayOfChanges {
  /** Its first instant, ms. */
  readonly at: number;
  readonly enters: number;
  readonly leaves: number;
}

export const MAX_SAMPLE = 20;
export const MAX_OVERLAPS = 20;
/** Longest span that can be asked for. */
export const MAX_SPAN_MS = 366 * 86_400_000;
