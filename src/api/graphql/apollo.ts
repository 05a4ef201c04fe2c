import { ApolloServer, type ApolloServerOptions } from '@apollo/server';
import {
  ApolloServerPluginCacheControlDisabled,
  ApolloServerPluginInlineTraceDisabled,
  ApolloServerPluginLandingPageDisabled,
  ApolloServerPluginSchemaReportingDisabled,
  ApolloServerPluginUsageReportingDisabled,
} from '@apollo/server/plugin/disabled';
import type { DocumentNode, GraphQLSchema } from 'graphql';
import { LRUCache } from 'lru-cache';
import type { ApiContext } from './api-context.js';
import { JitExecutor, type ExecutionRequest } from './jit-executor.js';
import { presentError, type ErrorPresenter } from './present-error.js';
import { QUERY_LIMITS, queryLimitsRule } from './query-limits.js';
import type { WarmQueries } from './warm-queries.js';

type Gateway = NonNullable<Extract<ApolloServerOptions<ApiContext>, { gateway: unknown }>['gateway']>;
type DocumentStore = NonNullable<ApolloServerOptions<ApiContext>['documentStore']>;

/** Parsed and validated documents, by the length of their texts: a document takes about 50 times that. */
const MAX_CACHED_QUERY_TEXT = 1_000_000;
const MAX_CACHED_DOCUMENTS = 1_000;

/** Apollo Server over our schema and executor; not started. It reports to nobody. `warm` learns from it. */
export function createApollo(
  schema: GraphQLSchema,
  presenter: ErrorPresenter,
  warm: WarmQueries,
): ApolloServer<ApiContext> {
  return new ApolloServer<ApiContext>({
    gateway: executeBy(new JitExecutor(schema, warm), schema),
    introspection: true,
    includeStacktraceInErrorResponses: false,
    allowBatchedHttpRequests: false,
    stopOnTerminationSignals: false,
    persistedQueries: false,
    nodeEnv: 'production',
    documentStore: boundedDocuments(),
    parseOptions: { maxLexicalTokens: QUERY_LIMITS.maxTokens },
    validationRules: [queryLimitsRule],
    // A browser sends `authorization` across origins only after it has asked; without it nothing is answered anyway.
    csrfPrevention: { requestHeaders: ['authorization'] },
    formatError: (_formatted, error) => presentError(error, presenter),
    logger: { debug: silent, info: silent, warn: silent, error: silent },
    plugins: [
      ApolloServerPluginCacheControlDisabled(),
      ApolloServerPluginInlineTraceDisabled(),
      ApolloServerPluginLandingPageDisabled(),
      ApolloServerPluginSchemaReportingDisabled(),
      ApolloServerPluginUsageReportingDisabled(),
    ],
  });
}

/** The one way to give Apollo another executor is to be its gateway. */
function executeBy(executor: JitExecutor, schema: GraphQLSchema): Gateway {
  return {
    load: async () =>
      Promise.resolve({
        executor: async ({ document, operation, operationName, request, context }) => {
          const execution: ExecutionRequest = {
            asked: { text: request.query, operationName: request.operationName ?? null },
            document,
            operation,
            operationName,
            variables: request.variables,
            context: context as ApiContext,
          };
          return executor.execute(execution);
        },
      }),
    onSchemaLoadOrUpdate: (callback) => {
      callback({ apiSchema: schema, coreSupergraphSdl: '' });
      return () => undefined;
    },
    stop: async () => Promise.resolve(),
  };
}

function boundedDocuments(): DocumentStore {
  const cache = new LRUCache<string, DocumentNode>({
    max: MAX_CACHED_DOCUMENTS,
    maxSize: MAX_CACHED_QUERY_TEXT,
    sizeCalculation: (document) => Math.max(1, document.loc?.end ?? 1),
  });
  return {
    get: async (key) => Promise.resolve(cache.get(key)),
    set: async (key, document) => {
      cache.set(key, document);
      return Promise.resolve();
    },
    delete: async (key) => Promise.resolve(cache.delete(key)),
  };
}

function silent(): void {
  // Errors reach the log through the presenter, with their ids.
}
