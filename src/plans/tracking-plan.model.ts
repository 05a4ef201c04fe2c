import type { EventType, JsonObject, JsonValue } from '../events/event.model.js';
import type { ViolationRule } from '../events/plan-violation.model.js';

/** What to do about a violation: take the event and mark it, drop the property, refuse the event, nothing. */
export const PLAN_ACTIONS = ['flag', 'drop', 'refuse', 'ignore'] as const;
export type PlanAction = (typeof PLAN_ACTIONS)[number];

export type PlanPolicy = Readonly<Record<ViolationRule, PlanAction>>;

export const DEFAULT_POLICY: PlanPolicy = {
  unplanned_event: 'flag',
  missing_property: 'flag',
  invalid_value: 'flag',
  unplanned_property: 'flag',
};

/** Actions that make sense: there has to be something to drop. */
export const POSSIBLE_ACTIONS: Readonly<Record<ViolationRule, readonly PlanAction[]>> = {
  unplanned_event: ['flag', 'refuse', 'ignore'],
  missing_property: ['flag', 'refuse', 'ignore'],
  invalid_value: PLAN_ACTIONS,
  unplanned_property: PLAN_ACTIONS,
};

/** A JSON Schema, draft 2020-12, within the bounds that `check-schema.ts` knows. */
export type JsonSchema = JsonObject | boolean;

/** What is planned of one event. */
export interface EventRule {
  readonly type: EventType;
  /** Of a `track` event always; of a page or screen: null for all that have no rule of their own. Else null. */
  readonly name: string | null;
  readonly description: string;
  /** Where it differs from that of the plan. */
  readonly policy: Partial<PlanPolicy>;
  readonly required: readonly string[];
  /** Of `properties`; of `traits` for `identify`. */
  readonly properties: Readonly<Record<string, JsonSchema>>;
  /** True: properties that are not listed are no violation. */
  readonly additionalProperties: boolean;
  /** Schemas for all the properties together. */
  readonly allOf: readonly JsonSchema[];
}

/** Which events a source sends and what they hold. Plain JSON; two are equal if their JSON is. */
export interface TrackingPlan {
  readonly description: string;
  readonly policy: PlanPolicy;
  readonly events: readonly EventRule[];
}

export interface PlanVersion {
  readonly sourceId: number;
  /** From 1 on, one more with each change. */
  readonly version: number;
  readonly plan: TrackingPlan;
  /** ms */
  readonly appliedAt: number;
  /** Who applied it: the name of a key, or of a user of the command line. */
  readonly appliedBy: string;
}

export const PLAN_LIMITS = {
  maxBytes: 512 * 1024,
  maxEvents: 1_000,
  /** Of one event. */
  maxProperties: 300,
  maxNameLength: 200,
  maxDescriptionLength: 2_000,
  /** Of `allOf`. */
  maxConditions: 20,
  /** Schemas of properties that differ, in all of the plan. */
  maxDifferentSchemas: 1_000,
  /** In all the schemas of one event that differ, those within them and behind each `$ref` counted. */
  maxSchemasOfEvent: 1_000,
  /** In all the schemas of the plan that differ, counted alike. */
  maxSchemas: 10_000,
  /** Of the processor, for one schema; four times what the worst of those that are small enough took. */
  maxCompileMs: 500,
  /** For all of the plan. */
  maxPlanCompileMs: 20_000,
} as const;

/** Where the content of an event lies that a rule is about. */
export function contentOf(type: EventType): 'properties' | 'traits' {
  return type === 'identify' ? 'traits' : 'properties';
}

/** What an event is called in messages and tables: `track order_completed`, `identify`. */
export function ruleName({ type, name }: Pick<EventRule, 'type' | 'name'>): string {
  return name === null ? type : `${type} ${name}`;
}

/** The JSON of a plan, by which plans are compared and stored. */
export function planText(plan: TrackingPlan): string {
  return JSON.stringify(plan);
}

/** Names that reach an object's prototype when copied carelessly; the log drops them from every event. */
export function isReservedName(name: string): boolean {
  return name === '__proto__' || name === 'constructor' || name === 'prototype';
}

export function isSchemaObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
