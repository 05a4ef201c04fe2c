import type { Uuid } from '../platform/ids.js';

/**
 * Where an erasure stands. `waiting`: for what was accepted before it; `running`: workers take everything back;
 * `logical`: nothing that Weft answers, keeps in memory or writes from now on has the person in it; `physical`: neither
 * have the files of the database, its log of writes and its backups; `failed`: given up until somebody asks again.
 */
export const ERASURE_STATUSES = ['waiting', 'running', 'logical', 'physical', 'failed'] as const;
export type ErasureStatus = (typeof ERASURE_STATUSES)[number];

/** A person who was erased, or is being: the receipt. Names nobody. */
export interface Erasure {
  readonly id: Uuid;
  /** The id that the profile had; once it is done, of nobody. */
  readonly profileId: Uuid;
  /** Why, as whoever asked for it said. */
  readonly reason: string;
  /** Who asked for it. */
  readonly actor: string;
  readonly status: ErasureStatus;
  /** Events that were taken out of the log. */
  readonly events: number;
  /** Events of others that named the person, and do no more. */
  readonly rewritten: number;
  /** Dead letters that were deleted. */
  readonly letters: number;
  /** Deliveries of webhooks that were deleted. */
  readonly deliveries: number;
  /** Label files and training sets that named the person and were deleted. */
  readonly exports: number;
  /** ms */
  readonly requestedAt: number;
  /** ms; null before. */
  readonly logicalAt: number | null;
  /** When the tables were written anew, ms; null before. */
  readonly compactedAt: number | null;
  /** ms; null before. */
  readonly physicalAt: number | null;
  /** Steps that failed since it got on last; it is tried again however many. */
  readonly failures: number;
  /** When the first of these failed, ms; null: none did. */
  readonly failingSince: number | null;
  /** When it is tried again, ms; null: no step failed. */
  readonly retryAt: number | null;
  /** What failed last, with code and place and without data of anybody; null: no step failed. */
  readonly failure: string | null;
}

/** From the first failure of an erasure to the next try; twice that after each that follows, up to the longest pause. */
export const FIRST_ERASURE_PAUSE_MS = 1_000;
export const MAX_ERASURE_PAUSE_MS = 60 * 60_000;

/** Of what failed, in UTF-16 units. */
export const MAX_FAILURE_LENGTH = 200;

/** Of a reason, in UTF-16 units. */
export const MAX_REASON_LENGTH = 500;

export function isUnderWay({ status }: Pick<Erasure, 'status'>): boolean {
  return status === 'waiting' || status === 'running';
}

/** How many erasures do not get on. */
export interface FailingErasures {
  /** Of which a step failed and which are tried again. */
  readonly failing: number;
  /** Of which nothing is done before they are asked for again. */
  readonly givenUp: number;
}
