import type { EventSource, Refusal } from './accept.model.js';
import type { EventType, JsonObject } from './event.model.js';
import type { PlanViolation } from './plan-violation.model.js';

/** What of an event is held against a plan, in the form in which it goes into the log. */
export interface PlannedContent {
  readonly type: EventType;
  /** For `track` the name of the event, else the type. */
  readonly name: string;
  readonly properties: JsonObject;
  readonly traits: JsonObject;
}

/** What is to become of an event that violates the plan. */
export interface PlanVerdict {
  /** Without what the plan says to drop. */
  readonly properties: JsonObject;
  readonly traits: JsonObject;
  /** At least one. */
  readonly violations: readonly PlanViolation[];
  /** Given where the event is not to be taken. */
  readonly refusal: Refusal | null;
}

/** The tracking plan of one source: which events it sends, and what they hold. */
export interface EventPlan {
  /** Null: nothing to say against the event. Never throws, and takes time linear in the event. */
  check(event: PlannedContent): PlanVerdict | null;
}

/** The plans in force, at hand without a wait. */
export interface EventPlans {
  /** Null: the source has no plan. */
  of(source: EventSource): EventPlan | null;
}
