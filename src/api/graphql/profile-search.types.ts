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

  @Field(() => Json, { nullable: true, description: 'It is this text, number, boolean or instant, as `"DE"`.' })
  eq?: JsonValue;

  @Field(() => [Json], { nullable: true, description: 'It is one of these, at most 100, as `["DE", "AT"]`.' })
  in?: readonly JsonValue[] | null;

  @Field(() => Json, { nullable: true, description: 'It is a list that has this item among its first 100.' })
  contains?: JsonValue;

  @Field(() => String, { nullable: true, description: 'It is a text that begins with this one, as `Ann`.' })
  prefix?: string | null;

  @Field(() => Json, { nullable: true, description: 'It is of the type of this value and greater, or later, as `18`.' })
  gt?: JsonValue;

  @Field(() => Json, { nullable: true, description: 'It is of the type of this value and not less, as `18`.' })
  gte?: JsonValue;

  @Field(() => Json, { nullable: true, description: 'It is of the type of this value and less, or earlier, as `65`.' })
  lt?: JsonValue;

  @Field(() => Json, { nullable: true, description: 'It is of the type of this value and not greater, as `65`.' })
  lte?: JsonValue;

  @Field(() => Boolean, { nullable: true, description: 'Whether there is a value; null is none.' })
  exists?: boolean | null;
}

@InputType('IdentifierFilter', {
  description: 'What profiles have to be known by. All that is given has to be true, each of any of their identifiers.',
})
export class IdentifierFilterInput {
  @Field(() => String, { description: 'Kind of the identifier: `email`, `user_id`, `anonymous_id`, …' })
  namespace!: string;

  @Field(() => String, { nullable: true, description: 'By this one, normalised as those of events are.' })
  eq?: string | null;

  @Field(() => [String], { nullable: true, description: 'By one of these, at most 100.' })
  in?: readonly string[] | null;

  @Field(() => String, {
    nullable: true,
    description: 'By one that begins with this text, as `anna@`, in its normalised form.',
  })
  prefix?: string | null;

  @Field(() => Boolean, { nullable: true, description: 'Whether by any of this kind.' })
  exists?: boolean | null;
}

@InputType('SegmentFilter', {
  description:
    'In which segments profiles have to be, as the pipeline maintains that. All that is given has to be true.',
})
export class SegmentFilterInput {
  @Field(() => [String], { nullable: true, description: 'In any of these, by key, at most 100, as `["keen"]`.' })
  in?: readonly string[] | null;

  @Field(() => [String], { nullable: true, description: 'In none of these, by key, at most 100.' })
  notIn?: readonly string[] | null;

  @Field(() => TimeRangeInput, { nullable: true, description: 'When they entered one of those in `in`.' })
  since?: TimeRangeInput | null;
}

@InputType('ProfileFilter', {
  description:
    'What profiles have to be. All that is given has to be true; at most 20 conditions, 5 levels of `and`, `or` and `not`.',
})
export class ProfileFilterInput {
  @Field(() => [ProfileFilterInput], { nullable: true, description: 'All of these are true.' })
  and?: readonly ProfileFilterInput[] | null;

  @Field(() => [ProfileFilterInput], { nullable: true, description: 'At least one of these is true.' })
  or?: readonly ProfileFilterInput[] | null;

  @Field(() => ProfileFilterInput, { nullable: true, description: 'This is not true.' })
  not?: ProfileFilterInput | null;

  @Field(() => TraitFilterInput, { nullable: true, description: 'By what is known of them.' })
  trait?: TraitFilterInput | null;

  @Field(() => IdentifierFilterInput, { nullable: true, description: 'By what they are known by.' })
  identifier?: IdentifierFilterInput | null;

  @Field(() => SegmentFilterInput, { nullable: true, description: 'By their segments.' })
  segment?: SegmentFilterInput | null;

  @Field(() => TimeRangeInput, { nullable: true, description: 'When their first event was applied.' })
  created?: TimeRangeInput | null;

  @Field(() => TimeRangeInput, {
    nullable: true,
    description:
      'When their traits, features or identifiers changed last, to five minutes. Kept while any trait is searchable.',
  })
  updated?: TimeRangeInput | null;
}

export const ORDERS = ['id', 'created', 'updated', 'trait'] as const;
export type OrderBy = (typeof ORDERS)[number];

const ProfileOrderField = enumOf('ProfileOrderField', 'What profiles are in order by; ties go by id.', ORDERS, {
  id: 'Their ids.',
  created: 'When their first event was applied.',
  updated: 'When their traits, features or identifiers changed last, to five minutes.',
  trait:
    'A searchable trait, by type (booleans, numbers, instants, texts) and value. Whoever lacks it is not in the list.',
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
  @Field(() => Int, { description: 'The number.' })
  value!: number;

  @Field(() => CountRelation, { description: 'What the number says.' })
  relation!: ProfileCount['relation'];
}
