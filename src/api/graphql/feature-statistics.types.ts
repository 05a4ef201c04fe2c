import { Field, Float, ObjectType } from 'type-graphql';
import type { NumberStatistics, StoredStatistics } from '../../features/feature-statistics.model.js';
import type { HistogramBin } from '../../features/quantiles.js';
import { DateTime } from './scalars.js';

@ObjectType('FeatureQuantile', { simpleResolvers: true, description: 'The value that a share of all is no more than.' })
class FeatureQuantileType {
  @Field(() => Float, { description: 'The share, 0 to 1, as `0.95`.' })
  p!: number;

  @Field(() => Float, {
    description: 'The number, interpolated between two people’s values; in the unit of the feature.',
  })
  value!: number;
}

@ObjectType('FeatureHistogramBin', { simpleResolvers: true, description: 'How many values lie between two numbers.' })
class FeatureHistogramBinType implements HistogramBin {
  @Field(() => Float, { description: 'The least number that counts; in the unit of the feature.' })
  from!: number;

  @Field(() => Float, {
    description: 'The number from which on values do not count, but for the last bin; in the unit of the feature.',
  })
  to!: number;

  @Field(() => Float, { description: 'How many people, or items, have such a value.' })
  count!: number;
}

@ObjectType('FeatureNumbers', {
  simpleResolvers: true,
  description: 'How numbers are spread; of lists and maps, how many items they have.',
})
class FeatureNumbersType implements NumberStatistics {
  @Field(() => Float, { description: 'The least number; in the unit of the feature.' })
  min!: number;

  @Field(() => Float, { description: 'The greatest number; in the unit of the feature.' })
  max!: number;

  @Field(() => Float, { description: 'The mean of all numbers; in the unit of the feature.' })
  mean!: number;

  @Field(() => Float, {
    description: 'The standard deviation of the numbers, divided by how many there are; in the unit of the feature.',
  })
  stddev!: number;

  @Field(() => [FeatureQuantileType], { description: 'Quantiles from 0.01 to 0.99, nine of them.' })
  quantiles!: NumberStatistics['quantiles'];

  @Field(() => [FeatureHistogramBinType], { description: 'Bins of equal width from least to greatest, at most 20.' })
  histogram!: readonly HistogramBin[];
}

@ObjectType('FeatureTopValue', { simpleResolvers: true, description: 'A value that many people, or items, have.' })
class FeatureTopValueType {
  @Field(() => String, { description: 'The text, as `shoes`, at most 100 characters of it.' })
  value!: string;

  @Field(() => Float, { description: 'How many people, or items, have it.' })
  count!: number;
}

@ObjectType('FeatureStatistics', {
  simpleResolvers: true,
  description:
    'How values of a feature are spread over everybody, or over ten thousand people chosen by hash; of another entity, over its items in the same way.',
})
export class FeatureStatisticsType implements StoredStatistics {
  @Field(() => String, { description: 'Its name, as `orders_60d`.' })
  feature!: string;

  @Field(() => String, { description: 'What it is a feature of: `profile`, or another entity, as `item`.' })
  entity!: string;

  @Field(() => DateTime, { description: 'When that was computed.' })
  computedAt!: number;

  @Field(() => Float, { description: 'How many people were looked at; of another entity, how many of its items.' })
  profiles!: number;

  @Field(() => Float, { description: 'How many of these have no value.' })
  nulls!: number;

  @Field(() => Float, { description: 'How many values are estimates.' })
  approximate!: number;

  @Field(() => Float, { description: 'How many different values there are.' })
  distinct!: number;

  @Field(() => FeatureNumbersType, {
    nullable: true,
    description:
      'How its numbers are spread; null: it has none, fewer than 5 people or items have one, fewer than 5 people are behind the items, or it looks personal.',
  })
  numbers!: NumberStatistics | null;

  @Field(() => [FeatureTopValueType], {
    description:
      'Texts that at least 5 people or items have, the most frequent first, at most 20; none of what looks personal, nor of what fewer than 5 people said of items.',
  })
  topValues!: StoredStatistics['topValues'];

  @Field(() => DateTime, {
    nullable: true,
    description: 'When the newest event in any value happened; null: there is none.',
  })
  newestEventAt!: number | null;

  @Field(() => Float, {
    nullable: true,
    description: 'The age of the newest event in half of the values at most, ms; null: none has one.',
  })
  medianAgeMs!: number | null;
}
