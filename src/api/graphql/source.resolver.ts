import {
  Arg,
  Args,
  ArgsType,
  Authorized,
  Ctx,
  Field,
  FieldResolver,
  InputType,
  Int,
  Mutation,
  ObjectType,
  Query,
  Resolver,
  Root,
} from 'type-graphql';
import { ENRICHMENTS, type Enrichment, type EnrichmentSettings } from '../../events/enrichment.model.js';
import { readEnrichment } from '../../sources/source-enrichment.model.js';
import type { Source, SourceChange, SourceKind } from '../../sources/source.model.js';
import type { ApiKey } from '../auth/api-key.model.js';
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
import { SOURCE_CURSOR } from './cursors.js';
import { enumOf, SourceKindType } from './enums.js';
import { retentionMsOf } from './duration-arguments.js';
import { resultUnion } from './failure.types.js';
import { ApiKeyType } from './key.types.js';
import { DateTime } from './scalars.js';

const EnrichmentType = enumOf('Enrichment', 'What is found out about events when they are accepted.', ENRICHMENTS, {
  device: 'Device, browser and system of the user agent, and whether it is a bot.',
  location: 'Country, region, city and zone, by the address that it came from, which is not kept.',
  sentiment: 'Language of a text, and how it sounds if that is English.',
  local_time: 'Hour, weekday and part of the day where the person is.',
  referrer: 'Where a visitor came from, and the campaign, by the addresses of the page and of the one before it.',
});

@ObjectType('SourceEnrichment', {
  simpleResolvers: true,
  description: 'What is found out about the events of a source, and kept with them as `context.enriched`.',
})
class SourceEnrichment {
  @Field(() => [EnrichmentType], { description: 'What is found out, one to all, each once.' })
  facts!: readonly Enrichment[];

  @Field(() => [String], {
    description: 'Domains of one’s own pages beside that of the page itself, as `shop.example.org`; at most 50.',
  })
  internalDomains!: readonly string[];

  @Field(() => String, {
    nullable: true,
    description: 'The zone of those of whom nothing else tells it, as `Europe/Berlin`; null: none.',
  })
  zone!: string | null;

  @Field(() => [String], {
    description:
      'Properties that hold texts, of which the first that an event has is read, as `review.text`; at most 10.',
  })
  texts!: readonly string[];
}

@InputType('SourceEnrichmentInput', { description: 'What is to be found out about the events of a source.' })
class SourceEnrichmentInput {
  @Field(() => [EnrichmentType], { description: 'What is to be found out, each once.' })
  facts!: Enrichment[];

  @Field(() => [String], {
    defaultValue: [],
    description: 'Domains of one’s own pages beside that of the page itself, as `shop.example.org`; at most 50.',
  })
  internalDomains!: string[];

  @Field(() => String, {
    nullable: true,
    description: 'The zone of those of whom nothing else tells it, as `Europe/Berlin`. Default: none.',
  })
  zone?: string | null;

  @Field(() => [String], {
    defaultValue: [],
    description:
      'Properties that hold texts, of which the first that an event has is read, as `review.text`; at most 10.',
  })
  texts!: string[];
}

@ObjectType('Source', { simpleResolvers: true, description: 'Where data comes from.' })
export class SourceType {
  @Field(() => String, { description: 'What it is called by, as in `web_shop`; never changes.' })
  key!: string;

  @Field(() => String, { description: 'What people call it, as "The shop".' })
  name!: string;

  @Field(() => SourceKindType, { description: 'How it sends its data.' })
  kind!: SourceKind;

  @Field(() => Boolean, {
    description: 'Whether nothing of it is taken now. Those who send are told to come again, so that nothing is lost.',
  })
  paused!: boolean;

  @Field(() => Int, {
    nullable: true,
    description:
      'Events that it may send a second in the long run, by all of its keys together; null: as each key may.',
  })
  maxEventsPerSecond!: number | null;

  @Field(() => Boolean, {
    description:
      'Whether it is sure of whom it names, as a server is and a page in a browser is not: namespaces that count only from such sources (`only_from_authenticated` in the rules of identity) count from it.',
  })
  authenticated!: boolean;

  @Field(() => String, {
    nullable: true,
    description:
      'ISO 3166-1 code of its phone numbers without a country code, as `GB`; null: as the rules of identity say.',
  })
  region!: string | null;

