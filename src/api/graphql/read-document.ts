import {
  GraphQLError,
  parse,
  specifiedRules,
  validate,
  type DocumentNode,
  type ExecutionArgs,
  type GraphQLSchema,
} from 'graphql';
import type { ApiContext } from './api-context.js';
import { demandIntrospection } from './introspection.js';
import { isNestedTooDeep, NESTED_TOO_DEEP, QUERY_LIMITS, queryLimitsRule } from './query-limits.js';

const RULES = [...specifiedRules, queryLimitsRule];

/** An operation as a socket or a stream asks for it; what it holds is not checked yet. */
interface Asked {
  readonly query?: unknown;
  readonly operationName?: unknown;
  readonly variables?: unknown;
}

/** What graphql-js executes or subscribes to. The libraries of the transports want a context that is a plain record. */
export type Operation = ExecutionArgs & { readonly contextValue: ApiContext & Record<PropertyKey, unknown> };

/**
 * What the HTTP endpoint does before it executes, for operations that do not come through Apollo Server: bounds, parsing,
 * validation, the scope for questions about the schema.
 */
export function readOperation(
  schema: GraphQLSchema,
  { query, operationName, variables }: Asked,
  context: ApiContext,
): Operation | { readonly errors: readonly GraphQLError[] } {
  if (variables !== undefined && variables !== null && (typeof variables !== 'object' || Array.isArray(variables))) {
    return { errors: [new GraphQLError('the variables are not a JSON object')] };
  }
  // Who may not look at the schema is not told what is in it by way of advice either.
  const hideSuggestions = !context.has('read');
  const read = readDocument(schema, query, hideSuggestions);
  if ('errors' in read) return read;
  try {
    demandIntrospection(read.document, context);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return { errors: [new GraphQLError(error.message, { originalError: error })] };
  }
  return {
    schema,
    document: read.document,
    ...(typeof operationName === 'string' ? { operationName } : {}),
    variableValues: (variables ?? {}) as Record<string, unknown>,
    contextValue: context as Operation['contextValue'],
    hideSuggestions,
  };
}

function readDocument(
  schema: GraphQLSchema,
  query: unknown,
  hideSuggestions: boolean,
): { readonly document: DocumentNode } | { readonly errors: readonly GraphQLError[] } {
  if (typeof query !== 'string') return { errors: [new GraphQLError('there is no query')] };
  if (isNestedTooDeep(query)) return { errors: [new GraphQLError(NESTED_TOO_DEEP)] };
  try {
    const document = parse(query, { maxLexicalTokens: QUERY_LIMITS.maxTokens });
    const errors = validate(schema, document, RULES, { hideSuggestions });
    return errors.length > 0 ? { errors } : { document };
  } catch (error) {
    if (error instanceof GraphQLError) return { errors: [error] };
    throw error;
  }
}
