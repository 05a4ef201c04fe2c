import {
  Arg,
  Authorized,
  Ctx,
  Field,
  FieldResolver,
  ID,
  InputType,
  Int,
  Mutation,
  ObjectType,
  Query,
  Resolver,
  Root,
} from 'type-graphql';
import { WeftError } from '../../platform/errors.js';
import { isUuid } from '../../platform/ids.js';
import type { ApiKey, ApiScope } from '../auth/api-key.model.js';
import type { CreatedKey } from '../auth/api-key.service.js';
import type { ApiContext } from './api-context.js';
import {
  AFTER,
  connectionTypes,
  DEFAULT_PAGE_SIZE,
  FIRST,
  pageByKey,
  pageSize,
  type Connection,
  type Edge,
} from './connection.types.js';
import { API_KEY_CURSOR, cursorId } from './cursors.js';
import { ApiScopeType } from './enums.js';
import { resultUnion } from './failure.types.js';
import { ApiKeyType } from './key.types.js';
import { overlapMs } from './duration-arguments.js';
import { DateTime } from './scalars.js';

@ObjectType('CreatedApiKey', { simpleResolvers: true, description: 'A key that was made, with its secret.' })
class CreatedApiKey {
  @Field(() => ApiKeyType, { description: 'What is known of it from now on.' })
  key!: ApiKey;

  @Field(() => String, { description: 'Its secret. Nobody can show it again.' })
  secret!: string;

  @Field(() => String, {
    nullable: true,
    description:
      'For `EDGE`: what the server of a site signs identifiers with. Not for browsers; `edgeSigningSecret` shows it again.',
  })
  signingSecret!: string | null;
}

@ObjectType('ChangedApiKey', { simpleResolvers: true, description: 'A key that was changed; its secret is the same.' })
class ChangedApiKey {
  @Field(() => ApiKeyType, { description: 'As it is now.' })
  key!: ApiKey;
}

@ObjectType('RevokedApiKey', { simpleResolvers: true, description: 'A key that was revoked.' })
class RevokedApiKey {
  @Field(() => ID, { description: 'Id of the key, as `01900000-0000-7000-8000-000000000000`.' })
  id!: string;
}

@InputType('ApiKeyInput', { description: 'A key to be made.' })
class ApiKeyInput {
  @Field(() => String, { description: 'Whose key it is, in words for people; 1 to 200 characters.' })
  name!: string;

  @Field(() => [ApiScopeType], { description: 'What it may do; at least one.' })
  scopes!: ApiScope[];

  @Field(() => String, { nullable: true, description: 'Key of the source that its events belong to, for `INGEST`.' })
  source?: string | null;

  @Field(() => [String], {
    nullable: true,
    description:
      'For `EDGE`: origins of the pages that may ask by it, as in `https://shop.example`, or `*` for all; default: none.',
  })
  origins?: string[] | null;

  @Field(() => Int, {
    nullable: true,
    description: 'GraphQL requests, or events, a second in the long run; default: as the installation limits all.',
  })
  ratePerSecond?: number | null;

  @Field(() => DateTime, { nullable: true, description: 'When it ends; default: not by itself.' })
  expiresAt?: number | null;
}

const CreatedKeyResult = resultUnion<CreatedKey>('CreateApiKeyResult', { type: CreatedApiKey, name: 'CreatedApiKey' }, [
  'BadRequest',
  'NotFound',
]);
const ChangedKey = resultUnion<{ readonly key: ApiKey }>(
  'ChangeApiKeyOriginsResult',
  { type: ChangedApiKey, name: 'ChangedApiKey' },
  ['BadRequest', 'NotFound'],
);
const RevokedKey = resultUnion<RevokedApiKey>('RevokeApiKeyResult', { type: RevokedApiKey, name: 'RevokedApiKey' }, [
  'NotFound',
]);

const RotatedKey = resultUnion<CreatedKey>('RotateApiKeyResult', { type: CreatedApiKey, name: 'CreatedApiKey' }, [
  'BadRequest',
  'Conflict',
  'NotFound',
]);

const ApiKeyConnection = connectionTypes<ApiKey>(ApiKeyType, 'ApiKey');

@Resolver(() => ApiKeyType)
export class KeyResolver {
  @Authorized('admin')
  @Query(() => ApiKeyConnection, { description: 'All keys, expired and revoked ones too, oldest first.' })
  async apiKeys(
    @Ctx() { services }: ApiContext,
    @Arg('first', () => Int, { defaultValue: DEFAULT_PAGE_SIZE, description: FIRST }) first: number,
    @Arg('after', () => String, { nullable: true, description: AFTER }) after: string | null | undefined,
  ): Promise<Connection<Edge<ApiKey>>> {
    const from = typeof after === 'string' ? cursorId(API_KEY_CURSOR.decode(after).key) : null;
    const keys = await services.keys.page(from, pageSize(first) + 1);
    return pageByKey(keys, ({ id }) => id, API_KEY_CURSOR, { first, after });
  }

