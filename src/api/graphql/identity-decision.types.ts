import { Field, ID, InputType, Int, ObjectType } from 'type-graphql';
import type { StoredSegment } from '../../segments/segment.reader.js';
import { ChangeKindType } from './enums.js';
import { IdentityLinkType, IdentityRevisionType } from './identity.types.js';
import type { ProfileView } from './profile-view.js';
import { IdentifierInput, IdentifierType, Profile } from './profile.types.js';
import { DateTime, Json } from './scalars.js';
import { Segment } from './segment.types.js';

@InputType('ProfileMergeInput', { description: 'Who is one person: give profiles or identifiers, 2 to 20 of them.' })
export class ProfileMergeInput {
  @Field(() => [ID], {
    nullable: true,
    description:
      'Ids of profiles, as `01900000-0000-7000-8000-000000000000`, also such as lead to others; or else identifiers.',
  })
  profiles?: string[] | null;

  @Field(() => [IdentifierInput], {
    nullable: true,
    description:
      'Names that the person is known by, or else profiles; what has not been seen yet counts from when it is.',
  })
  identifiers?: IdentifierInput[] | null;

  @Field(() => String, { defaultValue: '', description: 'Why, for whoever asks later; at most 1,000 characters.' })
  reason!: string;
}

@InputType('ProfileUnmergeInput', {
  description: 'Who is somebody else: give a profile and identifiers of it, or a merge of the past.',
})
export class ProfileUnmergeInput {
  @Field(() => ID, {
    nullable: true,
    description: 'The profile that they are taken out of, as `01900000-0000-7000-8000-000000000000`; or else a merge.',
  })
  profile?: string | null;

  @Field(() => [IdentifierInput], {
    nullable: true,
    description: 'The names that are not of the rest of the profile; or else a merge.',
  })
  identifiers?: IdentifierInput[] | null;

  @Field(() => ID, {
    nullable: true,
    description:
      'Id of an entry of `mergeHistory`, as `01900000-0000-7000-8000-000000000000`: who came by it goes. Instead of a profile.',
  })
  merge?: string | null;

  @Field(() => String, { defaultValue: '', description: 'Why, for whoever asks later; at most 1,000 characters.' })
  reason!: string;
}

@ObjectType('ProfileMerge', { simpleResolvers: true, description: 'Profiles that are one, and how far that is.' })
export class ProfileMergeType {
  @Field(() => Profile, {
    nullable: true,
    description: 'Who they are now; null until the revision is done, and where none of them was seen yet.',
  })
  profile!: ProfileView | null;

  @Field(() => [ID], {
    description: 'Ids that lead to it from now on, as `01900000-0000-7000-8000-000000000000`.',
  })
  merged!: readonly string[];

  @Field(() => IdentityRevisionType, { description: 'Ask `identityRevision` for it unless it is `DONE`.' })
  revision!: IdentityRevisionType;
}

@ObjectType('ProfileUnmerge', {
  simpleResolvers: true,
  description: 'A profile that is taken apart, and how far that is.',
})
export class ProfileUnmergeType {
  @Field(() => Profile, { nullable: true, description: 'What is left of it; null until the revision is done.' })
  profile!: ProfileView | null;

  @Field(() => [ID], {
    description: 'Ids of what was taken out, the old ones where it had one, as `01900000-0000-7000-8000-000000000000`.',
  })
  apart!: readonly string[];

  @Field(() => IdentityRevisionType, { description: 'Ask `identityRevision` for it unless it is `DONE`.' })
  revision!: IdentityRevisionType;
}

@ObjectType('IdentityLinkRemoval', {
  simpleResolvers: true,
  description: 'A link that is removed, and how far that is.',
})
export class IdentityLinkRemovalType {
  @Field(() => Int, {
    description:
      'How many links keep the same two profiles apart all the same; `mergeProfiles` takes all of them back at once.',
  })
  othersBarring!: number;

  @Field(() => [IdentityLinkType], { description: 'Those of them that were made first, at most 5.' })
  examples!: readonly IdentityLinkType[];

