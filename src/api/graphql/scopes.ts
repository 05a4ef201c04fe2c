import {
  defaultFieldResolver,
  isInterfaceType,
  isIntrospectionType,
  isObjectType,
  type GraphQLField,
  type GraphQLFieldResolver,
  type GraphQLInterfaceType,
  type GraphQLObjectType,
  type GraphQLSchema,
} from 'graphql';
import { getMetadataStorage } from 'type-graphql';
import { API_SCOPES, type ApiScope } from '../auth/api-key.model.js';
import type { ApiContext } from './api-context.js';
import { rejected } from './direct-resolvers.js';

/*
 * Which scope a field needs is said once, by `@Authorized` beside it. From there it becomes a property of the field in
 * the schema, and everything else reads that property: what enforces it, the description, the matrix of the tests.
 *
 *  1. A root field that says nothing cannot be built: what was forgotten is denied.
 *  2. Below a root field, a field needs what the root needed, and what it says itself beyond that.
 *  3. It is enforced around the resolver of the field, so that it does not matter who executes: Apollo, graphql-js,
 *     compiled code, a socket or a stream. `simpleResolvers` and resolvers that are called directly do not escape it.
 */

type Field = GraphQLField<unknown, ApiContext>;
type Resolve = GraphQLFieldResolver<unknown, ApiContext>;

const EXTENSION = 'scopes';

/** The scopes of which a field needs one; empty where its root field says all. */
export function scopesOf(field: Pick<Field, 'extensions'>): readonly ApiScope[] {
  return (field.extensions[EXTENSION] as readonly ApiScope[] | undefined) ?? [];
}

/**
 * Writes the declared scopes into the schema and puts their enforcement around the resolvers.
 * @throws Error for a root field without a scope, and for a scope that there is not
 */
export function enforceScopes(schema: GraphQLSchema): void {
  const declared = declaredScopes();
  const roots = new Set<unknown>([schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()]);
  for (const type of Object.values(schema.getTypeMap())) {
    if (isIntrospectionType(type) || !(isObjectType(type) || isInterfaceType(type))) continue;
    for (const field of Object.values(type.getFields())) {
      const name = `${type.name}.${field.name}`;
      const scopes = declared.get(name) ?? [];
      if (scopes.length > 0) protect(field as Field, type, scopes);
      else if (roots.has(type)) throw new Error(`${name} does not say which scope it needs: add @Authorized`);
    }
  }
}

function protect(field: Field, type: GraphQLObjectType | GraphQLInterfaceType, scopes: readonly ApiScope[]): void {
  field.extensions = { ...field.extensions, [EXTENSION]: scopes };
  field.description = `${field.description ?? ''} Scope: \`${scopes.join('` or `')}\`.`.trim();
  if (isInterfaceType(type)) return;
  field.resolve = demanding(scopes, field.resolve ?? defaultFieldResolver);
  if (field.subscribe !== undefined) field.subscribe = demanding(scopes, field.subscribe);
}

function demanding(scopes: readonly ApiScope[], resolve: Resolve): Resolve {
  return (root, args, context, info): unknown => {
    try {
      context.demand(scopes);
    } catch (error) {
      return rejected(error);
    }
    return resolve(root, args, context, info);
  };
}

/** By `Type.field`, as `@Authorized` says. */
function declaredScopes(): ReadonlyMap<string, readonly ApiScope[]> {
  const { queries, mutations, subscriptions, objectTypes } = getMetadataStorage();
  const fields = [
    ...queries.map(({ schemaName, roles }) => [`Query.${schemaName}`, roles] as const),
    ...mutations.map(({ schemaName, roles }) => [`Mutation.${schemaName}`, roles] as const),
    ...subscriptions.map(({ schemaName, roles }) => [`Subscription.${schemaName}`, roles] as const),
    ...objectTypes.flatMap(({ name, fields: ofType }) =>
      (ofType ?? []).map(({ schemaName, roles }) => [`${name}.${schemaName}`, roles] as const),
    ),
  ];
  return new Map(
    fields.map(([name, roles = []]) => {
      const unknown = (roles as unknown[]).filter((role) => !(API_SCOPES as readonly unknown[]).includes(role));
      if (unknown.length > 0) throw new Error(`${name} needs a scope that there is not: ${unknown.join(', ')}`);
      return [name, roles as ApiScope[]];
    }),
  );
}
