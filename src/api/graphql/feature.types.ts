import { Field, Float, Int, ObjectType } from 'type-graphql';
import type { JsonObject, JsonValue } from '../../events/event.model.js';
import type { Breaking, DefinitionChange, FeatureUser, FieldChange } from '../../features/definition-plan.model.js';
import { IMPUTE_STATISTICS, type FeatureDefinition, type Imputation } from '../../features/feature.model.js';
import type { Warning } from '../../platform/warning.js';
import { enumOf, FeatureKind } from './enums.js';
import { DateTime, Json } from './scalars.js';
import { DefinitionWarning } from './warning.types.js';

export const DefinitionKindType = enumOf('DefinitionKind', 'What is defined.', ['view', 'service', 'entity'], {
  view: 'Features that are defined together.',
  service: 'The list of features that one model or consumer reads.',
  entity: 'What features are about, beside people.',
});

const Statistic = enumOf('ImputeStatistic', 'How a value that stands for missing ones was found.', IMPUTE_STATISTICS, {
  mean: 'The mean of the values that are there.',
  median: 'Their median.',
  most_frequent: 'The most frequent of them.',
});

const ChangedKind = enumOf(
  'ChangedDefinitionKind',
  'Of what sort a definition is that a plan changes.',
  ['view', 'service', 'entity', 'feature'],
  {
    view: 'A view, beside its features.',
    service: 'A feature service: what it lists, or says of itself.',
    entity: 'What features are about, beside people.',
    feature: 'One feature of a view.',
  },
);

export const FeatureViewKind = enumOf(
  'FeatureViewKind',
  'What the features of a view are.',
  ['stream', 'batch', 'on_demand'],
  {
    stream: 'Aggregates of events.',
    batch: 'Columns of the newest record.',
    on_demand: 'Computed from other features and the request when they are read.',
  },
);

const ChangeType = enumOf('DefinitionChangeType', 'What becomes of a definition.', ['added', 'changed', 'removed'], {
  added: 'It is new, or comes back.',
  changed: 'It stays, and says something else.',
  removed: 'It goes, and its versions stay.',
});

const BreakType = enumOf('BreakingChangeType', 'How a change breaks.', ['removed', 'retyped', 'redefined'], {
  removed: 'What reads it cannot any more.',
  retyped: 'Its values are of another type than those that read it were checked with.',
  redefined: 'Its values mean something else than what a model was trained on.',
});

const UserKind = enumOf('FeatureUserKind', 'What reads a feature.', ['segment', 'model', 'service'], {
  segment: 'An active segment.',
  model: 'An active model.',
  service: 'A feature service that lists it.',
});

@ObjectType('FeatureDefinition', { simpleResolvers: true, description: 'How a feature is computed.' })
export class FeatureDefinitionType {
  @Field(() => String, { description: 'Its name, unique over all views.' })
  name!: string;

  @Field(() => String, { description: 'What it says of somebody, in words for people; may be empty.' })
  description!: string;

  @Field(() => FeatureKind, { description: 'Of what type its values are.' })
  type!: FeatureDefinition['type'];

  @Field(() => String, {
    description:
      'How events are aggregated: `count`, `sum`, `last`, …; `row`: a column of the newest record; `on_demand`: an expression over other features.',
  })
  aggregate!: string;

  @Field(() => [String], { description: 'Names of the events that count, at most 200; empty: all.' })
  events!: readonly string[];

  @Field(() => String, { nullable: true, description: 'Key of the source that they come from, as `web`; null: any.' })
  source!: string | null;

  @Field(() => String, {
    nullable: true,
    description: 'A further condition on events, as `properties.value > 10`; null if there is none.',
  })
  where!: string | null;

  @Field(() => String, {
    nullable: true,
    description: 'The path of the value that is aggregated, as `properties.value`; null if events are only counted.',
  })
  value!: string | null;

  @Field(() => Float, { nullable: true, description: 'Length of the window, ms; null: all of the past.' })
  windowMs!: number | null;

  @Field(() => Int, { nullable: true, description: 'How many items or keys it has at most; null if that is not said.' })
  limit!: number | null;
}

@ObjectType('FeatureView', { simpleResolvers: true, description: 'Features that are defined together.' })
export class FeatureViewType {
  @Field(() => String, { description: 'What it is called by, as `web_activity`.' })
  name!: string;

  @Field(() => Int, { description: 'A whole number that grows with each change.' })
  version!: number;

  @Field(() => String, { description: 'What its features are about, in words for people; may be empty.' })
  description!: string;

  @Field(() => String, {
    nullable: true,
    description: 'Who answers for it, as `growth-team`; null if nobody is named.',
  })
  owner?: string | null;

  @Field(() => [FeatureDefinitionType], { description: 'The features that it defines, at most 2,000.' })
  features!: readonly FeatureDefinition[];
}

@ObjectType('FeatureService', {
  simpleResolvers: true,
  description: 'The ordered list of features that one model or consumer reads.',
})
export class FeatureServiceType {
  @Field(() => String, { description: 'What it is called by, as `purchase_intent_v1`.' })
  name!: string;

  @Field(() => Int, { description: 'A whole number that grows with each change.' })
  version!: number;

