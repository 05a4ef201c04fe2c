import { Field, Float, ID, InputType, Int, ObjectType } from 'type-graphql';
import type { ChangeCause } from '../../segments/segment.model.js';
import type { StoredSegment } from '../../segments/segment.reader.js';
import { connectionTypes } from './connection.types.js';
import { Evaluation, FeatureKind, FeatureStatus, InputStatus } from './enums.js';
import type { FeatureView, MembershipView, ProfileView, ScoreView } from './profile-view.js';
import { DateTime, Json } from './scalars.js';
import { ChangeCauseType, Segment } from './segment.types.js';

@ObjectType('Identifier', { simpleResolvers: true, description: 'A name that somebody is known by, normalised.' })
export class IdentifierType {
  @Field(() => String, { description: 'Its kind: `email`, `user_id`, `anonymous_id`, …' })
  namespace!: string;

  @Field(() => String, { description: 'Its normalised value.' })
  value!: string;

  /** That whoever asks named it, so that it tells them nothing: not masked, and no field of the API. */
  readonly isAsked?: boolean;
}

@InputType('IdentifierInput', { description: 'A name that somebody is known by; normalised as those of events are.' })
export class IdentifierInput {
  @Field(() => String, { description: 'Its kind: `email`, `user_id`, `anonymous_id`, …' })
  namespace!: string;

  @Field(() => String, { description: 'What the person is called there, as `a.tanner@example.com`.' })
  value!: string;
}

@ObjectType('Feature', {
  simpleResolvers: true,
  description: 'The value of a feature, as of the instant of the request.',
})
export class Feature {
  @Field(() => String, { description: 'What it is called by, as `carts_24h`.' })
  name!: string;

  @Field(() => String, { description: 'With the name of its view before it, as `web_activity__carts_24h`.' })
  fullName!: string;

  @Field(() => FeatureKind, { description: 'Of what type its value is.' })
  type!: FeatureView['type'];

  @Field(() => FeatureStatus, { description: 'What is known of it.' })
  status!: FeatureView['status'];

  @Field(() => Json, { nullable: true, description: 'Its value; null unless `PRESENT` or imputed.' })
  value!: FeatureView['value'];

  @Field(() => DateTime, {
    nullable: true,
    description: 'When the newest event in the value happened; null if none did.',
  })
  eventTs!: number | null;

  @Field(() => Float, { nullable: true, description: 'How long ago that was, ms; null if nothing happened.' })
  ageMs!: number | null;

  @Field(() => DateTime, {
    nullable: true,
    description: 'The next instant at which time alone can change the value; null if it cannot.',
  })
  validUntil!: number | null;

  @Field(() => Boolean, { description: 'Whether a bound was reached, so that the value is an estimate.' })
  approximate!: boolean;

  @Field(() => Int, { description: 'The version of its view.' })
  version!: number;

  @Field(() => Boolean, {
    description:
      'False while history is still being folded into a new feature, and until everybody has been evaluated with it; also of an item that could not be read and is folded anew.',
  })
  complete!: boolean;

  @Field(() => Boolean, {
    description: 'Whether the value is what the feature service imputes, as was asked for; its status stays.',
  })
  imputed!: boolean;
}

@ObjectType('SegmentMembership', {
  simpleResolvers: true,
  description: 'Whether a profile belongs to a segment, how that was found, and as of when.',
})
export class SegmentMembership {
  @Field(() => Segment, { description: 'The segment that is asked about.' })
  segment!: StoredSegment;

  @Field(() => Boolean, { description: 'Whether the profile belongs to it.' })
  isMember!: boolean;

  @Field(() => DateTime, { nullable: true, description: 'Since when; null unless a member and `LIVE`.' })
  since!: number | null;

  @Field(() => Int, { nullable: true, description: 'The version of the condition that decided; null if none did.' })
  version!: number | null;

  @Field(() => ChangeCauseType, { nullable: true, description: 'Why it entered; null unless a member and `LIVE`.' })
  cause!: ChangeCause | null;

  @Field(() => Evaluation, { description: 'How this was found.' })
  evaluation!: MembershipView['evaluation'];

  @Field(() => DateTime, { description: 'The instant of the evaluation.' })
  asOf!: number;

  @Field(() => Boolean, {
    description:
      'Whether it is as of before that instant, because a model that the segment asks gave no answer; it is evaluated ' +
      'again within five minutes.',
  })
  stale!: boolean;
}

@ObjectType('Score', { simpleResolvers: true, description: 'What a model says of a profile, and what that rests on.' })
export class Score {
  @Field(() => String, { description: 'Key of the model.' })
  model!: string;

