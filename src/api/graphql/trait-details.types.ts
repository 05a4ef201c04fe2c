import { Field, Int, ObjectType } from 'type-graphql';
import type { Identifier } from '../../events/event.model.js';
import type { Provenance } from '../../profiles/trait-rule.model.js';
import { PROVENANCES } from '../../profiles/trait-rule.model.js';
import { connectionTypes } from './connection.types.js';
import { enumOf } from './enums.js';
import { resultUnion } from './failure.types.js';
import type { ProfileView, TraitView } from './profile-view.js';
import { Profile } from './profile.types.js';
import { DateTime, Json } from './scalars.js';

export const ProvenanceType = enumOf('TraitProvenance', 'How a value came to be known.', PROVENANCES, {
  inferred: 'It was worked out.',
  observed: 'A source reported it.',
  declared: 'The person said it.',
});

@ObjectType('ProfileTrait', {
  simpleResolvers: true,
  description: 'A trait of a profile, and where its value is from.',
})
export class ProfileTrait {
  @Field(() => String, { description: 'Its name, as events carry it: `country`.' })
  name!: string;

  @Field(() => Json, { nullable: true, description: 'Its value; null if it is known to be empty.' })
  value!: unknown;

  @Field(() => String, { description: 'Key of the source that gave the value, as `crm`.' })
  source!: string;

  @Field(() => String, {
    description: 'The message id of the event that gave it, as `m-1042`; of several, as for a union, the newest.',
  })
  messageId!: string;

  @Field(() => DateTime, { description: 'When that event happened.' })
  occurredAt!: number;

  @Field(() => ProvenanceType, { description: 'How the value came to be known.' })
  provenance!: Provenance;

  @Field(() => Boolean, {
    description: 'Whether values that count were left out, because there are more of them than are held.',
  })
  approximate!: boolean;
}

/** One value that was given. */
export interface TraitValueView {
  /** Of the trait. */
  readonly name: string;
  readonly value: unknown;
  readonly deleted: boolean;
  readonly source: string;
  readonly messageId: string;
  readonly occurredAt: number;
  readonly acceptedAt: number;
  readonly provenance: Provenance;
  /** Of the event. */
  readonly identifiers: readonly Identifier[];
}

@ObjectType('TraitValue', { simpleResolvers: true, description: 'What one event said of a trait.' })
class TraitValue {
  @Field(() => Json, { nullable: true, description: 'The value as it was sent; null if it said that there is none.' })
  value!: unknown;

  @Field(() => Boolean, { description: 'Whether the event deleted the trait.' })
  deleted!: boolean;

  @Field(() => String, { description: 'Key of the source that sent it, as `crm`.' })
  source!: string;

  @Field(() => String, { description: 'The message id of the event, as `m-1042`.' })
  messageId!: string;

  @Field(() => DateTime, { description: 'When it happened.' })
  occurredAt!: number;

  @Field(() => DateTime, { description: 'When it was accepted.' })
  acceptedAt!: number;

  @Field(() => ProvenanceType, { description: 'How the value came to be known.' })
  provenance!: Provenance;
}

export const ProfileTraitConnection = connectionTypes<TraitView>(ProfileTrait, 'ProfileTrait');
export const TraitValueConnection = connectionTypes<TraitValueView>(TraitValue, 'TraitValue');

@ObjectType('TraitDeletion', { simpleResolvers: true, description: 'Traits of a profile that were deleted.' })
export class TraitDeletion {
  @Field(() => Profile, { description: 'The profile, as it is until the deletion is applied.' })
  profile!: ProfileView;

  @Field(() => [String], { description: 'The traits that are deleted, at most 100.' })
  names!: readonly string[];

  @Field(() => Int, { description: 'How many events were written: one for each identifier of the profile.' })
  events!: number;
}

export const DeletedTraits = resultUnion<TraitDeletion>(
  'DeleteTraitsResult',
  { type: TraitDeletion, name: 'TraitDeletion' },
  ['BadRequest', 'NotFound', 'Conflict'],
);
