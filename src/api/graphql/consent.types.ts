import { Field, Int, ObjectType } from 'type-graphql';
import { CONSENT_STATUSES, type ConsentStatus } from '../../events/consent-context.model.js';
import { CONSENT_DEFAULTS, type ConsentDefault, type PurposeDefinition } from '../../profiles/purpose.model.js';
import { connectionTypes } from './connection.types.js';
import { enumOf } from './enums.js';
import { resultUnion } from './failure.types.js';
import { DateTime, Json } from './scalars.js';

export const ConsentStatusType = enumOf('ConsentStatus', 'What was said of a purpose.', CONSENT_STATUSES, {
  granted: 'The person allows it.',
  denied: 'The person does not allow it, or not any more.',
});

const ConsentDefaultType = enumOf(
  'ConsentDefault',
  'What counts for those who have said nothing of a purpose, or whose word has run out.',
  CONSENT_DEFAULTS,
  {
    denied: 'It is not allowed.',
    granted: 'It is allowed.',
    not_required: 'It is allowed, whatever was said: the purpose rests on something other than consent.',
  },
);

@ObjectType('Purpose', { simpleResolvers: true, description: 'What data of people may be used for.' })
export class Purpose {
  @Field(() => String, { description: 'What it is called by, as `personalisation`; never changes.' })
  key!: string;

  @Field(() => String, { description: 'What people call it, as "Personal content".' })
  name!: string;

  @Field(() => String, { description: 'What it covers, in words for people; may be empty.' })
  description!: string;

  @Field(() => ConsentDefaultType, { description: 'What counts for those who have said nothing.' })
  default!: ConsentDefault;

  @Field(() => Int, {
    nullable: true,
    description: 'How many days a word counts that says nothing of it itself; null: until another one.',
  })
  expiresAfterDays!: number | null;

  @Field(() => Boolean, {
    description: 'Whether edge keys, which sit in browsers, are told only of those who allow it.',
  })
  edge!: boolean;

  @Field(() => Json, {
    description:
      'Categories of consent tools that ask for it, by key of the source, `*` for all others: `{ "*": ["Advertising"] }`.',
  })
  categories!: unknown;
}

export const PurposeConnection = connectionTypes<PurposeDefinition>(Purpose, 'Purpose');

@ObjectType('Consent', { simpleResolvers: true, description: 'What somebody said last of a purpose.' })
export class Consent {
  @Field(() => String, { description: 'Key of the purpose, as `personalisation`.' })
  purpose!: string;

  @Field(() => Boolean, { description: 'Whether the profile may be used for it, as of the instant of the request.' })
  allowed!: boolean;

  @Field(() => ConsentStatusType, { nullable: true, description: 'What was said last; null: nothing was.' })
  status!: ConsentStatus | null;

  @Field(() => DateTime, {
    nullable: true,
    description: 'When that stops counting, which may be past; null: it does not, or nothing was said.',
  })
  expiresAt!: number | null;

  @Field(() => String, {
    nullable: true,
    description: 'Key of the source that it came from, as `web`; null: nothing was said.',
  })
  source!: string | null;

  @Field(() => String, {
    nullable: true,
    description: 'The message id of the event that brought it, as `m-1042`; null: nothing was said.',
  })
  messageId!: string | null;

  @Field(() => DateTime, { nullable: true, description: 'When it was said; null: nothing was.' })
  occurredAt!: number | null;
}

/** What one event said. */
export interface ConsentWordView {
  readonly status: ConsentStatus;
  readonly expiresAt: number | null;
  readonly source: string;
  readonly messageId: string;
  readonly occurredAt: number;
  readonly acceptedAt: number;
}

@ObjectType('ConsentWord', { simpleResolvers: true, description: 'What one event said of a purpose.' })
class ConsentWordType {
  @Field(() => ConsentStatusType, { description: 'What was said.' })
  status!: ConsentStatus;

  @Field(() => DateTime, {
    nullable: true,
    description: 'When it stops counting, as was said with it; null: as the purpose says.',
  })
  expiresAt!: number | null;

  @Field(() => String, { description: 'Key of the source that sent it, as `web`.' })
  source!: string;

  @Field(() => String, { description: 'The message id of the event, as `m-1042`.' })
  messageId!: string;

  @Field(() => DateTime, { description: 'When it was said.' })
  occurredAt!: number;

  @Field(() => DateTime, { description: 'When the event was accepted.' })
  acceptedAt!: number;
}

export const ConsentWordConnection = connectionTypes<ConsentWordView>(ConsentWordType, 'ConsentWord');

@ObjectType('ConsentChange', { simpleResolvers: true, description: 'A consent that was taken down.' })
export class ConsentChange {
  @Field(() => String, { description: 'Key of the purpose, as `personalisation`.' })
  purpose!: string;

  @Field(() => ConsentStatusType, { description: 'What was said.' })
  status!: ConsentStatus;

  @Field(() => DateTime, { nullable: true, description: 'When it stops counting; null: as the purpose says.' })
  expiresAt!: number | null;

  @Field(() => Int, {
    description: 'How many events were written: of a denial one for each identifier of the profile, else one.',
  })
  events!: number;
}

export const ConsentSet = resultUnion<ConsentChange>(
  'SetConsentResult',
  { type: ConsentChange, name: 'ConsentChange' },
  ['BadRequest', 'NotFound', 'Conflict', 'SourcePaused'],
);
