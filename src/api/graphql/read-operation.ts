import { GraphQLError, type DocumentNode, type ExecutionArgs } from 'graphql';
import type { Admission } from './admission.js';
import type { Asked } from './asked.model.js';
import type { ApiContext } from './api-context.js';
import { demandIntrospection } from './introspection.js';

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
