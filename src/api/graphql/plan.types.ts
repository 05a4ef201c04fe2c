import { Field, Float, Int, ObjectType } from 'type-graphql';
import { VIOLATION_RULES, type ViolationRule } from '../../events/plan-violation.model.js';
import type { PlanChange } from '../../plans/plan.service.js';
import { planYaml } from '../../plans/plan-yaml.js';
import type { PlanVersion } from '../../plans/tracking-plan.model.js';
import type { ViolationCount } from '../../plans/violation.model.js';
import { connectionTypes } from './connection.types.js';
import { enumOf } from './enums.js';
import { DateTime, Json } from './scalars.js';

export const ViolationRuleType = enumOf(
  'ViolationRule',
  'What an event may violate of a tracking plan.',
  VIOLATION_RULES,
  {
    unplanned_event: 'The plan has no event of this name.',
    missing_property: 'A property that the plan requires is not there.',
    invalid_value: 'A property, or all of them together, do not fit their JSON Schema.',
    unplanned_property: 'The plan does not list the property.',
  },
);

@ObjectType('TrackingPlan', {
  simpleResolvers: true,
  description: 'Which events a source sends and what they hold, as of one version.',
})
export class TrackingPlanType {
  @Field(() => String, { description: 'Key of the source that it holds for, as `web`.' })
  source!: string;

  @Field(() => Int, { description: 'From 1 on, one more with each change.' })
  version!: number;

  @Field(() => DateTime, { description: 'When it was applied.' })
  appliedAt!: number;

  @Field(() => String, { description: 'Who applied it: the name of a key, or of a user of the command line.' })
  appliedBy!: string;

  @Field(() => String, { description: 'The plan as YAML, as `applyTrackingPlan` takes it.' })
  text!: string;

  @Field(() => Json, { description: 'The plan as JSON: `description`, `policy`, `events`.' })
  plan!: unknown;
}

export const TrackingPlanConnection = connectionTypes<TrackingPlanType>(TrackingPlanType, 'TrackingPlan');

@ObjectType('TrackingPlanChange', { simpleResolvers: true, description: 'A plan that was applied, or would be.' })
export class TrackingPlanChangeType {
  @Field(() => Boolean, {
    description: 'Whether anything was changed: false for a dry run, and where nothing differs.',
  })
  applied!: boolean;

  @Field(() => [String], {
    description: 'What differs from the plan that was in force, in lines for people, as `+ track order_completed`.',
  })
  changes!: readonly string[];

  @Field(() => TrackingPlanType, { nullable: true, description: 'The plan in force now; null: there is none.' })
  current!: TrackingPlanType | null;
}

@ObjectType('TrackingPlanViolation', {
  simpleResolvers: true,
  description: 'How often a rule of a tracking plan was violated in one place of one event.',
})
export class TrackingPlanViolationType {
  @Field(() => String, {
    nullable: true,
    description: 'The event, as `track order_completed` or `identify`; null: events beyond the bound of an hour.',
  })
  event!: string | null;

  @Field(() => ViolationRuleType, { description: 'What was violated.' })
  rule!: ViolationRule;

  @Field(() => String, {
    nullable: true,
    description:
      'Where, as `properties.total`; null: in the event itself, or beyond the bound. Unplanned names that are no plain words are `properties.*`.',
  })
  path!: string | null;

  @Field(() => Float, { description: 'How many times it was violated.' })
  count!: number;

  @Field(() => DateTime, { description: 'The beginning of the first hour in which it was.' })
  firstHour!: number;

  @Field(() => DateTime, { description: 'The beginning of the last hour in which it was.' })
  lastHour!: number;

  @Field(() => [String], { description: 'Message ids of some of these events, at most 5.' })
  samples!: readonly string[];
}

@ObjectType('TrackingPlanDraft', { simpleResolvers: true, description: 'A draft of a tracking plan, to be edited.' })
export class TrackingPlanDraftType {
  @Field(() => String, { description: 'As YAML, with counts as remarks.' })
  text!: string;

  @Field(() => Json, { description: 'As JSON: `description`, `policy`, `events`.' })
  plan!: unknown;

  @Field(() => Int, { description: 'Events that it was made of.' })
  events!: number;

  @Field(() => Float, { description: 'Positions of the log that were looked at for them.' })
  scanned!: number;

  @Field(() => Float, { description: 'Positions of the log that there are since then.' })
  positions!: number;
}

export function planView(source: string, { version, appliedAt, appliedBy, plan }: PlanVersion): TrackingPlanType {
  return { source, version, appliedAt, appliedBy, text: planYaml(source, plan), plan };
}

export function changeView({ source, applied, changes, version }: PlanChange): TrackingPlanChangeType {
  return { applied, changes, current: version === null ? null : planView(source.key, version) };
}

export function violationView({ event, path, ...count }: ViolationCount): TrackingPlanViolationType {
  return { ...count, event: event === '' ? null : event, path: path === '' ? null : path };
}
