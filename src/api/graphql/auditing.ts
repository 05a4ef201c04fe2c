import {
  getNamedType,
  isCompositeType,
  isInputObjectType,
  isInterfaceType,
  isObjectType,
  Kind,
  type FieldNode,
  type GraphQLField,
  type GraphQLFieldResolver,
  type GraphQLInputType,
  type GraphQLNamedType,
  type GraphQLResolveInfo,
  type GraphQLSchema,
  type SelectionSetNode,
} from 'graphql';
import { WeftError } from '../../platform/errors.js';
import { isUuid } from '../../platform/ids.js';
import { isKey } from '../../platform/key.js';
import { auditActorOf } from '../auth/audit-actor.js';
import type { SelectedData } from './access-note.js';
import type { ApiContext } from './api-context.js';
import { isPersonal } from './personal.js';
import { scopesOf } from './scopes.js';

/*
 * What goes into the audit log is decided here, around the root fields of the schema, whoever executes an operation:
 *
 *  1. Each mutation that needs the scope `admin` is a change, done, refused or failed. What it is of is told by ids and
 *     keys among its arguments and in its result; other arguments may be personal data and are never looked at.
 *  2. A query or subscription that selects fields of a profile, or other personal data, is an access. Which profiles it
 *     came upon is noted as they are read (`Reads`), which fields is told by its selection.
 *  3. Page views are counted by key and minute, which is all that they can be afforded.
 *
 * To be put around everything else, so that what scopes refuse is noted, too.
 */

type Field = GraphQLField<unknown, ApiContext, Readonly<Record<string, unknown>>>;
type Resolve = GraphQLFieldResolver<unknown, ApiContext, Readonly<Record<string, unknown>>>;

/** Of a profile, without telling anything of the person. */
const BARE_FIELDS: ReadonlySet<string> = new Set(['id', 'createdAt', 'asOf', '__typename']);
/** Arguments, not of type `ID`, that name something which is no person. */
const KEY_ARGUMENTS: ReadonlySet<string> = new Set([
  'key',
  'source',
  'segment',
  'model',
  'deleteTrait.name',
  'setFeatureReference.name',
  'removeFeatureReference.name',
  'eraseEntityRecords.entity',
]);
/** Not so long that it could be a phone number. */
const NUMBER = /^\d{1,9}$/;
const MAX_ARGUMENT_DEPTH = 4;
const MAX_TARGETS = 100;

export function auditOperations(schema: GraphQLSchema): void {
  for (const field of fieldsOf(schema.getMutationType())) {
    noteSelection(field);
    if (scopesOf(field).includes('admin')) field.resolve = changing(field, resolverOf(field));
  }
  for (const field of fieldsOf(schema.getQueryType())) {
    if (field.name === 'edgeProfile') field.resolve = viewing(resolverOf(field));
    else noteSelection(field);
  }
  for (const field of fieldsOf(schema.getSubscriptionType())) {
    const { subscribe } = field;
    if (subscribe !== undefined) field.subscribe = noting(subscribe);
  }
}

function fieldsOf(type: ReturnType<GraphQLSchema['getQueryType']>): Field[] {
  return Object.values(type?.getFields() ?? {}) as Field[];
}

function resolverOf({ name, resolve }: Field): Resolve {
  if (resolve === undefined) throw new Error(`${name} has no resolver`);
  return resolve;
}

function viewing(resolve: Resolve): Resolve {
  return (root, args, context, info): unknown => {
    const { principal, services } = context;
    services.audit.viewed('Query.edgeProfile', principal.id, () => auditActorOf(principal));
    return resolve(root, args, context, info);
  };
}

// --- changes --------------------------------------------------------------------------------------------------------

function changing(field: Field, resolve: Resolve): Resolve {
  return async (root, args, context, info): Promise<unknown> => {
    const note = (outcome: string, result: unknown): Promise<void> =>
      context.services.audit.change({
        actor: auditActorOf(context.principal),
        operation: `Mutation.${field.name}`,
        fields: [],
        targets: [...new Set([...targetsOfArguments(field, args), ...targetsOfResult(result)])].slice(0, MAX_TARGETS),
        outcome,
      });
    try {
      const result = await resolve(root, args, context, info);
      await note(outcomeOf(result), result);
      return result;
    } catch (error) {
      await note(error instanceof WeftError ? error.code : 'INTERNAL', null);
      throw error;
    }
  };
}

/** Failures that mutations answer with have a code of the catalogue, what they make has not. */
function outcomeOf(result: unknown): string {
  const { code, message } = (result ?? {}) as { readonly code?: unknown; readonly message?: unknown };
  return typeof code === 'string' && typeof message === 'string' ? code : 'OK';
}