  @Field(() => Int, { description: 'The version of the model, 1, 2, …' })
  version!: number;

  @Field(() => String, { description: 'SHA-256 of its ONNX bytes, 64 hexadecimal digits, as `9f86d081…`.' })
  digest!: string;

  @Field(() => Float, { nullable: true, description: 'A number, as a probability; null if the model gives none.' })
  score!: number | null;

  @Field(() => String, { nullable: true, description: 'A class; null if the model gives none.' })
  label!: string | null;

  @Field(() => Int, { nullable: true, description: 'A cluster; null if the model gives none.' })
  cluster!: number | null;

  @Field(() => [Float, { nullable: true }], {
    nullable: true,
    description:
      'The numbers of its embedding, at most 4,096; null if the model gives none. A number that is not finite is null.',
  })
  embedding!: readonly (number | null)[] | null;

  @Field(() => DateTime, { description: 'The instant that the features were read for.' })
  asOf!: number;

  @Field(() => DateTime, {
    nullable: true,
    description: 'The next instant at which time alone can change an input; null if it cannot.',
  })
  validUntil!: number | null;

  @Field(() => InputStatus, { description: 'Whether the features that it reads were there.' })
  inputs!: ScoreView['inputs'];

  @Field(() => Evaluation, { description: 'Always `NOW`: scores are computed when they are asked for.' })
  evaluation!: 'NOW';
}

@ObjectType('ProfileGroup', {
  simpleResolvers: true,
  description: 'A group that somebody belongs to, as a company or a household.',
})
class ProfileGroup {
  @Field(() => String, { description: 'Its id, as `group` calls have it: `acme`.' })
  id!: string;

  @Field(() => Json, {
    description:
      'Its traits by name, as `{"plan": "pro"}`, as far as the profile was told: segments go by these. What others said of the group reaches it a moment later.',
  })
  traits!: unknown;
}

/** Fields with arguments, and all that cost something, are resolved: see `profile.resolver.ts`. */
@ObjectType('Profile', { simpleResolvers: true, description: 'One person, by all the names they are known by.' })
export class Profile {
  @Field(() => ID, {
    description:
      'A UUID, as `01900000-0000-7000-8000-000000000000`. Never changes; after a merge the id of the other profile leads here too.',
  })
  id!: string;

  @Field(() => DateTime, { description: 'When the first event was applied.' })
  createdAt!: number;

  @Field(() => DateTime, { description: 'The instant of the last evaluation: what live memberships are as of.' })
  asOf!: number;

  @Field(() => [IdentifierType], {
    description: 'The names that the person is known by, by namespace and value.',
  })
  identifiers!: readonly IdentifierType[];

  @Field(() => [ProfileGroup], {
    description: 'The groups that they belong to, as `group` calls said, those named last at the end; at most 100.',
  })
  groups!: readonly ProfileGroup[];
}

@ObjectType('OnlineFeatures', { simpleResolvers: true, description: 'Features of one entity of `onlineFeatures`.' })
export class OnlineFeatures {
  @Field(() => IdentifierType, {
    description: 'The identifier as it was asked for; of another entity than people its join key and its key.',
  })
  entity!: IdentifierType;

  @Field(() => ID, {
    nullable: true,
    description:
      'Id of the profile that it belongs to, as `01900000-0000-7000-8000-000000000000`; null if it is not known, or of no person.',
  })
  profileId!: string | null;

  @Field(() => [Feature], {
    description: 'In the order asked; of people empty if the identifier is not known, of other entities `NOT_FOUND`.',
  })
  features!: readonly FeatureView[];
}

export const ProfileConnection = connectionTypes<ProfileView>(Profile, 'Profile');

@ObjectType('SegmentMemberEdge', {
  simpleResolvers: true,
  description: 'A profile that belongs to a segment, since when and why.',
})
class SegmentMemberEdge {
  @Field(() => String, {
    description: 'Opaque, as `WyJjaGFuZ2VzLjEiLDQyXQ`; pass it as `after` to go on behind this item.',
  })
  cursor!: string;

  @Field(() => Profile, { description: 'The profile that belongs to the segment.' })
  node!: ProfileView;

  @Field(() => DateTime, { description: 'The instant at which it entered.' })
  since!: number;

  @Field(() => Int, { description: 'The version of the condition that decided.' })
  version!: number;

  @Field(() => ChangeCauseType, { description: 'Why it entered.' })
  cause!: ChangeCause;
}

export const SegmentMemberConnection = connectionTypes<ProfileView>(Profile, 'SegmentMember', SegmentMemberEdge);
export const SegmentConnection = connectionTypes<StoredSegment>(Segment, 'Segment');
