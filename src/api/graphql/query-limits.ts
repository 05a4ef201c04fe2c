import {
  getNamedType,
  getNullableType,
  GraphQLError,
  isInterfaceType,
  isListType,
  isObjectType,
  Kind,
  type ASTVisitor,
  type FieldNode,
  type GraphQLField,
  type GraphQLInterfaceType,
  type GraphQLNamedType,
  type GraphQLObjectType,
  type SelectionSetNode,
  type ValidationContext,
} from 'graphql';
import { DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE } from './connection.types.js';

/** Bounds of one document. What a query costs beyond that is bounded where it is read. */
export const QUERY_LIMITS = {
  maxTokens: 10_000,
  /** Braces, brackets and parentheses inside one another: the parser calls itself for each. */
  maxNesting: 200,
  /** Fields inside one another; those of introspection have GraphQL's own bound. */
  maxDepth: 14,
  maxRootFields: 20,
  /** `__schema` and `__type`, each of which may list the whole schema. */
  maxIntrospections: 2,
  maxAliases: 100,
  /** Fields in all, fragments counted wherever they are spread. */
  maxFields: 2_000,
  /** Fields of the answer: those inside a list count for each item that it may have. */
  maxAnswerFields: 100_000,
} as const;

/** Items taken for granted in a list that has no page size. */
const ITEMS_OF_LIST = 10;
/** The same for fields under another name, of which an item has as many as the query says. */
const ALIASED_ITEMS_OF_LIST = 500;

interface Size {
  readonly depth: number;
  readonly roots: number;
  readonly introspections: number;
  readonly aliases: number;
  readonly fields: number;
  readonly answerFields: number;
}

const EMPTY: Size = { depth: 0, roots: 0, introspections: 0, aliases: 0, fields: 0, answerFields: 0 };

const NAMES: Readonly<Record<keyof Size, readonly [what: string, max: number]>> = {
  depth: ['levels', QUERY_LIMITS.maxDepth],
  roots: ['root fields', QUERY_LIMITS.maxRootFields],
  introspections: ['introspections', QUERY_LIMITS.maxIntrospections],
  aliases: ['aliases', QUERY_LIMITS.maxAliases],
  fields: ['fields', QUERY_LIMITS.maxFields],
  answerFields: ['fields in its answer, if every page is full', QUERY_LIMITS.maxAnswerFields],
};
const MEASURES = Object.keys(NAMES) as (keyof Size)[];

/** Measures each operation with its fragments expanded, in time linear in the document. */
export function queryLimitsRule(context: ValidationContext): ASTVisitor {
  const schema = context.getSchema();
  const known = new Map<string, Size>();
  const ofFragment = (name: string): Size => {
    const found = known.get(name);
    if (found !== undefined) return found;
    // A fragment within itself is refused by another rule; here it only has to end.
    known.set(name, EMPTY);
    const fragment = context.getFragment(name);
    const type = fragment ? schema.getType(fragment.typeCondition.name.value) : undefined;
    const size = fragment ? measure(fragment.selectionSet, type) : EMPTY;
    known.set(name, size);
    return size;
  };
  const ofField = (field: FieldNode, parent: GraphQLNamedType | undefined): Size => {
    const name = field.name.value;
    const definition = isComposite(parent) ? parent.getFields()[name] : undefined;
    const type = definition === undefined ? undefined : getNamedType(definition.type);
    const below = field.selectionSet ? measure(field.selectionSet, type) : EMPTY;
    const introspects = name === '__schema' || name === '__type';
    return {
      depth: name.startsWith('__') ? 0 : below.depth + 1,
      roots: 1,
      introspections: below.introspections + (introspects ? 1 : 0),
      aliases: below.aliases + (field.alias ? 1 : 0),
      fields: below.fields + 1,
      answerFields: 1 + (definition === undefined ? below.answerFields : inAnswer(field, definition, below)),
    };
  };
  const measure = (set: SelectionSetNode, parent: GraphQLNamedType | undefined): Size => {
    const sum = { ...EMPTY };
    for (const selection of set.selections) {
      let size: Size;
      if (selection.kind === Kind.FRAGMENT_SPREAD) size = ofFragment(selection.name.value);
      else if (selection.kind === Kind.FIELD) size = ofField(selection, parent);
      else {
        const narrowed = selection.typeCondition ? schema.getType(selection.typeCondition.name.value) : parent;
        size = measure(selection.selectionSet, narrowed);
      }
      for (const each of MEASURES)
        sum[each] = each === 'depth' ? Math.max(sum.depth, size.depth) : sum[each] + size[each];
    }
    return sum;
  };
  return {
    OperationDefinition(operation) {
      const size = measure(operation.selectionSet, schema.getRootType(operation.operation) ?? undefined);
      for (const each of MEASURES) {
        const [what, max] = NAMES[each];
        if (size[each] <= max) continue;
        const message = `the operation has ${String(size[each])} ${what}, at most ${String(max)} are allowed`;
        context.reportError(new GraphQLError(message, { nodes: [operation] }));
      }
    },
  };
}

function isComposite(type: GraphQLNamedType | undefined): type is GraphQLObjectType | GraphQLInterfaceType {
  return isObjectType(type) || isInterfaceType(type);
}

/** How many fields below a field its answer may hold. */
function inAnswer(field: FieldNode, { args, type }: GraphQLField<unknown, unknown>, below: Size): number {
  const page = args.find(({ name }) => name === 'first');
  if (page !== undefined) {
    const given = field.arguments?.find(({ name }) => name.value === 'first')?.value;
    const literal =
      given?.kind === Kind.INT ? Math.min(Math.max(Number(given.value), 1), MAX_PAGE_SIZE) : MAX_PAGE_SIZE;
    const standard = typeof page.defaultValue === 'number' ? page.defaultValue : DEFAULT_PAGE_SIZE;
    return below.answerFields * (given === undefined ? standard : literal);
  }
  // The items of a connection are counted by its page size.
  if (field.name.value === 'edges' || !isListType(getNullableType(type))) return below.answerFields;
  return below.answerFields * ITEMS_OF_LIST + below.aliases * (ALIASED_ITEMS_OF_LIST - ITEMS_OF_LIST);
}

/** True for what would exhaust the parser's stack. */
export function isNestedTooDeep(query: string): boolean {
  let depth = 0;
  for (const [token] of query.matchAll(NESTING)) {
    if (token === '{' || token === '[' || token === '(') depth++;
    else if (token === '}' || token === ']' || token === ')') depth--;
    if (depth > QUERY_LIMITS.maxNesting) return true;
  }
  return false;
}

export const NESTED_TOO_DEEP = `the document is nested deeper than ${String(QUERY_LIMITS.maxNesting)} levels`;

/** Brackets of any kind; comments and strings as a whole, for brackets in them count for nothing. Linear: nothing overlaps. */
const NESTING = /[{}[\]()]|#[^\n\r]*|"""(?:[^"\\]|\\[^]|"(?!""))*(?:"""|$)|"(?:[^"\\\n\r]|\\.)*/g;