function targetsOfArguments(field: Field, args: Readonly<Record<string, unknown>>): string[] {
  const targets: string[] = [];
  const look = (name: string, type: GraphQLInputType, value: unknown, depth: number): void => {
    const named = getNamedType(type);
    if (Array.isArray(value)) {
      for (const item of value.slice(0, MAX_TARGETS)) look(name, type, item, depth);
    } else if (isInputObjectType(named) && depth < MAX_ARGUMENT_DEPTH) {
      const values = (value ?? {}) as Readonly<Record<string, unknown>>;
      for (const inner of Object.values(named.getFields())) {
        look(inner.name, inner.type, values[inner.name], depth + 1);
      }
    } else if (typeof value === 'string') {
      const isNamed = KEY_ARGUMENTS.has(name) || KEY_ARGUMENTS.has(`${field.name}.${name}`);
      if (named.name === 'ID' ? isId(value) : isNamed && isKey(value)) targets.push(value);
    }
  };
  for (const { name, type } of field.args) look(name, type, args[name], 0);
  return targets;
}

function isId(text: string): boolean {
  return isUuid(text) || NUMBER.test(text);
}

function targetsOfResult(result: unknown): string[] {
  const { id, profileId, key } = (result ?? {}) as Readonly<Record<string, unknown>>;
  const inner = typeof key === 'object' ? targetsOfResult(key) : [];
  return [...[id, profileId].filter((value) => typeof value === 'string' && isUuid(value)), ...inner] as string[];
}

// --- accesses -------------------------------------------------------------------------------------------------------

function noteSelection(field: Field): void {
  field.resolve = noting(resolverOf(field));
}

function noting(resolve: Resolve): Resolve {
  return (root, args, context, info): unknown => {
    const selected = selectedBy(info);
    if (selected.fields.length === 0) return resolve(root, args, context, info);
    context.access.add(selected);
    if (selected.fields.some((name) => name.startsWith('Profile.'))) return resolve(root, args, context, info);
    // Of nobody in particular, as a list of dead letters.
    const shown: unknown = resolve(root, args, context, info);
    context.noteAccess(selected);
    return shown;
  };
}

const selections = new WeakMap<FieldNode, SelectedData>();

/** Computed once for each document; a field that stands several times under one name, each time. */
function selectedBy(info: GraphQLResolveInfo): SelectedData {
  const [first, ...others] = info.fieldNodes;
  if (first === undefined) throw new Error('a field is resolved that nobody asked for');
  let selected = others.length === 0 ? selections.get(first) : undefined;
  if (selected === undefined) {
    const fields = new Set<string>();
    const type = getNamedType(info.returnType);
    for (const { selectionSet } of info.fieldNodes) collect(info, type, selectionSet, fields, new Set());
    selected = { operation: `${info.parentType.name}.${info.fieldName}`, fields: [...fields].sort() };
    if (others.length === 0) selections.set(first, selected);
  }
  return selected;
}

/** The personal data within a selection. What is below a field of a profile is named by that field. */
function collect(
  info: GraphQLResolveInfo,
  type: GraphQLNamedType,
  set: SelectionSetNode | undefined,
  into: Set<string>,
  fragments: Set<string>,
): void {
  for (const selection of set?.selections ?? []) {
    if (selection.kind === Kind.FIELD) {
      const name = selection.name.value;
      if (type.name === 'Profile') {
        if (!BARE_FIELDS.has(name)) into.add(`Profile.${name}`);
        continue;
      }
      if (isPersonal(`${type.name}.${name}`)) into.add(`${type.name}.${name}`);
      const field = isObjectType(type) || isInterfaceType(type) ? type.getFields()[name] : undefined;
      if (field !== undefined) collect(info, getNamedType(field.type), selection.selectionSet, into, fragments);
    } else if (selection.kind === Kind.INLINE_FRAGMENT) {
      collect(info, typeOf(info, selection.typeCondition?.name.value) ?? type, selection.selectionSet, into, fragments);
    } else if (!fragments.has(selection.name.value)) {
      fragments.add(selection.name.value);
      const fragment = info.fragments[selection.name.value];
      const on = typeOf(info, fragment?.typeCondition.name.value) ?? type;
      collect(info, on, fragment?.selectionSet, into, fragments);
    }
  }
}

function typeOf({ schema }: GraphQLResolveInfo, name: string | undefined): GraphQLNamedType | undefined {
  const type = name === undefined ? undefined : schema.getType(name);
  return isCompositeType(type) ? type : undefined;
}
