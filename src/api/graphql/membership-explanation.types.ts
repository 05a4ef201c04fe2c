import { Field, Float, Int, ObjectType } from 'type-graphql';
import type { JsonValue } from '../../events/event.model.js';
import { READ_KINDS } from '../../segments/explain-condition.js';
import { REFERENCE_ORIGINS } from '../../segments/ablate-model.js';
import { DECIDING_RULES } from '../../segments/explain-segment.js';
import { enumOf } from './enums.js';
import { DateTime, Json } from './scalars.js';

const ReadKindType = enumOf('ConditionReadKind', 'Kinds of things that conditions look at.', READ_KINDS, {
  feature: 'A feature, also one that the condition defines itself.',
  event: 'Times of an event.',
  step: 'A step of a funnel or sequence that the condition defines.',
  trait: 'A trait of the profile.',
  groups: 'The groups that the profile belongs to.',
  model: 'What a model says.',
  segment: 'Membership in another segment.',
  consent: 'Whether a purpose is allowed.',
  list: 'Whether the profile is on a list.',
  sample: 'A number that is drawn once for each profile.',
  clock: 'What the wall clock of a zone shows.',
});

const DecidedByType = enumOf('MembershipDecidedBy', 'Which rule decided a membership.', DECIDING_RULES, {
  admission: 'Consent is missing, or the segment is not in its active period.',
  dwell: 'Members stay for a minimum time, which is not over.',
  exit: 'The exit condition is true.',
  memory: 'A member stays, because the exit condition is not true.',
  condition: 'The condition of the segment, as it is or is not true.',
});

const ReferenceOriginType = enumOf('AblationReference', 'What took the place of a value.', REFERENCE_ORIGINS, {
  training: 'The median, or the most frequent value, of what the model was trained on.',
  missing: 'No value, so that the model filled it as it does for whoever has none.',
});

@ObjectType('ConditionRead', { simpleResolvers: true, description: 'One thing that a condition reads.' })
class ConditionReadType {
  @Field(() => ReadKindType, { description: 'Which sort of thing it is.' })
  kind!: string;

  @Field(() => String, {
    description:
      'Its name or key; of a feature that the condition defines itself, as it is written; of a clock, what is read.',
  })
  name!: string;

  @Field(() => Json, {
    nullable: true,
    description:
      'What it is; of an event, how many of its latest times are known; of a step, its number; of a time of day, as 22:15. Null: unknown.',
  })
  value!: JsonValue;

  @Field(() => DateTime, {
    nullable: true,
    description: 'When the newest event happened that it is of, or the step was reached; null: not known, or never.',
  })
  eventAt!: number | null;
}

@ObjectType('ConditionComparison', { simpleResolvers: true, description: 'Two numbers that a condition compares.' })
class ConditionComparisonType {
  @Field(() => Float, { description: 'The number that is held against the threshold; ages in ms.' })
  value!: number;

  @Field(() => String, { description: 'How they are compared, as `>=`.' })
  op!: string;

  @Field(() => Float, { description: 'The number that it is held against; ages in ms.' })
  threshold!: number;

  @Field(() => Float, { description: 'The number less the threshold; ages in ms.' })
  margin!: number;
}

@ObjectType('ExplainedCondition', {
  simpleResolvers: true,
  description: 'A condition, or a part of one, for a profile.',
})
class ExplainedConditionType {
  @Field(() => String, { description: 'As it is written in the segment.' })
  text!: string;

  @Field(() => Int, {
    nullable: true,
    description: 'Place in the list, from 0, of the condition that it is a part of; null: it is the whole.',
  })
  parent!: number | null;

  @Field(() => Boolean, {
    nullable: true,
    description: 'Whether it is true; null: something that it reads is unknown.',
  })
  value!: boolean | null;

  @Field(() => Boolean, { description: 'Whether the whole is what it is because of this part.' })
  decides!: boolean;

  @Field(() => DateTime, {
    nullable: true,
    description: 'The first instant at which time alone may change it; null: it never does.',
  })
  holdsUntil!: number | null;

  @Field(() => ConditionComparisonType, { nullable: true, description: 'The numbers; null if it compares none.' })
  comparison!: ConditionComparisonType | null;

  @Field(() => [ConditionReadType], { description: 'What it reads; of a condition with parts, these tell it.' })
  reads!: readonly ConditionReadType[];
}

