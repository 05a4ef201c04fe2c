import { Field, InputType, Int, ObjectType } from 'type-graphql';
import type { JsonValue } from '../../events/event.model.js';
import type { ProfileCount } from '../../segments/profile-filter.model.js';
import { enumOf } from './enums.js';
import { DateTime, Json } from './scalars.js';

const INSTANT = 'as `2026-01-31T12:00:00Z`';

@InputType('TimeRangeInput', { description: 'From one instant until another.' })
export class TimeRangeInput {
  @Field(() => DateTime, { nullable: true, description: `From this instant on, ${INSTANT}; default: from ever.` })
  from?: number | null;

  @Field(() => DateTime, { nullable: true, description: `Before this instant, ${INSTANT}; default: until ever.` })
  to?: number | null;
}

@InputType('TraitFilter', {
  description:
    'What a trait has to be; the trait has to be declared `searchable`. Texts are compared without regard to case and to the several ways in which Unicode writes the same; values of different types are different. All that is given has to be true.',
})
export class TraitFilterInput {
  @Field(() => String, { description: 'Name of the trait, as `country`.' })
  name!: string;

  @Field(() => Json, { nullable: true, description: 'Only if it is this text, number, boolean or instant, as `"DE"`.' })
  eq?: JsonValue;

  @Field(() => [Json], { nullable: true, description: 'Only if it is one of these, at most 100, as `["DE", "AT"]`.' })
  in?: readonly JsonValue[] | null;

  @Field(() => Json, {
    nullable: true,
    description: 'Only if it is a list that has this item among its first 100, as `tea`.',
  })
  contains?: JsonValue;

  @Field(() => String, { nullable: true, description: 'Only if it is a text that begins with this one, as `Ann`.' })
  prefix?: string | null;

  @Field(() => Json, {
    nullable: true,
    description: 'Only if it is of the type of this value and greater, or later, as `18`.',
  })
  gt?: JsonValue;

  @Field(() => Json, { nullable: true, description: 'Only if it is of the type of this value and not less, as `18`.' })
  gte?: JsonValue;

  @Field(() => Json, {
    nullable: true,
    description: 'Only if it is of the type of this value and less, or earlier, as `65`.',
  })
  lt?: JsonValue;

  @Field(() => Json, {
    nullable: true,
    description: 'Only if it is of the type of this value and not greater, as `65`.',
  })
  lte?: JsonValue;

  @Field(() => Boolean, { nullable: true, description: 'Whether there is a value; null is none.' })
  exists?: boolean | null;
}

@InputType('FeatureFilter', {
  description:
    'What the value of a feature has to be now; the feature has to be declared `searchable`, and takes the scope `pii` where `Feature.value` is masked without. A value that is withheld for want of consent is not there. Texts are compared without regard to case; all that is given has to be true.',
})
export class FeatureFilterInput {
  @Field(() => String, { description: 'Name of the feature, as `views_1h`.' })
  name!: string;

  @Field(() => Json, { nullable: true, description: 'Only if it is this text, number, boolean or instant, as `3`.' })
  eq?: JsonValue;

  @Field(() => [Json], {
    nullable: true,
    description: 'Only if it is one of these, at most 100, of a recency 10, as `[0, 1]`.',
  })
  in?: readonly JsonValue[] | null;

  @Field(() => String, { nullable: true, description: 'Only if it is a text that begins with this one, as `A-`.' })
  prefix?: string | null;

  @Field(() => Json, { nullable: true, description: 'Only if it is greater, or later, than this, as `3`.' })
  gt?: JsonValue;

  @Field(() => Json, { nullable: true, description: 'Only if it is not less than this, as `3`.' })
  gte?: JsonValue;

  @Field(() => Json, { nullable: true, description: 'Only if it is less, or earlier, than this, as `10`.' })
  lt?: JsonValue;

  @Field(() => Json, { nullable: true, description: 'Only if it is not greater than this, as `10`.' })
  lte?: JsonValue;

  @Field(() => Boolean, { nullable: true, description: 'Whether there is a value; default: that does not matter.' })
  exists?: boolean | null;
}

@InputType('IdentifierFilter', {
  description: 'What profiles have to be known by. All that is given has to be true, each of any of their identifiers.',
})
export class IdentifierFilterInput {
  @Field(() => String, { description: 'Kind of the identifier: `email`, `user_id`, `anonymous_id`, …' })
  namespace!: string;

  @Field(() => String, { nullable: true, description: 'Only by this one, normalised as those of events are.' })
  eq?: string | null;

  @Field(() => [String], {
    nullable: true,
    description: 'Only by one of these, at most 100, normalised in the same way.',
  })
  in?: readonly string[] | null;

