import {
  Arg,
  Authorized,
  Ctx,
  Field,
  FieldResolver,
  Float,
  Int,
  Mutation,
  ObjectType,
  Query,
  Resolver,
  Root,
} from 'type-graphql';
import {
  isPersonal,
  isSealed,
  isSearchable,
  ruleOf,
  type TraitDefinition,
} from '../../profiles/trait-definition.model.js';
import {
  PRECEDENCES,
  SURVIVORSHIPS,
  type Precedence,
  type Survivorship,
  type TraitRule,
} from '../../profiles/trait-rule.model.js';
import { CONFLICT_POLICIES, type ConflictPolicy } from '../../profiles/trait-type.model.js';
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
import { enumOf } from './enums.js';
import { resultUnion } from './failure.types.js';
import { DateTime, Json } from './scalars.js';

const SurvivorshipType = enumOf('Survivorship', 'Which of the values given for a trait is shown.', SURVIVORSHIPS, {
  most_recent: 'The newest, by when its event happened.',
  source_priority: 'The newest of the first source in a list that has one.',
  most_frequent: 'The one given most often, among the newest 64.',
  longest: 'The longest text or list.',
  min: 'The least number, else text.',
  max: 'The greatest number, else text.',
  union: 'The items of all lists, those given last at the end; at most 100.',
});

const PrecedenceType = enumOf('TraitPrecedence', 'What decides between values before their rule does.', PRECEDENCES, {
  provenance: 'Declared values go before observed ones, and those before inferred ones.',
  time: 'Nothing: however they came to be known, all values count.',
});

const ConflictPolicyType = enumOf(
  'TraitConflictPolicy',
  'What becomes of values of another type than that of their trait.',
  CONFLICT_POLICIES,
  {
    keep: 'They are kept as they are, and counted.',
    coerce: 'They are turned into the type where they say the same there, else left out.',
    refuse: 'They are left out. Their event is accepted.',
  },
);

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

@ObjectType('TraitRule', { simpleResolvers: true, description: 'How the values of a trait are taken in.' })
class TraitRuleType {
  @Field(() => String, {
    nullable: true,
    description: '`string`, `number`, `boolean`, `date-time`, `list` or `object`; null: any.',
  })
  type!: string | null;

  @Field(() => ConflictPolicyType, { description: 'What becomes of values of another type.' })
  onConflict!: ConflictPolicy;

  @Field(() => SurvivorshipType, { description: 'Which of the values that were given is shown.' })
  survivorship!: Survivorship;

  @Field(() => [String], {
    description: 'For `SOURCE_PRIORITY`: keys of sources, the one that is believed most first; at most 20.',
  })
  sourcePriority!: readonly string[];

  @Field(() => PrecedenceType, { description: 'Whether how values came to be known goes before when.' })
  precedence!: Precedence;

  @Field(() => [String], { description: 'Keys of sources whose values count as declared; at most 20.' })
  declaredBy!: readonly string[];

  @Field(() => Json, {
    description:
      'Events that answer what the trait asks, at most 20: `[{ "event": "Survey Answered", "property": "answer", "where": {} }]`.',
  })
  answers!: unknown;
}

@ObjectType('TraitConflicts', {
  simpleResolvers: true,
  description: 'Values of another type than that of their trait, since its rule changed last.',
})
class TraitConflicts {
  @Field(() => Float, { description: 'How many were kept as they are.' })
  kept!: number;

  @Field(() => Float, { description: 'How many were turned into the type.' })
  coerced!: number;

  @Field(() => Float, { description: 'How many were left out.' })
  refused!: number;

  @Field(() => DateTime, { nullable: true, description: 'When the last of them was accepted; null: there was none.' })
  lastAt!: number | null;
}

@ObjectType('DeletedTrait', { simpleResolvers: true, description: 'A trait that is being deleted everywhere.' })
class DeletedTraitType {
  @Field(() => String, { description: 'What it is called by in events: `shoe_size`.' })
  name!: string;
}

const DeletedTrait = resultUnion<DeletedTraitType>(
  'DeleteTraitResult',
  { type: DeletedTraitType, name: 'DeletedTrait' },
  ['BadRequest', 'Conflict'],
);

const TraitDefinitionConnection = connectionTypes<TraitDefinition>(TraitDefinitionType, 'TraitDefinition');

@Resolver(() => TraitDefinitionType)
export class TraitResolver {
  @FieldResolver(() => TraitRuleType, { description: 'How its values are taken in.' })
  rule(@Root() trait: TraitDefinition): TraitRule {
    return ruleOf(trait);
  }

  @FieldResolver(() => Boolean, {
    description: 'Whether profiles can be found by it, which keeps its values in an index in plain text.',
  })
  searchable(@Root() trait: TraitDefinition): boolean {
    return isSearchable(trait);
  }

  @FieldResolver(() => Boolean, {
    description: 'Whether it is personal data: masked without the scope `pii`. All that is sealed is.',
  })
  pii(@Root() trait: TraitDefinition): boolean {
    return isPersonal(trait);
  }

  @FieldResolver(() => Boolean, {
    description:
      "Whether its values are stored sealed only, by a key of the installation's secret; profiles are found by it with `eq`, `in` and `exists` alone.",
  })
  sealed(@Root() trait: TraitDefinition): boolean {
    return isSealed(trait);
  }

  @FieldResolver(() => TraitConflicts, { description: 'Values that were of another type.' })
  async conflicts(@Root() { name }: TraitDefinition, @Ctx() { reads }: ApiContext): Promise<TraitConflicts> {
    return (await reads.traitConflicts()).get(name) ?? { kept: 0, coerced: 0, refused: 0, lastAt: null };
  }

  @Authorized('admin')
  @Mutation(() => DeletedTrait.type, {
    description:
      'Deletes a trait everywhere: what was given for it until now counts no more, for nobody, also what arrives late. ' +
      'Profiles lose it one after the other; `weft traits changes` tells how far that is.',
  })
  deleteTrait(
    @Ctx() { services }: ApiContext,
    @Arg('name', () => String, { description: 'Name of the trait, as events carry it: `shoe_size`.' }) name: string,
  ): Promise<unknown> {
    return DeletedTrait.attempt(async () => {
      await services.traits.deleteEverywhere(name);
      return { name };
    });
  }

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
