import { Field, ID, Int, ObjectType } from 'type-graphql';
import type { IdentityRulesPreview, PreviewedMove } from '../../identity/rules-preview.model.js';
import { IDENTITY_COMPONENT_CURSOR } from './cursors.js';
import { identifierView, MoveKindType } from './identity.types.js';
import { IdentifierType } from './profile.types.js';
import { DefinitionWarning } from './warning.types.js';

@ObjectType('PreviewedMove', {
  simpleResolvers: true,
  description: 'Identifiers that would go from one profile to another, together.',
})
export class PreviewedMoveType {
  @Field(() => MoveKindType, { description: 'What would become of the profile that they leave.' })
  kind!: string;

  @Field(() => ID, { description: 'The profile that they leave, as `01900000-0000-7000-8000-000000000000`.' })
  from!: string;

  @Field(() => ID, {
    nullable: true,
    description: 'The profile that they go to, as `01900000-0000-7000-8000-000000000000`; null: a new one.',
  })
  to!: string | null;

  @Field(() => Int, { description: 'How many identifiers would go.' })
  count!: number;

  @Field(() => [IdentifierType], { description: 'Which ones; at most 10 are told.' })
  identifiers!: readonly IdentifierType[];
}

@ObjectType('IdentityRulesPreview', {
  simpleResolvers: true,
  description:
    'What rules of who is who would make of those who are there, worked out by what resolves them anew. Numbers are of the components that were worked through. Nothing is changed.',
})
export class IdentityRulesPreviewType {
  @Field(() => [String], {
    description: 'What differs from the rules in force, in lines for people, as `~ email: limit 5 -> 3`.',
  })
  changes!: readonly string[];

  @Field(() => [String], {
    description:
      'Which of it concerns those who are there, at most one of each namespace, as `email (limit)`; empty: it holds for what is accepted from then on.',
  })
  concerns!: readonly string[];

  @Field(() => [DefinitionWarning], {
    description:
      'What is allowed and yet probably not meant, as a mistyped namespace, or not worked out; at most one of each.',
  })
  warnings!: readonly DefinitionWarning[];

  @Field(() => Int, {
    nullable: true,
    description:
      'About how many components are to be looked at from the start to the end: all that there are, or 0 where the rules concern nobody who is there; null: that is not known.',
  })
  componentsTotal!: number | null;

  @Field(() => Int, { description: 'How many of them were looked at by this preview.' })
  componentsSeen!: number;

  @Field(() => Int, { description: 'How many of these the rules concern; they were worked through.' })
  componentsExamined!: number;

  @Field(() => Int, { description: 'How many identifiers those have that were worked through.' })
  identifiers!: number;

  @Field(() => Int, { description: 'How many profiles those are that were worked through.' })
  profiles!: number;

  @Field(() => Int, {
    description: 'How many rows of evidence those have: what was seen together, by day.',
  })
  evidenceRows!: number;

  @Field(() => Int, { description: 'How many profiles would lose identifiers to others, and live on.' })
  profilesSplit!: number;

  @Field(() => Int, { description: 'How many profiles would end as part of others.' })
  profilesMerged!: number;

  @Field(() => Int, {
    description: 'How many profiles there would be that are not: new ones, and former ones that come back.',
  })
  profilesAdded!: number;

  @Field(() => Int, { description: 'How many identifiers would stand for another profile.' })
  identifiersMoved!: number;

  @Field(() => Int, {
    description:
      'By how many identifiers nobody would be known any more: events brought them beside others alone, and they would count for nobody.',
  })
  identifiersGone!: number;

  @Field(() => Int, {
    description:
      'How many values would count for nobody that do now, because they are blocked or were seen with too many others.',
  })
  valuesUncounted!: number;

  @Field(() => Int, {
    description: 'How many components have too much evidence to be worked out here; they are resolved by the way.',
  })
  contested!: number;

  @Field(() => [PreviewedMoveType], { description: 'The largest moves; at most 20 are told.' })
  examples!: readonly PreviewedMoveType[];

  @Field(() => Boolean, { description: 'Whether no component is left to be looked at.' })
  isComplete!: boolean;

  @Field(() => String, {
    nullable: true,
    description: 'Where to go on, as `after` of the next preview; opaque, as `eyJ2IjoxfQ`. Null: no component is left.',
  })
  endCursor!: string | null;
}

export function rulesPreviewView(
  { causes, warnings, looked, examined, place, examples, ...found }: IdentityRulesPreview,
  ofText: readonly DefinitionWarning[],
): IdentityRulesPreviewType {
  return {
    ...found,
    ...{ warnings: [...ofText, ...warnings], concerns: causes, componentsSeen: looked, componentsExamined: examined },
    examples: examples.map(moveView),
    isComplete: place === null,
    endCursor: place === null ? null : IDENTITY_COMPONENT_CURSOR.encode({ id: place }),
  };
}

function moveView({ identifiers, ...move }: PreviewedMove): PreviewedMoveType {
  return { ...move, identifiers: identifiers.map(identifierView) };
}
