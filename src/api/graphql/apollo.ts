import { ApolloServer, type ApolloServerOptions } from '@apollo/server';
import {
  ApolloServerPluginCacheControlDisabled,
  ApolloServerPluginInlineTraceDisabled,
  ApolloServerPluginLandingPageDisabled,
  ApolloServerPluginSchemaReportingDisabled,
  ApolloServerPluginUsageReportingDisabled,
} from '@apollo/server/plugin/disabled';
import type { Admission } from './admission.js';
import type { ApiContext } from './api-context.js';
import { JitExecutor, type ExecutionRequest } from './jit-executor.js';
import { presentError, type ErrorPresenter } from './present-error.js';
import { QUERY_LIMITS, queryLimitsRule } from './query-limits.js';
import type { WarmQueries } from './warm-queries.js';

type Gateway = NonNullable<Extract<ApolloServerOptions<ApiContext>, { gateway: unknown }>['gateway']>;
type DocumentStore = NonNullable<ApolloServerOptions<ApiContext>['documentStore']>;

/** Set on every request that has shown a key; see `graphql.routes.ts`. */
export const KEY_SHOWN_HEADER = 'x-weft-key-shown';

/** In hexadecimal. */
const SHA256_LENGTH = 64;

/** Apollo Server over our schema and executor; not started. It reports to nobody. `warm` learns from it. */
export function createApollo(
  admission: Admission,
  presenter: ErrorPresenter,
  warm: WarmQueries,
): ApolloServer<ApiContext> {
  const { schema } = admission;
  return new ApolloServer<ApiContext>({
    gateway: executeBy(new JitExecutor(schema, warm), schema),
    introspection: true,
    includeStacktraceInErrorResponses: false,
    allowBatchedHttpRequests: false,
    stopOnTerminationSignals: false,
    persistedQueries: false,
    nodeEnv: 'production',
    documentStore: admittedDocuments(admission),
    parseOptions: { maxLexicalTokens: QUERY_LIMITS.maxTokens },
    validationRules: [queryLimitsRule],
    // Whoever asks shows a key, which no browser adds by itself as it does a cookie: there is nothing to forge with.
    csrfPrevention: { requestHeaders: [KEY_SHOWN_HEADER] },
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
function executeBy(executor: JitExecutor, schema: Admission['schema']): Gateway {
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

/**
 * What was admitted is neither parsed nor validated again. Apollo's keys end with the SHA-256 of the text; what it has
 * parsed itself it keeps to itself, which is only what was not admitted.
 */
function admittedDocuments(admission: Admission): DocumentStore {
  return {
    get: async (key) => Promise.resolve(admission.knownDocument(key.slice(-SHA256_LENGTH))),
    set: async () => Promise.resolve(),
    delete: async () => Promise.resolve(false),
  };
}

function silent(): void {
  // Errors reach the log through the presenter, with their ids.
}
