import {
  getNamedType,
  Kind,
  parse,
  type DocumentNode,
  type FieldNode,
  type GraphQLSchema,
  type SelectionSetNode,
} from 'graphql';
import { QUERY_LIMITS } from '../../src/api/graphql/query-limits.js';
import { fieldsOf, type HostileRequest } from './hostile-requests.js';

/* Whether a server bore what was made to break it. */

export interface Answer {
  readonly status: number;
  readonly text: string;
}

interface Size {
  fields: number;
  aliases: number;
  roots: number;
  depth: number;
}

/** By brute force, fragments written out wherever they are spread; it gives up once any bound is passed. */
function isOverCost(schema: GraphQLSchema, document: DocumentNode): boolean {
  const fragments = new Map(
    document.definitions.flatMap((definition) =>
      definition.kind === Kind.FRAGMENT_DEFINITION ? [[definition.name.value, definition] as const] : [],
    ),
  );
  const size: Size = { fields: 0, aliases: 0, roots: 0, depth: 0 };
  const isOver = (): boolean =>
    size.fields > QUERY_LIMITS.maxFields ||
    size.aliases > QUERY_LIMITS.maxAliases ||
    size.roots > QUERY_LIMITS.maxRootFields ||
    size.depth > QUERY_LIMITS.maxDepth;
  const field = (node: FieldNode, parent: unknown, depth: number): void => {
    const isMeta = node.name.value.startsWith('__');
    size.fields++;
    if (node.alias) size.aliases++;
    if (depth === 1) size.roots++;
    if (!isMeta) size.depth = Math.max(size.depth, depth);
    const type = fieldsOf(parent)[node.name.value]?.type;
    if (node.selectionSet && !isMeta) walk(node.selectionSet, type && getNamedType(type), depth + 1);
  };
  const walk = (set: SelectionSetNode, parent: unknown, depth: number): void => {
    for (const selection of set.selections) {
      if (isOver()) return;
      if (selection.kind === Kind.FIELD) field(selection, parent, depth);
      else if (selection.kind === Kind.INLINE_FRAGMENT) {
        walk(selection.selectionSet, schema.getType(selection.typeCondition?.name.value ?? '') ?? parent, depth);
      } else {
        const fragment = fragments.get(selection.name.value);
        if (fragment) walk(fragment.selectionSet, schema.getType(fragment.typeCondition.name.value), depth);
      }
    }
  };
  return document.definitions.some((definition) => {
    if (definition.kind !== Kind.OPERATION_DEFINITION) return false;
    Object.assign(size, { fields: 0, aliases: 0, roots: 0, depth: 0 });
    walk(definition.selectionSet, schema.getRootType(definition.operation), 1);
    return isOver();
  });
}

function fieldsInAnswer(value: unknown): number {
  if (Array.isArray(value)) return value.reduce<number>((sum, item) => sum + fieldsInAnswer(item), 0);
  if (typeof value !== 'object' || value === null) return 0;
  const values = Object.values(value);
  return values.reduce<number>((sum, item) => sum + fieldsInAnswer(item), values.length);
}

/** What is wrong with an answer; null if nothing is. */
export function complaint(
  schema: GraphQLSchema,
  { query }: Pick<HostileRequest, 'query'>,
  { status, text }: Answer,
): string | null {
  if (status >= 500) return `status ${status}`;
  const { data, errors = [] } = JSON.parse(text) as {
    data?: unknown;
    errors?: { message: string; extensions?: { code?: string; errorId?: string } }[];
  };
  if (errors.some(({ extensions }) => extensions?.code === 'INTERNAL' || extensions?.errorId))
    return 'an internal error';
  if (errors.some(({ message }) => message.length > 600)) return 'an error as long as what it quotes';
  if (data === undefined || query === null) return null;
  if (fieldsInAnswer(data) > QUERY_LIMITS.maxAnswerFields) return 'an answer that is too large';
  return isOverCost(schema, parse(query)) ? 'executed over its cost' : null;
}
