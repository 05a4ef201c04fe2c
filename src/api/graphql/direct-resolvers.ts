import { isObjectType, type GraphQLFieldResolver, type GraphQLSchema } from 'graphql';
import { getMetadataStorage } from 'type-graphql';
import type { ApiContext } from './api-context.js';

/*
 * type-graphql calls a method through a chain of middlewares and gathers each argument through a promise, even where
 * there is no middleware and nothing to validate. On a page's query that is a tenth of the time. So the resolvers of
 * reads are called directly, with the same arguments. Scopes are asked for around them: see `scopes.ts`.
 *
 * Left as they are: mutations and subscriptions, and methods that take something else than root, context and single
 * arguments. Inputs reach the methods as plain objects, which is all that input types are here.
 */

type Metadata = ReturnType<typeof getMetadataStorage>;
type Method = Metadata['queries'][number] | Metadata['fieldResolvers'][number];
type Param = NonNullable<Method['params']>[number];
type Resolve = GraphQLFieldResolver<unknown, ApiContext, Readonly<Record<string, unknown>>>;
type ReadParam = (root: unknown, args: Readonly<Record<string, unknown>>, context: ApiContext) => unknown;

/** Changes the resolvers of a schema that was made by type-graphql without validation and without global middlewares. */
export function resolveReadsDirectly(schema: GraphQLSchema): void {
  const { queries, fieldResolvers } = getMetadataStorage();
  const instances = new Map<unknown, object>();
  const replace = (typeName: string, method: Method): void => {
    const type = schema.getType(typeName);
    const field = isObjectType(type) ? type.getFields()[method.schemaName] : undefined;
    const resolve = directResolver(method, instances);
    if (field !== undefined && resolve !== null) field.resolve = resolve;
  };
  for (const query of queries) replace('Query', query);
  const { objectTypes } = getMetadataStorage();
  for (const method of fieldResolvers) {
    const target = method.getObjectType?.();
    const owner = objectTypes.find((type) => type.target === target);
    if (method.kind === 'external' && owner !== undefined) replace(owner.name, method);
  }
}

/** Null: it has to be called as it is. */
function directResolver(method: Method, instances: Map<unknown, object>): Resolve | null {
  const { target, methodName, middlewares = [], params = [] } = method;
  const readers = [...params].sort((a, b) => a.index - b.index).map(readerOf);
  if (middlewares.length > 0 || !areAll(readers)) return null;
  let instance = instances.get(target);
  if (instance === undefined) instances.set(target, (instance = new (target as new () => object)()));
  const call = (instance as Readonly<Record<string, unknown>>)[methodName];
  if (typeof call !== 'function') return null;
  const bound = call.bind(instance) as (...values: unknown[]) => unknown;
  return (root, args, context) => {
    try {
      return bound(...readers.map((read) => read(root, args, context)));
    } catch (error) {
      return rejected(error);
    }
  };
}

/**
 * What a resolver throws, as a promise. Where one of an item of a list throws, graphql-js leaves the promises of the items
 * before it to themselves: one of them that is refused, too, would end the process.
 */
export function rejected(error: unknown): Promise<never> {
  return Promise.reject(error instanceof Error ? error : new Error(String(error)));
}

function readerOf(param: Param): ReadParam | null {
  switch (param.kind) {
    case 'root':
      return param.getType === undefined && param.propertyName === undefined ? (root) => root : null;
    case 'context':
      return param.propertyName === undefined ? (_root, _args, context) => context : null;
    case 'arg': {
      const { name } = param;
      return (_root, args) => args[name];
    }
    default:
      return null;
  }
}

function areAll(readers: (ReadParam | null)[]): readers is ReadParam[] {
  return readers.every((reader) => reader !== null);
}