  @FieldResolver(() => String, {
    nullable: true,
    description: 'Key of the source that its events belong to, as `web`; null for keys that cannot send events.',
  })
  async source(@Root() { sourceId }: ApiKey, @Ctx() { services }: ApiContext): Promise<string | null> {
    return sourceId === null ? null : ((await services.sources.findById(sourceId))?.key ?? null);
  }

  @Authorized('admin')
  @Query(() => String, {
    description:
      'The signing secret of a key with the scope `EDGE`, `weft_s_` and 43 characters: what the server of a site signs identifiers with.',
  })
  async edgeSigningSecret(
    @Ctx() { services }: ApiContext,
    @Arg('id', () => ID, { description: 'Id of the key, as `01900000-0000-7000-8000-000000000000`.' }) id: string,
  ): Promise<string> {
    demandUuid(id);
    return services.keys.signingSecret(id);
  }

  @Authorized('admin')
  @Mutation(() => CreatedKeyResult.type, { description: 'Makes a key. Its secret is in the answer and nowhere else.' })
  createApiKey(
    @Ctx() { services }: ApiContext,
    @Arg('key', () => ApiKeyInput, { description: 'The key to be made.' }) input: ApiKeyInput,
  ): Promise<unknown> {
    return CreatedKeyResult.attempt(async () => {
      const { name, scopes, origins, ratePerSecond, expiresAt } = input;
      const sourceId = typeof input.source === 'string' ? await sourceIdOf(services.sources, input.source) : undefined;
      return services.keys.create({
        name,
        scopes,
        ...(sourceId === undefined ? {} : { sourceId }),
        ...(Array.isArray(origins) ? { origins } : {}),
        ...(typeof ratePerSecond === 'number' ? { ratePerSecond } : {}),
        ...(typeof expiresAt === 'number' ? { expiresAt } : {}),
      });
    });
  }

  @Authorized('admin')
  @Mutation(() => RotatedKey.type, {
    description:
      'Puts a key with the same rights, of the same lifetime, in the place of another, which ends after the overlap.',
  })
  rotateApiKey(
    @Ctx() { services }: ApiContext,
    @Arg('id', () => ID, {
      description: 'Id of the key whose place is taken, as `01900000-0000-7000-8000-000000000000`.',
    })
    id: string,
    @Arg('overlap', () => String, {
      defaultValue: '24h',
      description: 'For how long both are valid: a number and `s`, `m`, `h` or `d`, as in `24h`, at most `90d`.',
    })
    overlap: string,
  ): Promise<unknown> {
    return RotatedKey.attempt(async () => {
      demandUuid(id);
      return services.keys.rotate(id, overlapMs(overlap));
    });
  }

  @Authorized('admin')
  @Mutation(() => ChangedKey.type, {
    description: 'Says which pages may ask by a key with the scope `EDGE`; everywhere within ten seconds.',
  })
  changeApiKeyOrigins(
    @Ctx() { services }: ApiContext,
    @Arg('id', () => ID, { description: 'Id of the key, as `01900000-0000-7000-8000-000000000000`.' }) id: string,
    @Arg('add', () => [String], {
      defaultValue: [],
      description: 'Origins of pages that may ask from now on, as `https://shop.example`; `*` for all.',
    })
    add: string[],
    @Arg('remove', () => [String], {
      defaultValue: [],
      description:
        'Those that may no more, as `https://shop.example`; one that the key does not name is refused; an origin in both lists is removed.',
    })
    remove: string[],
  ): Promise<unknown> {
    return ChangedKey.attempt(async () => {
      demandUuid(id);
      return { key: await services.keys.changeOrigins(id, { add, remove }) };
    });
  }

  @Authorized('admin')
  @Mutation(() => RevokedKey.type, { description: 'Ends a key, everywhere within ten seconds.' })
  revokeApiKey(
    @Ctx() { services }: ApiContext,
    @Arg('id', () => ID, { description: 'Id of the key, as `01900000-0000-7000-8000-000000000000`.' }) id: string,
  ): Promise<unknown> {
    return RevokedKey.attempt(async () => {
      demandUuid(id);
      await services.keys.revoke(id);
      return { id };
    });
  }
}

/** @throws WeftError NOT_FOUND: no key has an id of another form */
function demandUuid(id: string): void {
  if (!isUuid(id)) throw new WeftError('NOT_FOUND', 'there is no such key in use', { where: 'id' });
}

async function sourceIdOf(sources: ApiContext['services']['sources'], key: string): Promise<number> {
  const source = await sources.findByKey(key);
  if (source !== null) return source.id;
  throw new WeftError('NOT_FOUND', `there is no source ${key.slice(0, 100)}`, {
    where: 'source',
    hint: 'create it with createSource',
  });
}
