import { GraphQLError, parse, specifiedRules, validate, type DocumentNode, type GraphQLSchema } from 'graphql';
import { isNestedTooDeep, NESTED_TOO_DEEP, QUERY_LIMITS, queryLimitsRule } from './query-limits.js';

const RULES = [...specifiedRules, queryLimitsRule];

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
