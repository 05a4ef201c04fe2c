import { Arg, Authorized, Ctx, Field, ID, InputType, Mutation, ObjectType, Query, Resolver } from 'type-graphql';
import { WeftError } from '../../platform/errors.js';
import type { Source, SourceKind } from '../../sources/source.model.js';
import type { ApiKey, ApiScope } from '../auth/api-key.model.js';
import type { ApiContext } from './api-context.js';
import { ApiScopeType, SourceKindType } from './enums.js';
import { resultUnion } from './failure.types.js';
import { DateTime } from './scalars.js';

@ObjectType('Source', { simpleResolvers: true, description: 'Where data comes from.' })
class SourceType {
  @Field(() => String, { description: 'What it is called by; never changes.' })
  key!: string;

  @Field(() => String, { description: 'For people.' })
  name!: string;

  @Field(() => SourceKindType, { description: 'How it sends its data.' })
  kind!: SourceKind;

  @Field(() => DateTime, { description: 'When it was made.' })
  createdAt!: number;
}

@ObjectType('ApiKey', { simpleResolvers: true, description: 'A key to this API, without its secret.' })
class ApiKeyType {
  @Field(() => ID, { description: 'What it is revoked by.' })
  id!: string;

  @Field(() => String, { description: 'For people.' })
  name!: string;

  @Field(() => String, { description: 'The first characters of its secret, to recognise it by.' })
  prefix!: string;

  @Field(() => [ApiScopeType], { description: 'What it may do.' })
  scopes!: readonly ApiScope[];

  @Field(() => DateTime, { description: 'When it was made.' })
  createdAt!: number;

  @Field(() => DateTime, { nullable: true, description: 'When it ends; null: not by itself.' })
  expiresAt!: number | null;

  @Field(() => DateTime, { nullable: true, description: 'When it was revoked; null if it was not.' })
  revokedAt!: number | null;

  @Field(() => DateTime, { nullable: true, description: 'When it was last used, to the minute; null if never.' })
  lastUsedAt!: number | null;
}

@ObjectType('CreatedApiKey', { simpleResolvers: true, description: 'A new key.' })
class CreatedApiKey {
  @Field(() => ApiKeyType, { description: 'What is known of it from now on.' })
  key!: ApiKey;

  @Field(() => String, { description: 'Its secret. Nobody can show it again.' })
  secret!: string;
}

@ObjectType('RevokedApiKey', { simpleResolvers: true, description: 'A key that was revoked.' })
class RevokedApiKey {
  @Field(() => ID, { description: 'Its id.' })
  id!: string;
}

@InputType('ApiKeyInput', { description: 'A key to be made.' })
class ApiKeyInput {
  @Field(() => String, { description: 'For people.' })
  name!: string;

  @Field(() => [ApiScopeType], { description: 'What it may do; at least one.' })
  scopes!: ApiScope[];

  @Field(() => String, { nullable: true, description: 'Key of the source that its events belong to, for `INGEST`.' })
  source?: string | null;

  @Field(() => DateTime, { nullable: true, description: 'When it ends; default: not by itself.' })
  expiresAt?: number | null;
}

const CreatedSource = resultUnion<Source>('CreateSourceResult', { type: SourceType, name: 'Source' }, [
  'BadRequest',
  'Conflict',
]);
const CreatedKey = resultUnion<CreatedApiKey>('CreateApiKeyResult', { type: CreatedApiKey, name: 'CreatedApiKey' }, [
  'BadRequest',
  'NotFound',
]);
const RevokedKey = resultUnion<RevokedApiKey>('RevokeApiKeyResult', { type: RevokedApiKey, name: 'RevokedApiKey' }, [
  'NotFound',
]);

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

@Resolver()
export class AdminResolver {
  @Authorized('read')
  @Query(() => [SourceType], { description: 'All sources.' })
  sources(@Ctx() { services }: ApiContext): Promise<Source[]> {
    return services.sources.list();
  }

  @Authorized('admin')
  @Query(() => [ApiKeyType], { description: 'All keys, expired and revoked ones too, oldest first.' })
  apiKeys(@Ctx() { services }: ApiContext): Promise<ApiKey[]> {
    return services.keys.list();
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

  @Authorized('admin')
  @Mutation(() => CreatedKey.type, { description: 'Makes a key. Its secret is in the answer and nowhere else.' })
  createApiKey(
    @Ctx() { services }: ApiContext,
    @Arg('key', () => ApiKeyInput, { description: 'The key to be made.' }) input: ApiKeyInput,
  ): Promise<unknown> {
    return CreatedKey.attempt(async () => {
      const { name, scopes, expiresAt } = input;
      const sourceId = typeof input.source === 'string' ? await sourceIdOf(services.sources, input.source) : undefined;
      return services.keys.create({
        name,
        scopes,
        ...(sourceId === undefined ? {} : { sourceId }),
        ...(typeof expiresAt === 'number' ? { expiresAt } : {}),
      });
    });
  }

  @Authorized('admin')
  @Mutation(() => RevokedKey.type, { description: 'Ends a key, everywhere within ten seconds.' })
  revokeApiKey(
    @Ctx() { services }: ApiContext,
    @Arg('id', () => ID, { description: 'Its id.' }) id: string,
  ): Promise<unknown> {
    return RevokedKey.attempt(async () => {
      if (!UUID.test(id)) throw new WeftError('NOT_FOUND', 'there is no such key in use', { where: 'id' });
      await services.keys.revoke(id);
      return { id };
    });
  }
}

async function sourceIdOf(sources: ApiContext['services']['sources'], key: string): Promise<number> {
  const source = await sources.findByKey(key);
  if (source !== null) return source.id;
  throw new WeftError('NOT_FOUND', `there is no source ${key.slice(0, 100)}`, {
    where: 'source',
    hint: 'create it with createSource',
  });
}