@ObjectType('ModelContribution', { simpleResolvers: true, description: 'What an answer of a model owes to a feature.' })
class ModelContributionType {
  @Field(() => String, { description: 'Name of the feature, as `carts_24h`.' })
  feature!: string;

  @Field(() => Json, { nullable: true, description: 'What it is for the profile; null: it has no value.' })
  value!: JsonValue;

  @Field(() => Json, {
    nullable: true,
    description: 'What took its place; null: nothing, as for whoever has no value.',
  })
  reference!: JsonValue;

  @Field(() => ReferenceOriginType, { description: 'Where that is from.' })
  referenceFrom!: string;

  @Field(() => Float, {
    nullable: true,
    description: 'The probability or score, less what it is with the reference; null if the model gives none.',
  })
  contribution!: number | null;

  @Field(() => String, { nullable: true, description: 'The class with the reference; null if the model gives none.' })
  label!: string | null;

  @Field(() => Int, { nullable: true, description: 'The cluster with the reference; null if the model gives none.' })
  cluster!: number | null;
}

@ObjectType('ModelExplanation', {
  simpleResolvers: true,
  description:
    'What an answer of a model owes to its features, by ablation: one feature at a time is put to a reference, with all others as they are, and the model is asked again. What features do only together shows in each of them, so the contributions need not add up.',
})
class ModelExplanationType {
  @Field(() => String, { description: 'Key of the model, as `purchase_intent`.' })
  key!: string;

  @Field(() => Int, { description: 'The version that answers, 1, 2, …' })
  version!: number;

  @Field(() => String, { description: 'How it is explained: `ablation`.' })
  method!: string;

  @Field(() => Float, { nullable: true, description: 'The probability or score; null if the model gives none.' })
  score!: number | null;

  @Field(() => String, { nullable: true, description: 'The class; null if the model gives none.' })
  label!: string | null;

  @Field(() => Int, { nullable: true, description: 'The number of the cluster; null if the model gives none.' })
  cluster!: number | null;

  @Field(() => [ModelContributionType], { description: 'By feature, those that change most first; at most 200.' })
  contributions!: readonly ModelContributionType[];

  @Field(() => Int, { description: 'How many features are left out, because there are more than 200.' })
  leftOut!: number;
}

@ObjectType('MembershipExplanation', {
  simpleResolvers: true,
  description: 'Why a profile is, or is not, in a segment now: by what decides memberships, part by part.',
})
export class MembershipExplanationType {
  @Field(() => Int, { description: 'The version of the segment that decides.' })
  version!: number;

  @Field(() => DateTime, { description: 'As of when this is.' })
  asOf!: number;

  @Field(() => Boolean, { description: 'Whether it is in the segment, evaluated now.' })
  isMember!: boolean;

  @Field(() => Boolean, {
    description: 'Whether the pipeline has it in the segment; another answer than now waits for a timer.',
  })
  isLiveMember!: boolean;

  @Field(() => DecidedByType, { description: 'Which rule decided.' })
  decidedBy!: string;

  @Field(() => DateTime, { nullable: true, description: 'Since when it is a member; null: it is none.' })
  since!: number | null;

  @Field(() => DateTime, {
    nullable: true,
    description: 'Until when the minimum dwell keeps it in; null: it does not.',
  })
  dwellUntil!: number | null;

  @Field(() => [String], {
    description: 'Keys of the purposes that members have to allow, also for what it reads; as many as are declared.',
  })
  purposes!: readonly string[];

  @Field(() => Boolean, { description: 'Whether consent and the active period let it in.' })
  isAdmitted!: boolean;

  @Field(() => DateTime, {
    nullable: true,
    description: 'Before this instant time alone does not change whether it is a member; null: it never does.',
  })
  holdsUntil!: number | null;

  @Field(() => [ExplainedConditionType], {
    description: 'The condition and its parts, each behind the one that it is a part of; at most 200.',
  })
  conditions!: readonly ExplainedConditionType[];

  @Field(() => [ExplainedConditionType], {
    description: 'The exit condition likewise; empty if there is none, at most 200.',
  })
  exitConditions!: readonly ExplainedConditionType[];

  @Field(() => [ModelExplanationType], { description: 'Models that the segment asks; as many as it names.' })
  models!: readonly ModelExplanationType[];
}
