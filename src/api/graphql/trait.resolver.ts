import { Arg, Authorized, Ctx, Field, Int, ObjectType, Query, Resolver } from 'type-graphql';
import type { TraitDefinition } from '../../profiles/trait-definition.model.js';
import type { ApiContext } from './api-context.js';
import {
  AFTER,
  connectionTypes,
  DEFAULT_PAGE_SIZE,
  FIRST,
  pageByKey,
  type Connection,
  type Edge,
} from './connection.types.js';
import { TRAIT_CURSOR } from './cursors.js';

@ObjectType('TraitDefinition', {
  simpleResolvers: true,
  description: 'What is known of a trait beside its values. Traits need no definition.',
})
class TraitDefinitionType {
  @Field(() => String, { description: 'Its name, as events carry it: `country`.' })
  name!: string;

  @Field(() => String, { description: 'What it is, for people.' })
  description!: string;

  @Field(() => Boolean, { description: 'Whether edge keys, which sit in browsers, may be told it.' })
  edge!: boolean;
}

const TraitDefinitionConnection = connectionTypes<TraitDefinition>(TraitDefinitionType, 'TraitDefinition');

@Resolver()
export class TraitResolver {
  @Authorized('read')
  @Query(() => TraitDefinitionConnection, {
    description: 'The traits that are defined, by name. Files that `weft apply` takes define them.',
  })
  traitDefinitions(
    @Ctx() { reads }: ApiContext,
    @Arg('first', () => Int, { defaultValue: DEFAULT_PAGE_SIZE, description: FIRST }) first: number,
    @Arg('after', () => String, { nullable: true, description: AFTER }) after: string | null | undefined,
  ): Connection<Edge<TraitDefinition>> {
    return pageByKey(reads.definitions.traits, ({ name }) => name, TRAIT_CURSOR, { first, after });
  }
}