  @Field(() => String, { description: 'What it is for, in words for people; may be empty.' })
  description!: string;

  @Field(() => String, {
    nullable: true,
    description: 'Who answers for it, as `growth-team`; null if nobody is named.',
  })
  owner?: string | null;

  @Field(() => [String], { description: 'Names of its features, in their order; at most 2,000.' })
  features!: readonly string[];
}

@ObjectType('FeatureImputation', {
  simpleResolvers: true,
  description: 'What stands for a feature where it has no value.',
})
export class FeatureImputationType {
  @Field(() => String, { description: 'The name of the feature, as `days_since_visit`.' })
  feature!: string;

  @Field(() => Json, { description: 'The value, as `12.5`; of a timestamp ms.' })
  value!: Imputation['value'];

  @Field(() => Statistic, { nullable: true, description: 'How it was found; null: it is a constant.' })
  statistic?: Imputation['statistic'] | null;

  @Field(() => String, {
    nullable: true,
    description:
      'SHA-256 of the manifest of the training set that it is of, 64 hexadecimal digits, as `9f86d081…`; null if that is not said.',
  })
  of?: string | null;
}

@ObjectType('FeatureDefinitionVersion', {
  simpleResolvers: true,
  description: 'A version of a view, service or entity. Versions are kept for ever.',
})
export class FeatureDefinitionVersionType {
  @Field(() => Int, {
    description: 'Its number, from 1; one more with each change, also when it was removed or came back.',
  })
  version!: number;

  @Field(() => DateTime, { description: 'When it was applied, as `2026-01-31T12:00:00.000Z`.' })
  at!: number;

  @Field(() => Json, {
    nullable: true,
    description: 'What it said, as it is stored: lengths of time in ms. Null: with this version it was removed.',
  })
  definition!: JsonObject | null;
}

@ObjectType('FeatureUser', { simpleResolvers: true, description: 'What reads features.' })
class FeatureUserType {
  @Field(() => UserKind, { description: 'Whether a segment, a model or a service reads them.' })
  kind!: FeatureUser['kind'];

  @Field(() => String, { description: 'Its key or name, as `cart_abandoned`.' })
  key!: string;
}

@ObjectType('FieldChange', { simpleResolvers: true, description: 'A field of a definition that says something else.' })
class FieldChangeType {
  @Field(() => String, { description: 'The field, as it is written in a file: `window`.' })
  field!: string;

  @Field(() => Json, { nullable: true, description: 'What it said, as `24h`; null if it was not there.' })
  before!: JsonValue;

  @Field(() => Json, { nullable: true, description: 'What it will say, as `7d`; null if it will not be there.' })
  after!: JsonValue;
}

@ObjectType('BreakingChange', { simpleResolvers: true, description: 'Who has to care about a change, and why.' })
class BreakingChangeType {
  @Field(() => BreakType, { description: 'What breaks.' })
  how!: Breaking['how'];

  @Field(() => [FeatureUserType], { description: 'What reads it, each once.' })
  users!: readonly FeatureUser[];
}

@ObjectType('DefinitionChange', { simpleResolvers: true, description: 'What becomes of one definition.' })
class DefinitionChangeView {
  @Field(() => ChangedKind, { description: 'Of what sort the definition is.' })
  kind!: DefinitionChange['kind'];

  @Field(() => String, { description: 'What it is called by, as `orders_60d`.' })
  name!: string;

  @Field(() => ChangeType, { description: 'What becomes of it.' })
  change!: DefinitionChange['change'];

  @Field(() => [FieldChangeType], { description: 'What differs, of one that is changed; none otherwise.' })
  fields!: readonly FieldChange[];

  @Field(() => BreakingChangeType, { nullable: true, description: 'What it breaks; null if nothing.' })
  breaking!: Breaking | null;

  @Field(() => Boolean, { description: 'Whether history has to be folded in before its values are complete.' })
  backfilled!: boolean;
}

@ObjectType('FeaturePlan', { simpleResolvers: true, description: 'What applying definitions changes.' })
export class FeaturePlanType {
  @Field(() => Boolean, { description: 'Whether nothing was changed, because this was a dry run.' })
  dryRun!: boolean;

  @Field(() => [String], { description: 'Features and services that are new.' })
  added!: readonly string[];

  @Field(() => [String], {
    description: 'Features and services that are defined anew, and views that say something else of themselves.',
  })
  changed!: readonly string[];

  @Field(() => [String], { description: 'Features and services that are gone.' })
  removed!: readonly string[];

  @Field(() => Int, { description: 'How many aggregates history has to be folded into before they are complete.' })
  newStreams!: number;

  @Field(() => Float, { description: 'How many events were accepted so far; each is read once for new aggregates.' })
  historyEvents!: number;

  @Field(() => [DefinitionChangeView], { description: 'All of it, one item for each definition.' })
  changes!: readonly DefinitionChange[];

  @Field(() => [FeatureUserType], {
    description:
      'What goes out of service because of it: segments are archived, models are retired; each once, and only by `force`.',
  })
  withdrawn!: readonly FeatureUser[];

  @Field(() => [DefinitionWarning], { description: 'Names in the definitions that nothing has sent so far.' })
  warnings!: readonly Warning[];
}
