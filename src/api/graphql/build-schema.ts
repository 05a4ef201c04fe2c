import 'reflect-metadata';
import type { GraphQLSchema } from 'graphql';
import { buildSchemaSync, getMetadataStorage, type PubSub } from 'type-graphql';
import { API_SCOPES, type ApiScope } from '../auth/api-key.model.js';
import type { ApiContext } from './api-context.js';
import { ChangeResolver } from './change.resolver.js';
import { DeadLetterResolver } from './dead-letter.resolver.js';
import { resolveReadsDirectly } from './direct-resolvers.js';
import { FeatureResolver } from './feature.resolver.js';
import { IngestResolver } from './ingest.resolver.js';
import { KeyResolver } from './key.resolver.js';
import { ModelResolver } from './model.resolver.js';
import { ProfileResolver } from './profile.resolver.js';
import { SegmentResolver } from './segment.resolver.js';
import { SourceActivityResolver } from './source-activity.resolver.js';
import { SourceResolver } from './source.resolver.js';
import { StatisticsResolver } from './statistics.resolver.js';
import { TraitResolver } from './trait.resolver.js';

/** The scope that each root field needs, by `Type.field`. */
export function rootScopes(): ReadonlyMap<string, readonly ApiScope[]> {
  const { queries, mutations, subscriptions } = getMetadataStorage();
  const fields = [
    ...queries.map((query) => ['Query', query] as const),
    ...mutations.map((mutation) => ['Mutation', mutation] as const),
    ...subscriptions.map((subscription) => ['Subscription', subscription] as const),
  ];
  return new Map(
    fields.map(([type, { schemaName, roles }]) => {
      const scopes = ((roles ?? []) as unknown[]).filter((role) => (API_SCOPES as readonly unknown[]).includes(role));
      return [`${type}.${schemaName}`, scopes as ApiScope[]];
    }),
  );
}

/**
 * The schema of the API. A root field says by `@Authorized` which scope it needs; one that says nothing is a defect.
 * @throws Error for a root field without a scope
 */
export function buildApiSchema(): GraphQLSchema {
  const schema = buildSchemaSync({
    resolvers: [
      ProfileResolver,
      SegmentResolver,
      ChangeResolver,
      FeatureResolver,
      ModelResolver,
      IngestResolver,
      KeyResolver,
      SourceResolver,
      SourceActivityResolver,
      DeadLetterResolver,
      StatisticsResolver,
      TraitResolver,
    ],
    validate: false,
    // Wanted by the library; every subscription here brings its own source.
    pubSub: NO_TOPICS,
    authChecker: ({ context }: { context: ApiContext }, scopes: ApiScope[]) => {
      context.demand(scopes);
      return true;
    },
  });
  describeScopes(schema);
  resolveReadsDirectly(schema);
  return schema;
}

const NO_TOPICS: PubSub = {
  publish: () => undefined,
  subscribe: (topic) => {
    throw new Error(`nothing is published under ${topic}`);
  },
};

function describeScopes(schema: GraphQLSchema): void {
  const scopes = rootScopes();
  for (const type of [schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()]) {
    for (const field of Object.values(type?.getFields() ?? {})) {
      const name = `${type?.name ?? ''}.${field.name}`;
      const needed = scopes.get(name) ?? [];
      if (needed.length === 0) throw new Error(`${name} does not say which scope it needs`);
      field.description = `${field.description ?? ''} Scope: \`${needed.join('` or `')}\`.`.trim();
    }
  }
}