  @Field(() => String, {
    nullable: true,
    description: 'Only by one that begins with this text, as `anna@`, in its normalised form.',
  })
  prefix?: string | null;

  @Field(() => Boolean, { nullable: true, description: 'Whether by any of this kind; default: that does not matter.' })
  exists?: boolean | null;
}

@InputType('SegmentFilter', {
  description:
    'In which segments profiles have to be, as the pipeline maintains that. All that is given has to be true.',
})
export class SegmentFilterInput {
  @Field(() => [String], {
    nullable: true,
    description: 'Only those in any of these, by key, at most 100, as `["keen"]`.',
  })
  in?: readonly string[] | null;

  @Field(() => [String], { nullable: true, description: 'Only those in none of these, by key, at most 100.' })
  notIn?: readonly string[] | null;

  @Field(() => TimeRangeInput, {
    nullable: true,
    description: 'When they entered one of those in `in`; default: that does not matter.',
  })
  entered?: TimeRangeInput | null;
}

@InputType('ProfileFilter', {
  description:
    'What profiles have to be. All that is given has to be true; at most 20 conditions, 5 levels of `and`, `or` and `not`.',
})
export class ProfileFilterInput {
  @Field(() => [ProfileFilterInput], { nullable: true, description: 'Only if all of these are true.' })
  and?: readonly ProfileFilterInput[] | null;

  @Field(() => [ProfileFilterInput], { nullable: true, description: 'Only if at least one of these is true.' })
  or?: readonly ProfileFilterInput[] | null;

  @Field(() => ProfileFilterInput, { nullable: true, description: 'Only if this is not true.' })
  not?: ProfileFilterInput | null;

  @Field(() => TraitFilterInput, { nullable: true, description: 'Only if a trait is as asked.' })
  trait?: TraitFilterInput | null;

  @Field(() => FeatureFilterInput, { nullable: true, description: 'Only if a feature is as asked.' })
  feature?: FeatureFilterInput | null;

  @Field(() => IdentifierFilterInput, { nullable: true, description: 'Only if they are known by such an identifier.' })
  identifier?: IdentifierFilterInput | null;

  @Field(() => SegmentFilterInput, { nullable: true, description: 'Only if they are in such segments.' })
  segment?: SegmentFilterInput | null;

  @Field(() => TimeRangeInput, { nullable: true, description: 'Only if their first event was applied in this time.' })
  created?: TimeRangeInput | null;

  @Field(() => TimeRangeInput, {
    nullable: true,
    description:
      'Only if their traits, features or identifiers changed last in this time, to five minutes. Kept while any trait or feature is searchable.',
  })
  updated?: TimeRangeInput | null;
}

export const ORDERS = ['id', 'created', 'updated', 'trait', 'feature'] as const;
export type OrderBy = (typeof ORDERS)[number];

const ProfileOrderField = enumOf('ProfileOrderField', 'What profiles are in order by; ties go by id.', ORDERS, {
  id: 'Nothing but their ids, which is the cheapest.',
  created: 'When their first event was applied.',
  updated: 'When their traits, features or identifiers changed last, to five minutes.',
  trait:
    'A searchable trait, by type (booleans, numbers, instants, texts) and value. Whoever lacks it is not in the list.',
  feature:
    'A searchable feature, by its value now. Whoever has none, or does not allow it to be told, is not in the list.',
});

const OrderDirection = enumOf('OrderDirection', 'Which end of an order comes first.', ['asc', 'desc'], {
  asc: 'The least, or the earliest.',
  desc: 'The greatest, or the latest.',
});

@InputType('ProfileOrder', { description: 'What profiles are in order by.' })
export class ProfileOrderInput {
  @Field(() => ProfileOrderField, { description: 'What decides.' })
  by!: OrderBy;

  @Field(() => String, { nullable: true, description: 'Name of the trait, for `TRAIT`, as `last_name`.' })
  trait?: string | null;

  @Field(() => String, { nullable: true, description: 'Name of the feature, for `FEATURE`, as `views_1h`.' })
  feature?: string | null;

  @Field(() => OrderDirection, { defaultValue: 'asc', description: 'Which end comes first.' })
  direction!: 'asc' | 'desc';
}

const CountRelation = enumOf('CountRelation', 'What a number of profiles says.', ['exact', 'at_least', 'estimate'], {
  exact: 'There are so many.',
  at_least: 'There are so many or more: counting stopped.',
  estimate: 'There are about so many, as of when the database looked last.',
});

@ObjectType('ProfileCount', { simpleResolvers: true, description: 'How many profiles there are.' })
export class ProfileCountType {
  @Field(() => Int, { description: 'How many profiles, by `relation` exactly, at least or about.' })
  value!: number;

  @Field(() => CountRelation, { description: 'What the number says.' })
  relation!: ProfileCount['relation'];
}
