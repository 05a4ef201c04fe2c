import { Field, Int, ObjectType } from 'type-graphql';
import type { ListChange, ListOrigin, StoredList } from '../../profiles/list.model.js';
import type { SegmentSnapshot } from '../../segments/segment-snapshot.model.js';
import { connectionTypes } from './connection.types.js';
import { enumOf } from './enums.js';
import { resultUnion } from './failure.types.js';
import { DateTime } from './scalars.js';

const CHANGE_KINDS = ['replace', 'add', 'remove'] as const;
const ListChangeKind = enumOf('ProfileListChangeKind', 'What a change of a list did.', CHANGE_KINDS, {
  replace: 'All who were on it and are not named anew were taken off.',
  add: 'Some were put on it.',
  remove: 'Some were taken off it.',
});

@ObjectType('ProfileListOrigin', { simpleResolvers: true, description: 'What a list is a copy of.' })
class ProfileListOrigin {
  @Field(() => String, { description: 'Key of the segment whose members were taken, as `cart_abandoned`.' })
  segment!: string;

  @Field(() => Int, { description: 'The version of the segment that was live then.' })
  version!: number;

  @Field(() => DateTime, { description: 'As of when its members were taken.' })
  at!: number;
}

@ObjectType('ProfileListState', { simpleResolvers: true, description: 'The last change of a list.' })
class ProfileListState {
  @Field(() => ListChangeKind, { description: 'What it did.' })
  kind!: ListChange['kind'];

  @Field(() => Boolean, { description: 'False while it is under way, and of one that was broken off.' })
  isDone!: boolean;

  @Field(() => Int, { description: 'How many rows it looked at.' })
  rows!: number;

  @Field(() => Int, { description: 'How many identifiers it took.' })
  taken!: number;

  @Field(() => Int, { description: 'How many rows and identifiers it did not take.' })
  refused!: number;

  @Field(() => Int, { description: 'How many identifiers it took off the list because nothing named them anew.' })
  removed!: number;
}

@ObjectType('ProfileList', {
  simpleResolvers: true,
  description: 'People whom somebody named, for segments to ask about by `listed("key")`.',
})
export class ProfileList {
  @Field(() => String, { description: 'What it is called by, as `vips`; never changes.' })
  key!: string;

  @Field(() => String, { description: 'What people call it, as "Our best customers".' })
  name!: string;

  @Field(() => String, { description: 'What it is for, in words for people; may be empty.' })
  description!: string;

  @Field(() => ProfileListOrigin, { nullable: true, description: 'What it is a copy of; null: of nothing.' })
  origin!: ListOrigin | null;

  @Field(() => DateTime, { description: 'When it was made.' })
  createdAt!: number;

  @Field(() => DateTime, { nullable: true, description: 'When it was changed last; null: nobody was named yet.' })
  changedAt!: number | null;

  @Field(() => ProfileListState, { nullable: true, description: 'Its last change; null: there was none.' })
  lastChange!: ListChange | null;
}

export const ProfileListConnection = connectionTypes<StoredList>(ProfileList, 'ProfileList');

export interface RefusedIdentifierView {
  readonly index: number;
  readonly code: string;
  readonly message: string;
}

@ObjectType('RefusedIdentifier', { simpleResolvers: true, description: 'An identifier that was not taken.' })
class RefusedIdentifier {
  @Field(() => Int, { description: 'Its place among those given, from 0.' })
  index!: number;

  @Field(() => String, { description: 'Why, as a code: `NO_IDENTIFIER`, `SUPPRESSED`.' })
  code!: string;

  @Field(() => String, { description: 'Why, for people.' })
  message!: string;
}

@ObjectType('ProfileListChange', { simpleResolvers: true, description: 'What became of identifiers that were given.' })
class ProfileListChange {
  @Field(() => ProfileList, { description: 'The list as it is now.' })
  list!: StoredList;

  @Field(() => Int, { description: 'How many were taken.' })
  taken!: number;

  @Field(() => Int, { description: 'How many were not.' })
  refusedCount!: number;

  @Field(() => [RefusedIdentifier], { description: 'Those that were not taken, the first 100 of them.' })
  refused!: readonly RefusedIdentifierView[];
}

export interface ListChangeView {
  readonly list: StoredList;
  readonly taken: number;
  readonly refusedCount: number;
  readonly refused: readonly RefusedIdentifierView[];
}

const listType = { type: ProfileList, name: 'ProfileList' };
export const ListUpserted = resultUnion<StoredList>('UpsertProfileListResult', listType, ['BadRequest', 'Conflict']);
export const ListDeleted = resultUnion<StoredList>('DeleteProfileListResult', listType, ['NotFound', 'Conflict']);
export const ListChanged = resultUnion<ListChangeView>(
  'ChangeProfileListResult',
  { type: ProfileListChange, name: 'ProfileListChange' },
  ['NotFound', 'BadRequest'],
);

@ObjectType('SegmentSnapshot', {
  simpleResolvers: true,
  description: 'Those who were in a segment at an instant, as a list of its own.',
})
class SegmentSnapshotType {
  @Field(() => ProfileList, { description: 'The list; `origin` says of what and as of when.' })
  list!: StoredList;

  @Field(() => Int, { description: 'How many are on it.' })
  taken!: number;

  @Field(() => Int, { description: 'How many are not, because they are being erased.' })
  refused!: number;
}

export const SnapshotTaken = resultUnion<SegmentSnapshot>(
  'SnapshotSegmentResult',
  { type: SegmentSnapshotType, name: 'SegmentSnapshot' },
  ['NotFound', 'BadRequest', 'Conflict'],
);
