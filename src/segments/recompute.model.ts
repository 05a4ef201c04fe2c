import type { Uuid } from '../platform/ids.js';

/**
 * What timers have in place of a version of the definitions where somebody asked for people to be evaluated anew:
 * versions begin with 1.
 */
export const RECOMPUTE_SWEEP = 0;

export const RECOMPUTE_STATUSES = ['waiting', 'running', 'done', 'cancelled'] as const;
/** `waiting`: for a worker, or for the one that is running. */
export type RecomputeStatus = (typeof RECOMPUTE_STATUSES)[number];

/** Everybody evaluated anew, once, because somebody asked for it. */
export interface Recompute {
  readonly id: Uuid;
  readonly status: RecomputeStatus;
  /** Keys of the segments that it was asked for, rising; empty: all of them. */
  readonly segments: readonly string[];
  /** ms */
  readonly requestedAt: number;
  /** ms; null while it waits. */
  readonly startedAt: number | null;
  /** ms; null while it is not over. */
  readonly finishedAt: number | null;
  /** Profiles that there were when it began; null before. */
  readonly total: number | null;
  /** Profiles that were evaluated. */
  readonly done: number;
  /** Profiles that are to be; 0 once it is over. */
  readonly left: number;
  /** Profiles a second since it began, pauses left out; null where that cannot be said. */
  readonly perSecond: number | null;
  /** How often somebody entered or left one of its segments by it. */
  readonly changes: number;
}

/** What is done about segments behind live traffic, for as long as that takes. */
export interface SegmentWork {
  /** Since when it rests, ms; null: it does not. */
  readonly pausedSince: number | null;
  /** Events of history that are yet to be read for what new definitions count. */
  readonly eventsLeft: number;
  /** Profiles that are yet to be evaluated by the newest definitions; beyond 100,000 an estimate. */
  readonly profilesLeft: number;
  /** The one that is under way, else the next, else the latest that is over; null: none was asked for yet. */
  readonly recompute: Recompute | null;
  /** The one that begins after it; null: none was asked for. */
  readonly nextRecompute: Recompute | null;
}
