import type { ViolationRule } from '../events/plan-violation.model.js';

/** Rows for one source and hour; further ones are counted together, by rule. */
export const MAX_VIOLATION_GROUPS = 500;
/** Message ids that are kept for each, to look at. */
export const MAX_VIOLATION_SAMPLES = 5;

/** How often one rule was violated in one place of one event. */
export interface ViolationGroup {
  /** As `ruleName` says it: `track order_completed`; '' for what is beyond the bound. */
  readonly event: string;
  readonly rule: ViolationRule;
  /** `properties.total`; '' for the event itself, and for what is beyond the bound. */
  readonly path: string;
  readonly count: number;
  /** Message ids of some of these events. */
  readonly samples: readonly string[];
}

/** Violations within one hour, to be added to what is there. */
export interface ViolationDelta extends ViolationGroup {
  readonly sourceId: number;
  /** Its beginning, ms. */
  readonly hour: number;
}

/** Over some time. */
export interface ViolationCount extends ViolationGroup {
  /** Beginnings of the first and the last hour with any, ms. */
  readonly firstHour: number;
  readonly lastHour: number;
}
