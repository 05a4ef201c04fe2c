import {
  GraphQLError,
  Kind,
  parse,
  specifiedRules,
  validate,
  type ASTVisitor,
  type DocumentNode,
  type FragmentDefinitionNode,
  type GraphQLSchema,
  type SelectionSetNode,
  type ValidationContext,
} from 'graphql';

/** Bounds of one document. What a query costs beyond that is bounded where it is read. */
export const QUERY_LIMITS = {
  maxTokens: 10_000,
  /** Fields inside one another; those of introspection have GraphQL's own bound. */
  maxDepth: 14,
  maxRootFields: 20,
  maxAliases: 100,
  /** Fields in all, fragments counted wherever they are spread. */
  maxFields: 2_000,
} as const;

interface Size {
  readonly depth: number;
  readonly fields: number;
  readonly aliases: number;
}

const EMPTY: Size = { depth: 0, fields: 0, aliases: 0 };

/** Measures each operation with its fragments expanded, in time linear in the document. */
export function queryLimitsRule(context: ValidationContext): ASTVisitor {
  const known = new Map<string, Size>();
  const ofFragment = (name: string): Size => {
    const found = known.get(name);
    if (found !== undefined) return found;
    // A fragment within itself is refused by another rule; here it only has to end.
    known.set(name, EMPTY);
    const fragment: FragmentDefinitionNode | null | undefined = context.getFragment(name);
    const size = fragment ? measure(fragment.selectionSet) : EMPTY;
    known.set(name, size);
    return size;
  };
  const measure = (set: SelectionSetNode): Size => {
    let depth = 0;
    let fields = 0;
    let aliases = 0;
    for (const selection of set.selections) {
      let inner = EMPTY;
      if (selection.kind === Kind.FRAGMENT_SPREAD) inner = ofFragment(selection.name.value);
      else if (selection.kind === Kind.INLINE_FRAGMENT) inner = measure(selection.selectionSet);
      else if (!selection.name.value.startsWith('__')) {
        const { depth: below, ...rest } = selection.selectionSet ? measure(selection.selectionSet) : EMPTY;
        inner = { depth: below + 1, fields: rest.fields + 1, aliases: rest.aliases + (selection.alias ? 1 : 0) };
      }
      depth = Math.max(depth, inner.depth);
      fields += inner.fields;
      aliases += inner.aliases;
    }
    return { depth, fields, aliases };
  };
  return {
    OperationDefinition(operation) {
      const { depth, fields, aliases } = measure(operation.selectionSet);
      const roots = operation.selectionSet.selections.length;
      const report = (what: string, is: number, max: number): void => {
        if (is <= max) return;
        const message = `the operation has ${String(is)} ${what}, at most ${String(max)} are allowed`;
        context.reportError(new GraphQLError(message, { nodes: [operation] }));
      };
      report('levels', depth, QUERY_LIMITS.maxDepth);
      report('root fields', roots, QUERY_LIMITS.maxRootFields);
      report('aliases', aliases, QUERY_LIMITS.maxAliases);
      report('fields', fields, QUERY_LIMITS.maxFields);
    },
  };
}

const RULES = [...specifiedRules, queryLimitsRule];

/** Parses and validates as the HTTP endpoint does. */
export function readDocument(
  schema: GraphQLSchema,
  query: unknown,
): { readonly document: DocumentNode } | { readonly errors: readonly GraphQLError[] } {
  if (typeof query !== 'string') return { errors: [new GraphQLError('there is no query')] };
  try {
    const document = parse(query, { maxLexicalTokens: QUERY_LIMITS.maxTokens });
    const errors = validate(schema, document, RULES);
    return errors.length > 0 ? { errors } : { document };
  } catch (error) {
    if (error instanceof GraphQLError) return { errors: [error] };
    throw error;
  }
}