  @Field(() => SourceEnrichment, {
    nullable: true,
    description: 'What is found out about its events when they are accepted; null: nothing.',
  })
  enrichment!: EnrichmentSettings | null;

  @Field(() => DateTime, { description: 'When it was made.' })
  createdAt!: number;
}

const success = { type: SourceType, name: 'Source' };
const CreatedSource = resultUnion<Source>('CreateSourceResult', success, ['BadRequest', 'Conflict']);
const UpdatedSource = resultUnion<Source>('UpdateSourceResult', success, ['BadRequest', 'NotFound']);

const SOURCE_KEY = 'Key of the source, as in `web_shop`.';
const AUTHENTICATED = 'Whether it is sure of whom it names, as a server is and a page in a browser is not.';
const REGION = 'ISO 3166-1 code of its phone numbers without a country code, as `GB`.';
const RETENTION =
  'How long its events are kept from when they happened, as `400d`: older ones are removed, and refused (`PAST_RETENTION`).';
const STRICT =
  'Whether what came of events goes with them once they are too old, as if they had never been: traits, features, profiles.';
const ENRICHMENT = 'What is found out about its events when they are accepted.';
const MAX_EVENTS = 'Events a second in the long run, by all of its keys together, from 1 to 1,000,000.';

@ArgsType()
class NewSourceArguments {
  @Field(() => String, { nullable: true, description: 'For people; default: the key.' })
  name?: string | null;

  @Field(() => SourceKindType, { defaultValue: 'http', description: 'How it sends its data.' })
  kind!: SourceKind;

  @Field(() => Int, { nullable: true, description: `${MAX_EVENTS} Default: as each key may.` })
  maxEventsPerSecond?: number | null;

  @Field(() => Boolean, {
    nullable: true,
    description: `${AUTHENTICATED} Default: all but those of kind \`HTTP\` are.`,
  })
  authenticated?: boolean | null;

  @Field(() => String, { nullable: true, description: `${REGION} Default: as the rules of identity say.` })
  region?: string | null;

  @Field(() => String, { nullable: true, description: `${RETENTION} Default: for ever.` })
  retention?: string | null;

  @Field(() => Boolean, { nullable: true, description: `${STRICT} Default: it stays.` })
  strictRetention?: boolean | null;

  @Field(() => SourceEnrichmentInput, { nullable: true, description: `${ENRICHMENT} Default: nothing.` })
  enrichment?: SourceEnrichmentInput | null;
}

@ArgsType()
class SourceChangeArguments {
  @Field(() => String, { nullable: true, description: 'What people call it; as it is if left out.' })
  name?: string | null;

  @Field(() => Int, { nullable: true, description: `${MAX_EVENTS} Null takes the bound away.` })
  maxEventsPerSecond?: number | null;

  @Field(() => Boolean, { nullable: true, description: `${AUTHENTICATED} As it is if left out.` })
  authenticated?: boolean | null;

  @Field(() => String, { nullable: true, description: `${REGION} Null: as the rules of identity say.` })
  region?: string | null;

  @Field(() => String, { nullable: true, description: `${RETENTION} Null: for ever.` })
  retention?: string | null;

  @Field(() => Boolean, { nullable: true, description: `${STRICT} As it is if left out.` })
  strictRetention?: boolean | null;

  @Field(() => SourceEnrichmentInput, { nullable: true, description: `${ENRICHMENT} Null: nothing.` })
  enrichment?: SourceEnrichmentInput | null;
}

const SourceConnection = connectionTypes<Source>(SourceType, 'Source');

@Resolver(() => SourceType)
export class SourceResolver {
  @Authorized('read')
  @Query(() => SourceConnection, { description: 'All sources, by key.' })
  async sources(
    @Ctx() { services }: ApiContext,
    @Arg('first', () => Int, { defaultValue: DEFAULT_PAGE_SIZE, description: FIRST }) first: number,
    @Arg('after', () => String, { nullable: true, description: AFTER }) after: string | null | undefined,
  ): Promise<Connection<Edge<Source>>> {
    const from = typeof after === 'string' ? SOURCE_CURSOR.decode(after).key : null;
    const sources = await services.sources.page(from, pageSize(first) + 1);
    return pageByKey(sources, ({ key }) => key, SOURCE_CURSOR, { first, after });
  }

