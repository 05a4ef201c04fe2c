import { Field, ID, InputType, ObjectType } from 'type-graphql';
import type { CauseKind, ChangeKind } from '../../segments/segment.model.js';
import { connectionTypes } from './connection.types.js';
import { CauseKindType, ChangeKindType } from './enums.js';
import { DateTime } from './scalars.js';
import type { ChangeSubscription } from '../../activation/change-subscription.model.js';
import type { ChangeFilterSpec } from '../../activation/change-filter.model.js';

@ObjectType('ChangeFilter', { description: 'Which changes somebody wants: those that fit all of it.' })
export class ChangeFilterType {
  @Field(() => [String], { nullable: true, description: 'Keys of segments, at most 100; null: all segments.' })
  segments!: readonly string[] | null;

  @Field(() => ID, {
    nullable: true,
    name: 'profile',
    description: 'The id of a profile, as `01900000-0000-7000-8000-000000000000`; null: all profiles.',
  })
  profileId!: string | null;

  @Field(() => ChangeKindType, { nullable: true, description: 'Who enters, or who leaves; null: both.' })
  kind!: ChangeKind | null;

  @Field(() => [CauseKindType], { nullable: true, description: 'Only changes of these causes; null: all.' })
  causes!: readonly CauseKind[] | null;

  @Field(() => [CauseKindType], { description: 'No changes of these causes; may be empty.' })
  exceptCauses!: readonly CauseKind[];

  @Field(() => [String], { description: 'Purposes that members of the segments have to allow; at most 10.' })
  purposes!: readonly string[];
}

@InputType('ChangeFilterInput', { description: 'Which changes are wanted: those that fit all that is given.' })
export class ChangeFilterInput {
  @Field(() => [String], { nullable: true, description: 'Keys of segments, at most 100; all segments if left out.' })
  segments?: string[] | null;

  @Field(() => ID, {
    nullable: true,
    description:
      'Only the profile with this id, as `01900000-0000-7000-8000-000000000000`, under every id it has had until now; all profiles if left out.',
  })
  profile?: string | null;

  @Field(() => ChangeKindType, { nullable: true, description: 'Only those who enter, or who leave; both if left out.' })
  kind?: ChangeKind | null;

  @Field(() => [CauseKindType], { nullable: true, description: 'Only changes of these causes; all if left out.' })
  causes?: CauseKind[] | null;

  @Field(() => [CauseKindType], {
    nullable: true,
    description: 'No changes of these causes, as `[EDIT]`; none is left out by default.',
  })
  exceptCauses?: CauseKind[] | null;

  @Field(() => [String], {
    nullable: true,
    description:
      'Only segments whose members have to allow all of these purposes, at most 10; nothing is asked by default.',
  })
  purposes?: string[] | null;
}

export function filterSpecOf(input: ChangeFilterInput | null | undefined): ChangeFilterSpec {
  return {
    segments: input?.segments ?? null,
    profileId: input?.profile?.toLowerCase() ?? null,
    kind: input?.kind ?? null,
    causes: input?.causes ?? null,
    exceptCauses: input?.exceptCauses ?? [],
    purposes: input?.purposes ?? [],
  };
}

/** `cursor`, `pending` and `pendingSince` are resolved. */
@ObjectType('ChangeSubscription', { description: 'A reader of the feed of changes whose place is kept here.' })
export class ChangeSubscriptionType {
  @Field(() => ID, { description: 'What it is called, as `crm_sync`.' })
  key!: string;

  @Field(() => ChangeFilterType, { description: 'Which changes it is told.' })
  filter!: ChangeFilterSpec;

  @Field(() => DateTime, { description: 'When it was made.' })
  createdAt!: number;

  @Field(() => DateTime, { nullable: true, description: 'When changes were acknowledged last; null: never.' })
  acknowledgedAt!: number | null;
}

@ObjectType('ChangeSubscriptionDeleted', { simpleResolvers: true, description: 'A subscription that was deleted.' })
export class ChangeSubscriptionDeleted {
  @Field(() => ID, { description: 'What it was called, as `crm_sync`.' })
  key!: string;
}

export const ChangeSubscriptionConnection = connectionTypes<ChangeSubscription>(
  ChangeSubscriptionType,
  'ChangeSubscription',
);
