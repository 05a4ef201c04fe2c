import { Field, Float, ID, InputType, Int, ObjectType } from 'type-graphql';
import { ERASURE_STATUSES, type Erasure, type ErasureStatus } from '../../privacy/erasure.model.js';
import { connectionTypes } from './connection.types.js';
import { enumOf } from './enums.js';
import { IdentifierInput } from './profile.types.js';
import { DateTime } from './scalars.js';

const ErasureStatusType = enumOf('ErasureStatus', 'Where an erasure stands.', ERASURE_STATUSES, {
  waiting: 'What was accepted before it is applied first. Nothing more of the person is accepted.',
  running: 'Workers take back everything that came of the person.',
  logical: 'No answer, copy or feed has the person in it, and nothing new will.',
  physical: 'Neither have the files of the database, nor its backups.',
  failed: 'It could not be brought to an end, and the log of the workers says why. Ask for it again.',
});

@ObjectType('ErasureReceipt', {
  simpleResolvers: true,
  description: 'That a person was erased, or is being. It names nobody.',
})
export class ErasureReceiptType implements Erasure {
  @Field(() => ID, { description: 'What `erasureReceipt` asks by, as `01900000-0000-7000-8000-000000000000`.' })
  id!: string;

  @Field(() => ID, {
    description:
      'The id that the profile had, as `01900000-0000-7000-8000-000000000000`. The feed keeps it, so that receivers know whom to delete; it is of nobody.',
  })
  profileId!: string;

  @Field(() => String, { description: 'Why, as whoever asked for it said.' })
  reason!: string;

  @Field(() => String, {
    description: 'Who asked for it: the name of a key, the id of a person, a user of the command.',
  })
  actor!: string;

  @Field(() => ErasureStatusType, { description: 'Where it stands.' })
  status!: ErasureStatus;

  @Field(() => Float, { description: 'Events that were deleted from the log.' })
  events!: number;

  @Field(() => Float, { description: 'Events of others that named the person and do no more.' })
  rewritten!: number;

  @Field(() => Float, { description: 'How many dead letters named the person and are deleted.' })
  letters!: number;

  @Field(() => Float, { description: 'How many kept deliveries of webhooks named the person and are deleted.' })
  deliveries!: number;

  @Field(() => Float, { description: 'How many label files and training sets named the person and are deleted.' })
  exports!: number;

  @Field(() => DateTime, { description: 'Since when nothing of the person is accepted any more.' })
  requestedAt!: number;

  @Field(() => DateTime, { nullable: true, description: 'When it was `LOGICAL`; null before.' })
  logicalAt!: number | null;

  @Field(() => DateTime, { nullable: true, description: 'When the tables were written anew; null before.' })
  compactedAt!: number | null;

  @Field(() => DateTime, { nullable: true, description: 'When it was `PHYSICAL`; null before.' })
  physicalAt!: number | null;

  @Field(() => Int, {
    description:
      'How many of its steps failed since it got on last. It is never given up for that: it is tried again, at least every hour, and no other erasure waits for it.',
  })
  failures!: number;

  @Field(() => DateTime, { nullable: true, description: 'When the first of these failed; null: none did.' })
  failingSince!: number | null;

  @Field(() => DateTime, { nullable: true, description: 'When it is tried again; null: no step failed.' })
  retryAt!: number | null;

  @Field(() => String, {
    nullable: true,
    description:
      'Which step failed last and with what, such as `label files and training sets: INTERNAL (EACCES)`; null: none did. The log of the workers says more.',
  })
  failure!: string | null;
}

export const ErasureConnection = connectionTypes<ErasureReceiptType>(ErasureReceiptType, 'ErasureReceipt');

/** Somebody, by profile or by identifier. */
@InputType()
export abstract class PersonInput {
  @Field(() => ID, {
    nullable: true,
    description:
      'Id of the profile, as `01900000-0000-7000-8000-000000000000`, or one that it had before a merge; instead of an identifier.',
  })
  profile?: string | null;

  @Field(() => IdentifierInput, {
    nullable: true,
    description: 'Anything that the person is known by; instead of a profile.',
  })
  identifier?: IdentifierInput | null;
}

@InputType('EraseProfileInput', { description: 'Whom to erase: give `profile` or `identifier`.' })
export class EraseProfileInput extends PersonInput {
  @Field(() => String, {
    description:
      'Why, at most 500 characters, such as `asked by letter, case 4711`. It is kept, so it should name nobody.',
  })
  reason!: string;
}

@ObjectType('SuppressionLifted', {
  simpleResolvers: true,
  description: 'Events with the identifier are accepted again.',
})
export class SuppressionLifted {
  @Field(() => String, { description: 'The namespace of the identifier, such as `email`.' })
  namespace!: string;
}

@InputType('ExportProfileInput', { description: 'Whose data to export: give `profile` or `identifier`.' })
export class ExportProfileInput extends PersonInput {}

@ObjectType('ProfileExport', {
  simpleResolvers: true,
  description: 'Where all that is known of a person can be fetched.',
})
export class ProfileExportType {
  @Field(() => ID, {
    description: 'Whose file it is: the id that the profile has now, as `01900000-0000-7000-8000-000000000000`.',
  })
  profileId!: string;

  @Field(() => String, {
    description:
      'Where to get the file, by GET and with the same Bearer token: `/exports/profiles/01900000-0000-7000-8000-000000000000`. It is made as it is read, so it is as of then.',
  })
  path!: string;
}
