import {
  Arg,
  Args,
  ArgsType,
  Authorized,
  Ctx,
  Field,
  Float,
  ID,
  InputType,
  ObjectType,
  Query,
  Resolver,
} from 'type-graphql';
import { ENTITY_STATUSES, type EntityStatus, type TrainingRow } from '../../features/training-set.model.js';
import type { TrainingSetPlan } from '../../features/training-set.model.js';
import { parseKnownAsOf } from '../parse-known-as-of.js';
import type { ApiContext } from './api-context.js';
import { enumOf } from './enums.js';
import type { FeatureView } from './profile-view.js';
import { Feature, IdentifierType } from './profile.types.js';
import { DateTime } from './scalars.js';

const EntityStatusType = enumOf('HistoricalEntityStatus', 'What is known of whom a row is about.', ENTITY_STATUSES, {
  FOUND: 'Somebody is known by the identifier.',
  NOT_FOUND: 'Nobody was known by it, as far as may be known.',
  INVALID: 'It can stand for nobody.',
  WITHHELD: 'The person did not allow at that time, or does not now, what some of the features are for.',
});

@InputType('HistoricalRowInput', { description: 'Whose features, and as of when.' })
class HistoricalRowInput {
  @Field(() => String, { description: 'The kind of the identifier: `email`, `user_id`, `anonymous_id`, …' })
  namespace!: string;

  @Field(() => String, { description: 'What the person is called there, as `a.tanner@example.com`.' })
  value!: string;

  @Field(() => DateTime, { description: 'What happened up to then counts, inclusive, as `2026-01-31T12:00:00Z`.' })
  time!: number;
}

@ArgsType()
class HistoricalReading {
  @Field(() => Float, {
    nullable: true,
    description:
      'Values whose newest event is older than this at the time of the row, ms, are `OUTSIDE_MAX_AGE`. Default: only those beyond the ttl of their view.',
  })
  maxAgeMs?: number | null;

  @Field(() => Boolean, {
    defaultValue: false,
    description:
      'Give missing values what the service imputes, with `imputed` and the status that they have; needs a service.',
  })
  imputed!: boolean;
}

@ObjectType('HistoricalFeatureRow', {
  simpleResolvers: true,
  description: 'Features of one row of `historicalFeatures`.',
})
class HistoricalFeatureRow {
  @Field(() => IdentifierType, { description: 'The identifier as it was asked for.' })
  entity!: IdentifierType;

  @Field(() => DateTime, { description: 'As of when they are.' })
  time!: number;

  @Field(() => EntityStatusType, { description: 'Whether somebody is known by the identifier.' })
  status!: EntityStatus;

  @Field(() => ID, {
    nullable: true,
    description:
      'Id of the profile that it belongs to today, as `01900000-0000-7000-8000-000000000000`; null if it is not known.',
  })
  profileId!: string | null;

  @Field(() => [Feature], {
    description: 'In the order of the service, then of the names; of somebody unknown what they are before any event.',
  })
  features!: readonly FeatureView[];
}

@ObjectType('HistoricalFeatures', { simpleResolvers: true, description: 'Features as of instants of the past.' })
class HistoricalFeatures {
  @Field(() => Float, { description: 'Up to which position of the log events are in.' })
  logPosition!: number;

  @Field(() => String, { description: 'Changes with whatever changes a value in the definitions; SHA-256, in hex.' })
  definitionsHash!: string;

  @Field(() => [HistoricalFeatureRow], { description: 'One for each row that was asked about, in that order.' })
  rows!: readonly HistoricalFeatureRow[];
}

@Resolver()
export class HistoricalFeaturesResolver {
  @Authorized('admin')
  @Query(() => HistoricalFeatures, {
    description:
      'Features as they were for people at instants of the past, correct at each of them: a training set of at most 500 ' +
      'rows; `exportTrainingSet` makes larger ones. Two are made at a time, for at most 30 s.',
  })
  async historicalFeatures(
    @Ctx() { services, reads }: ApiContext,
    @Arg('rows', () => [HistoricalRowInput], { description: 'Whom, and as of when; 1 to 500.' })
    rows: HistoricalRowInput[],
    @Arg('features', () => [String], {
      nullable: true,
      description: 'Names of features, as `carts_24h`; behind those of the service, if one is given.',
    })
    features: string[] | null | undefined,
    @Arg('service', () => String, {
      nullable: true,
      description: 'A feature service, as `purchase_intent_v1`, instead of names or before them.',
    })
    service: string | null | undefined,
    @Arg('knownAsOf', () => String, {
      defaultValue: 'now',
      description:
        'What may be known: `now`; `event-time`, for each row what was known at its own time; or an instant, as `2026-01-31T12:00:00Z`.',
    })
    knownAsOf: string,
    @Args(() => HistoricalReading) { maxAgeMs, imputed }: HistoricalReading,
  ): Promise<HistoricalFeatures> {
    reads.countSingleRead('historicalFeatures');
    const answer = await services.historical.read({
      rows: rows.map(({ namespace, value, time }) => ({ ns: namespace, value, timeMs: time })),
      features: features ?? undefined,
      service: service ?? undefined,
      knownAsOf: parseKnownAsOf(knownAsOf, 'knownAsOf'),
      maxAgeMs: maxAgeMs ?? null,
      isImputed: imputed,
    });
    return {
      logPosition: answer.plan.toPos,
      definitionsHash: answer.definitionsHash,
      rows: answer.rows.map((row) => rowView(row, answer.plan)),
    };
  }
}

function rowView(
  { label, status, profileId, values, imputed = [] }: TrainingRow,
  plan: TrainingSetPlan,
): HistoricalFeatureRow {
  return {
    entity: { namespace: label.ns, value: label.value, isAsked: true },
    time: label.timeMs,
    status,
    profileId,
    features: plan.features.map(({ definition: { name, view, type }, viewVersion }, i): FeatureView => {
      const {
        status: known = 'NOT_FOUND',
        value = null,
        eventTs = null,
        validUntil = Infinity,
        approximate = false,
      } = values[i] ?? {};
      return {
        name,
        fullName: `${view}__${name}`,
        type,
        status: known,
        value,
        eventTs,
        ageMs: eventTs === null ? null : label.timeMs - eventTs,
        validUntil: validUntil === Infinity ? null : validUntil,
        approximate,
        version: viewVersion,
        complete: true,
        imputed: imputed.includes(name),
      };
    }),
  };
}
