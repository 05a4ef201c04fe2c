import type { ChangeFilterSpec } from './change-filter.model.js';

export const CHANGE_SUBSCRIPTION_LIMITS = {
  /** In all. */
  maxSubscriptions: 200,
  /** Changes that wait are counted up to here. */
  maxCounted: 500,
} as const;

/** A reader of the feed whose place is kept here. */
export interface ChangeSubscription {
  readonly key: string;
  readonly filter: ChangeFilterSpec;
  /** All changes up to this position of the feed are dealt with. */
  readonly seq: number;
  readonly createdAt: number;
  /** When the position was moved last; null: never. */
  readonly acknowledgedAt: number | null;
}

/** What a subscriber has yet to deal with. */
export interface ChangeLag {
  /** Counted up to `maxCounted`. */
  readonly pending: number;
  /** When the first of them became true, ms; null: nothing waits. */
  readonly since: number | null;
}
