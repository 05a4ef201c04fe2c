import { Field, Int, ObjectType } from 'type-graphql';
import type { GenericValue } from '../../identity/generic-value.model.js';
import { connectionTypes } from './connection.types.js';
import { identifierView, IdentityRevisionType } from './identity.types.js';
import { IdentifierType } from './profile.types.js';
import { DateTime } from './scalars.js';

@ObjectType('IdentityReresolution', {
  simpleResolvers: true,
  description: 'That all identities are resolved anew, by the rules as they are.',
})
export class IdentityReresolutionType {
  @Field(() => IdentityRevisionType, { description: 'Ask `identityRevision` how far it is.' })
  revision!: IdentityRevisionType;
}

@ObjectType('GenericValueDecision', {
  simpleResolvers: true,
  description: 'That somebody decided whether a value may stand for nobody because many people share it.',
})
export class GenericValueDecisionType {
  @Field(() => IdentityRevisionType, { description: 'What comes of it; ask `identityRevision` how far it is.' })
  revision!: IdentityRevisionType;
}

@ObjectType('IdentityGenericValue', {
  simpleResolvers: true,
  description:
    'A value that stands for nobody, as many people share it or rules block it, or that somebody decided is none.',
})
export class IdentityGenericValueType {
  @Field(() => IdentifierType, { description: 'What it is, as the address of an office.' })
  identifier!: IdentifierType;

  @Field(() => Boolean, {
    description: 'Whether it is generic: it joins nobody, and counts for an event alone that carries nothing else.',
  })
  isGeneric!: boolean;

  @Field(() => Boolean, {
    description:
      'Whether it is so because rules block it, however many share it; else because it was seen with too many others.',
  })
  isBlocked!: boolean;

  @Field(() => Int, {
    description:
      'How many other values of namespaces of which a profile holds one alone, as `user_id`, it was seen with when that was last counted.',
  })
  neighbours!: number;

  @Field(() => DateTime, { description: 'Since when it is so.' })
  changedAt!: number;

  @Field(() => Boolean, { description: 'Whether somebody decided that it is not generic, however many share it.' })
  isKept!: boolean;

  @Field(() => String, { nullable: true, description: 'Who decided about it last; null: nobody did.' })
  decidedBy!: string | null;

  @Field(() => DateTime, { nullable: true, description: 'When that was; null: never.' })
  decidedAt!: number | null;

  @Field(() => String, { description: 'Why, in the words of whoever decided; may be empty.' })
  reason!: string;
}

export const IdentityGenericValueConnection = connectionTypes<IdentityGenericValueType>(
  IdentityGenericValueType,
  'IdentityGenericValue',
);

export function genericValueView({ id: _, ns, value, ...generic }: GenericValue): IdentityGenericValueType {
  return { identifier: identifierView({ ns, value }), ...generic };
}