  @Field(() => IdentityRevisionType, { description: 'Ask `identityRevision` for it unless it is `DONE`.' })
  revision!: IdentityRevisionType;
}

// --- previews -------------------------------------------------------------------------------------------------------

@ObjectType('PreviewedTrait', {
  simpleResolvers: true,
  description: 'A trait of which a profile would have another value.',
})
export class PreviewedTraitType {
  @Field(() => String, { description: 'Its name, as `plan`.' })
  name!: string;

  @Field(() => Json, { nullable: true, description: 'Its value now; null where it has none.' })
  valueNow!: unknown;

  @Field(() => Json, { nullable: true, description: 'What it would be; null where it would have none.' })
  valueThen!: unknown;

  @Field(() => String, {
    nullable: true,
    description: 'Key of the source whose value it would be, as `crm`; null where it would have none.',
  })
  source!: string | null;

  @Field(() => DateTime, { nullable: true, description: 'When that value was said; null where it would have none.' })
  occurredAt!: number | null;
}

@ObjectType('PreviewedProfile', { simpleResolvers: true, description: 'A profile as a decision would leave it.' })
export class PreviewedProfileType {
  @Field(() => ID, {
    description: 'Its id, as `01900000-0000-7000-8000-000000000000`. Of a new one it is not known yet: null.',
    nullable: true,
  })
  id!: string | null;

  @Field(() => ID, {
    nullable: true,
    description:
      'The profile that it would be part of, as `01900000-0000-7000-8000-000000000000`; null: it stands by itself.',
  })
  mergedInto!: string | null;

  @Field(() => [IdentifierType], { description: 'The identifiers that would stand for it; at most 500 are told.' })
  identifiers!: readonly IdentifierType[];

  @Field(() => [PreviewedTraitType], { description: 'Traits that would change, by name; at most 500 are told.' })
  traits!: readonly PreviewedTraitType[];
}

@ObjectType('PreviewedChange', { simpleResolvers: true, description: 'A segment that a profile would enter or leave.' })
export class PreviewedChangeType {
  @Field(() => ID, {
    nullable: true,
    description: 'The profile, as `01900000-0000-7000-8000-000000000000`; null: a new one.',
  })
  profileId!: string | null;

  @Field(() => Segment, { description: 'What it would enter or leave.' })
  segment!: StoredSegment;

  @Field(() => ChangeKindType, { description: 'Whether it would enter or leave.' })
  kind!: string;
}

@ObjectType('BrokenLimit', {
  simpleResolvers: true,
  description: 'A limit that a profile would be beyond by decision.',
})
export class BrokenLimitType {
  @Field(() => String, { description: 'The namespace, as `user_id`.' })
  namespace!: string;

  @Field(() => Int, { description: 'How many values one profile may hold by itself.' })
  limit!: number;

  @Field(() => Int, { description: 'How many it would hold.' })
  count!: number;

  @Field(() => Int, { nullable: true, description: 'Within how many days the limit holds; null: ever.' })
  windowDays!: number | null;
}

@ObjectType('IdentityPreview', {
  simpleResolvers: true,
  description: 'What a decision would do, worked out by what does it. Nothing is changed.',
})
export class IdentityPreviewType {
  @Field(() => [PreviewedProfileType], {
    description: 'The profiles that it would touch, as they would be; at most 500 are told.',
  })
  profiles!: readonly PreviewedProfileType[];

  @Field(() => [PreviewedChangeType], {
    description: 'The segments that they would enter and leave; at most 500 are told.',
  })
  changes!: readonly PreviewedChangeType[];

  @Field(() => [BrokenLimitType], { description: 'Limits that would be overridden, one for each namespace.' })
  brokenLimits!: readonly BrokenLimitType[];

  @Field(() => Int, { description: 'How many links would be made.' })
  linksAdded!: number;

  @Field(() => Int, { description: 'How many links would be removed.' })
  linksRemoved!: number;
}
