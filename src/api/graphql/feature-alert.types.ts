import { Field, Float, ObjectType } from 'type-graphql';
import { FEATURE_ALERT_KINDS, type FeatureAlert, type FeatureAlertKind } from '../../monitoring/feature-alert.model.js';
import type { StoredDrift } from '../../monitoring/feature-alert.reader.js';
import { enumOf } from './enums.js';
import { DateTime } from './scalars.js';

const FeatureAlertKindType = enumOf(
  'FeatureAlertKind',
  'Which expectation values of a feature do not meet.',
  FEATURE_ALERT_KINDS,
  {
    min: 'A number is less than the least that is expected.',
    max: 'A number is greater than the greatest that is expected.',
    null_share: 'Too many people have no value.',
    distinct_min: 'There are too few different values.',
    fresh: 'The newest event in any value is too old.',
    psi: 'The population stability index against a week before, or a training set, is too great.',
    ks: 'The statistic of Kolmogorov and Smirnov against a week before, or a training set, is too great.',
    steady: 'Numbers have moved up or down since the days before.',
    steady_live: 'Numbers have moved up or down as live traffic changes them; `since` is about when.',
  },
);

@ObjectType('FeatureAlert', { simpleResolvers: true, description: 'A time in which a feature was not as expected.' })
export class FeatureAlertType {
  @Field(() => String, { description: 'Its name, as `orders_60d`.' })
  feature!: string;

  @Field(() => FeatureAlertKindType, { description: 'Which expectation it does not meet.' })
  kind!: FeatureAlertKind;

  @Field(() => DateTime, { description: 'The instant at which it was noticed.' })
  since!: number;

  @Field(() => DateTime, { nullable: true, description: 'When it was over; null: it is not.' })
  endedAt!: number | null;

  @Field(() => Float, { description: 'The number that was found, as of the last look; of `FRESH` an age in ms.' })
  value!: number;

  @Field(() => Float, { description: 'The number that is expected, at most or at least; of `FRESH` an age in ms.' })
  bound!: number;

  @Field(() => Float, { description: 'How many looks found it so.' })
  violations!: FeatureAlert['violations'];
}

@ObjectType('FeatureDrift', {
  simpleResolvers: true,
  description:
    'How far values of a feature are from what they were a week before, on the day nearest to that, or in a training set.',
})
export class FeatureDriftType implements StoredDrift {
  @Field(() => String, { description: 'Its name, as `orders_60d`.' })
  feature!: string;

  @Field(() => String, {
    nullable: true,
    description: 'The training set that values are compared with, as `purchase_intent_v1`; null: a day.',
  })
  reference!: string | null;

  @Field(() => DateTime, { description: 'When that was computed.' })
  computedAt!: number;

  @Field(() => DateTime, {
    description:
      'The beginning of the day that values are compared with, in UTC; of a training set that on which it was begun.',
  })
  referenceDay!: number;

  @Field(() => Float, {
    description:
      'The population stability index, a number from 0; below 0.1 is mostly taken for no change, above 0.25 for a great one.',
  })
  psi!: number;

  @Field(() => Float, {
    nullable: true,
    description: 'The statistic of Kolmogorov and Smirnov, a number from 0 to 1; null: it has no numbers.',
  })
  ks!: number | null;

  @Field(() => Float, {
    nullable: true,
    description:
      'How probable such a difference were if nothing had changed, a share from 0 to 1; null: it has no numbers.',
  })
  ksP!: number | null;

  @Field(() => Boolean, {
    description:
      'Whether numbers of the last day are greater or less than those of the days before, by their mean rank.',
  })
  meanChanged!: boolean;
}
