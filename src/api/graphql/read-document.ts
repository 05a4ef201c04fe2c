import {
  GraphQLError,
  parse,
  specifiedRules,
  validate,
  type DocumentNode,
  type ExecutionArgs,
  type GraphQLSchema,
} from 'graphql';
import type { Admission, Asked } from './admission.js';
import type { ApiContext } from './api-context.js';
import { demandIntrospection } from './introspection.js';
import { isNestedTooDeep, NESTED_TOO_DEEP, QUERY_LIMITS, queryLimitsRule } from './query-limits.js';

const RULES = [...specifiedRules, queryLimitsRule];

/** What graphql-js executes or subscribes to. The libraries of the transports want a context that is a plain record. */
export type Operation = ExecutionArgs & { readonly contextValue: ApiContext & Record<PropertyKey, unknown> };

/**
 * What the HTTP endpoint does before it executes, for operations that do not come through Apollo Server: bounds, parsing,
 * validation, the scope for questions about the schema.
 */
export function readOperation(
  admission: Admission,
  asked: Asked,
  context: ApiContext,
): Operation | { readonly errors: readonly GraphQLError[] } {
  const { operationName, variables } = asked;
  if (variables !== undefined && variables !== null && (typeof variables !== 'object' || Array.isArray(variables))) {
    return { errors: [new GraphQLError('the variables are not a JSON object')] };
  }
  // Who may not look at the schema is not told what is in it by way of advice either.
  const hideSuggestions = !context.has('read');
  let document: DocumentNode;
  try {
    const read = admission.documentOf(admission.textOf(asked, context.principal), hideSuggestions);
    if ('errors' in read) return read;
    document = read.document;
    demandIntrospection(document, context);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    if (error instanceof GraphQLError) return { errors: [error] };
    return { errors: [new GraphQLError(error.message, { originalError: error })] };
  }
  return {
    schema: admission.schema,
    document,
    ...(typeof operationName === 'string' ? { operationName } : {}),
    variableValues: (variables ?? {}) as Record<string, unknown>,
    contextValue: context as Operation['contextValue'],
    hideSuggestions,
  };
}

/** What is wrong with a document, in one line; null: nothing. */
export function problemOfDocument(schema: GraphQLSchema, text: string): string | null {
  const read = readDocument(schema, text, false);
  if ('document' in read) return null;
  return read.errors
    .slice(0, 3)
    .map(({ message, locations: [place] = [] }) =>
      place === undefined ? message : `${message} (${String(place.line)}:${String(place.column)})`,
    )
    .join('; ')
    .slice(0, 1_000);
}

/** Parses, validates and measures as the HTTP endpoint does. */
export function readDocument(
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
