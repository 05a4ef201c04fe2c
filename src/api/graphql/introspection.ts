import { BREAK, visit, type DocumentNode } from 'graphql';
import type { ApiContext } from './api-context.js';

/*
 * `__schema` and `__type` are fields that graphql-js adds to every schema; no resolver of ours is around them. So whoever
 * executes a document asks here first.
 */

const known = new WeakMap<DocumentNode, boolean>();

/** Whether it asks about the schema anywhere; fragments that are not used count too. */
export function introspects(document: DocumentNode): boolean {
  let found = known.get(document);
  if (found === undefined) known.set(document, (found = hasIntrospection(document)));
  return found;
}

/** @throws WeftError FORBIDDEN where the document asks about the schema and the key may not read */
export function demandIntrospection(document: DocumentNode, context: ApiContext): void {
  if (introspects(document)) context.demand(['read']);
}

function hasIntrospection(document: DocumentNode): boolean {
  let found = false;
  visit(document, {
    Field({ name }) {
      found ||= name.value === '__schema' || name.value === '__type';
      return found ? BREAK : undefined;
    },
  });
  return found;
}