  @Authorized('read')
  @Query(() => SourceType, { nullable: true, description: 'The source with this key; null if there is none.' })
  source(
    @Ctx() { services }: ApiContext,
    @Arg('key', () => String, { description: SOURCE_KEY }) key: string,
  ): Promise<Source | null> {
    return services.sources.findByKey(key);
  }

  @Authorized('admin')
  @FieldResolver(() => [ApiKeyType], {
    description:
      'Its keys, expired and revoked ones too, newest first, at most 200; of at most 20 sources in one request.',
  })
  keys(@Root() { id }: Source, @Ctx() { reads, services }: ApiContext): Promise<ApiKey[]> {
    reads.countSingleRead('keys');
    return services.keys.ofSource(id);
  }

  @Authorized('admin')
  @Mutation(() => CreatedSource.type, { description: 'Makes a source.' })
  createSource(
    @Ctx() { services, watch }: ApiContext,
    @Arg('key', () => String, {
      description:
        'What it will be called by, as `web`: lower-case letters, digits and underscores, starting with a letter.',
    })
    key: string,
    @Args(() => NewSourceArguments) given: NewSourceArguments,
  ): Promise<unknown> {
    return CreatedSource.attempt(async () => {
      const { name, kind, maxEventsPerSecond, authenticated, region, retention, strictRetention, enrichment } = given;
      const source = await services.sources.create({
        key,
        kind,
        ...(typeof name === 'string' ? { name } : {}),
        ...(typeof maxEventsPerSecond === 'number' ? { maxEventsPerSecond } : {}),
        ...(typeof authenticated === 'boolean' ? { authenticated } : {}),
        ...(typeof region === 'string' ? { region } : {}),
        ...(typeof retention === 'string' ? { retentionMs: retentionMsOf(retention) } : {}),
        ...(typeof strictRetention === 'boolean' ? { retentionStrict: strictRetention } : {}),
        ...(enrichment == null ? {} : { enrichment: readEnrichment(enrichment) }),
      });
      await watch.reload();
      return source;
    });
  }

  @Authorized('admin')
  @Mutation(() => UpdatedSource.type, {
    description: 'Changes a source, everywhere within ten seconds. What is left out stays.',
  })
  updateSource(
    @Ctx() context: ApiContext,
    @Arg('key', () => String, { description: SOURCE_KEY }) key: string,
    @Args(() => SourceChangeArguments) given: SourceChangeArguments,
  ): Promise<unknown> {
    const { name, maxEventsPerSecond, authenticated, region, retention, strictRetention, enrichment } = given;
    return update(context, key, () => ({
      ...(typeof name === 'string' ? { name } : {}),
      ...(maxEventsPerSecond === undefined ? {} : { maxEventsPerSecond }),
      ...(typeof authenticated === 'boolean' ? { authenticated } : {}),
      ...(region === undefined ? {} : { region }),
      ...(retention === undefined ? {} : { retentionMs: retention === null ? null : retentionMsOf(retention) }),
      ...(typeof strictRetention === 'boolean' ? { retentionStrict: strictRetention } : {}),
      ...(enrichment === undefined ? {} : { enrichment: enrichment === null ? null : readEnrichment(enrichment) }),
    }));
  }

  @Authorized('admin')
  @Mutation(() => UpdatedSource.type, {
    description:
      'Takes nothing of a source any more, everywhere within ten seconds, until it is resumed. Its clients are told to come again (HTTP 503 with `Retry-After`).',
  })
  pauseSource(
    @Ctx() context: ApiContext,
    @Arg('key', () => String, { description: SOURCE_KEY }) key: string,
  ): Promise<unknown> {
    return update(context, key, () => ({ paused: true }));
  }

  @Authorized('admin')
  @Mutation(() => UpdatedSource.type, { description: 'Takes events of a source again, everywhere within ten seconds.' })
  resumeSource(
    @Ctx() context: ApiContext,
    @Arg('key', () => String, { description: SOURCE_KEY }) key: string,
  ): Promise<unknown> {
    return update(context, key, () => ({ paused: false }));
  }
}

function update({ services }: ApiContext, key: string, change: () => SourceChange): Promise<unknown> {
  return UpdatedSource.attempt(async () => services.sources.update(key, change()));
}
