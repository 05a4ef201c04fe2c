import { Arg, Authorized, Ctx, Field, Int, ObjectType, Query, Resolver } from 'type-graphql';
import {
  searchVocabulary,
  VOCABULARY_KINDS,
  vocabularyKey,
  type FrequentValue,
  type VocabularyEntry,
  type VocabularyKind,
} from '../../features/vocabulary.model.js';
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
import { VOCABULARY_CURSOR } from './cursors.js';
import { enumOf } from './enums.js';

const VocabularyKindType = enumOf('VocabularyKind', 'What a name is of.', VOCABULARY_KINDS, {
  event: 'The name of an event.',
  fact: 'Something that Weft found out about events: their device, place, campaign and so on.',
  property: 'A property of events.',
  trait: 'A trait that events brought.',
});

@ObjectType('FrequentValue', { simpleResolvers: true, description: 'A value that several people had.' })
class FrequentValueType {
  @Field(() => String, { description: 'The value as text, as `running-shoes`.' })
  value!: string;

  @Field(() => Int, { description: 'How many times it was met in the sample.' })
  count!: number;
}

@ObjectType('VocabularyEntry', {
  simpleResolvers: true,
  description:
    'A name that definitions can refer to. Counts are of a sample of at most 20,000 events of the last 90 days.',
})
class VocabularyEntryType {
  @Field(() => VocabularyKindType, { description: 'What the name is of.' })
  kind!: VocabularyKind;

  @Field(() => String, {
    description:
      'As definitions write it: `order_completed`, `properties.total`, `traits.country`, `context.enriched.os.name`.',
  })
  name!: string;

  @Field(() => Int, { description: 'How many events of the sample have it; 0: it was met before, or elsewhere.' })
  count!: number;

  @Field(() => [String], { description: 'Names of the events that have carried it, at most 20; of an event none.' })
  events!: readonly string[];

  @Field(() => [FrequentValueType], {
    description:
      'At most 10, the most frequent first. None that looks personal or names somebody, and none that fewer than three people had.',
  })
  values!: readonly FrequentValue[];
}

const VocabularyConnection = connectionTypes<VocabularyEntry>(VocabularyEntryType, 'VocabularyEntry');

@Resolver()
export class VocabularyResolver {
  @Authorized('read')
  @Query(() => VocabularyConnection, {
    description: 'What events are called and carry, for whoever writes a definition; by kind and name.',
  })
  async vocabulary(
    @Ctx() { services, reads }: ApiContext,
    @Arg('search', () => String, {
      nullable: true,
      description: 'A text in the name or in a frequent value, in any case, as `shoes`; left out: all.',
    })
    search: string | null | undefined,
    @Arg('kind', () => VocabularyKindType, { nullable: true, description: 'Only names of this sort; left out: all.' })
    kind: VocabularyKind | null | undefined,
    @Arg('first', () => Int, { defaultValue: DEFAULT_PAGE_SIZE, description: FIRST }) first: number,
    @Arg('after', () => String, { nullable: true, description: AFTER }) after: string | null | undefined,
  ): Promise<Connection<Edge<VocabularyEntry>>> {
    reads.countSingleRead('vocabulary');
    const found = searchVocabulary(await services.vocabulary.entries(), search ?? null, kind ?? null);
    return pageByKey(found, vocabularyKey, VOCABULARY_CURSOR, { first, after });
  }
}
