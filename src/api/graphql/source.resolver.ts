import { Arg, Authorized, Ctx, Field, Mutation, ObjectType, Query, Resolver } from 'type-graphql';
import type { Source, SourceKind } from '../../sources/source.model.js';
import type { ApiContext } from './api-context.js';
import { SourceKindType } from './enums.js';
import { resultUnion } from './failure.types.js';
import { DateTime } from './scalars.js';

@ObjectType('Source', { simpleResolvers: true, description: 'Where data comes from.' })
export class SourceType {
  @Field(() => String, { description: 'What it is called by; never changes.' })
  key!: string;

  @Field(() => String, { description: 'For people.' })
  name!: string;

  @Field(() => SourceKindType, { description: 'How it sends its data.' })
  kind!: SourceKind;

  @Field(() => DateTime, { description: 'When it was made.' })
  createdAt!: number;
}

const CreatedSource = resultUnion<Source>('CreateSourceResult', { type: SourceType, name: 'Source' }, [
  'BadRequest',
  'Conflict',
]);
@Resolver()
export class SourceResolver {
  @Authorized('read')
  @Query(() => [SourceType], { description: 'All sources.' })
  sources(@Ctx() { services }: ApiContext): Promise<Source[]> {
    return services.sources.list();
  }

  @Authorized('admin')
  @Mutation(() => CreatedSource.type, { description: 'Makes a source.' })
  createSource(
    @Ctx() { services, watch }: ApiContext,
    @Arg('key', () => String, { description: 'Lower-case letters, digits and underscores, starting with a letter.' })
    key: string,
    @Arg('name', () => String, { nullable: true, description: 'For people; default: the key.' })
    name: string | null | undefined,
    @Arg('kind', () => SourceKindType, { defaultValue: 'http', description: 'How it sends its data.' })
    kind: SourceKind,
  ): Promise<unknown> {
    return CreatedSource.attempt(async () => {
      const source = await services.sources.create({ key, kind, ...(typeof name === 'string' ? { name } : {}) });
      await watch.reload();
      return source;
    });
  }
}
