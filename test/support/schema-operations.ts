import {
  getNamedType,
  isAbstractType,
  isCompositeType,
  isEnumType,
  isInputObjectType,
  isInterfaceType,
  isListType,
  isNonNullType,
  isObjectType,
  isRequiredArgument,
  isRequiredInputField,
  OperationTypeNode,
  type GraphQLCompositeType,
  type GraphQLField,
  type GraphQLInputType,
  type GraphQLSchema,
} from 'graphql';
import type { ApiScope } from '../../src/api/auth/api-key.model.js';
import { scopesOf } from '../../src/api/graphql/scopes.js';

/** An operation that selects one field of one type, by the shortest way from one root field. */
export interface FieldOperation {
  /** `Type.field` */
  readonly field: string;
  readonly kind: OperationTypeNode;
  /** The root field that leads there. */
  readonly root: string;
  readonly text: string;
  /** Each of these lists has to be met by a scope of the key. */
  readonly needs: readonly (readonly ApiScope[])[];
}

/** Literals for arguments by `Type.field.argument`, where not any value of the type would do. */
export type ArgumentLiterals = Readonly<Record<string, string>>;

const SCALARS: Readonly<Record<string, string>> = {
  Int: '1',
  Float: '1',
  Boolean: 'true',
  String: '"a"',
  ID: '"01900000-0000-7000-8000-000000000000"',
  DateTime: '"2026-01-31T12:00:00.000Z"',
  JSON: '{}',
};

/** The smallest literal that is valid for a type. @throws Error for a scalar of which it knows none */
export function minimalLiteral(type: GraphQLInputType): string {
  if (isNonNullType(type)) return minimalLiteral(type.ofType);
  if (isListType(type)) return `[${minimalLiteral(type.ofType)}]`;
  if (isEnumType(type)) return type.getValues()[0]?.name ?? 'null';
  if (isInputObjectType(type)) {
    const fields = Object.values(type.getFields()).filter(isRequiredInputField);
    return `{ ${fields.map((field) => `${field.name}: ${minimalLiteral(field.type)}`).join(', ')} }`;
  }
  const literal = SCALARS[type.name];
  if (literal === undefined) throw new Error(`schema-operations.ts knows no value of the scalar ${type.name}`);
  return literal;
}

interface Step {
  readonly type: GraphQLCompositeType;
  /** Selections from the root to here, each but the last open for one more. */
  readonly path: readonly string[];
  readonly needs: readonly (readonly ApiScope[])[];
}

/** Every field of every type that can be reached, once for each set of scopes that leads to it. */
export function fieldOperations(schema: GraphQLSchema, literals: ArgumentLiterals): FieldOperation[] {
  const shortest = new Map<string, FieldOperation>();
  for (const kind of Object.values(OperationTypeNode)) {
    const rootType = schema.getRootType(kind);
    for (const field of Object.values(rootType?.getFields() ?? {})) {
      const root = `${rootType?.name ?? ''}.${field.name}`;
      for (const operation of operationsBelow(schema, kind, root, field, literals)) {
        const key = `${operation.field} ${JSON.stringify(operation.needs)}`;
        const known = shortest.get(key);
        if (known === undefined || operation.text.length < known.text.length) shortest.set(key, operation);
        // A root field is a cell of its own, however short the way over another.
        if (operation.field === root) shortest.set(root, operation);
      }
    }
  }
  return [...shortest.values()];
}

/** Breadth first, so that the first way to a type is the shortest. */
function* operationsBelow(
  schema: GraphQLSchema,
  kind: OperationTypeNode,
  root: string,
  field: GraphQLField<unknown, unknown>,
  literals: ArgumentLiterals,
): Generator<FieldOperation> {
  const call = fieldCall(root, field, literals);
  const needs = [scopesOf(field)];
  const type = getNamedType(field.type);
  const operation = (name: string, path: readonly string[], needed: Step['needs']): FieldOperation => {
    const text = `${kind} { ${path.join(' { ')}${' }'.repeat(path.length)}`;
    return { field: name, kind, root, text, needs: needed.filter((scopes) => scopes.length > 0) };
  };
  yield operation(root, isCompositeType(type) ? [call, '__typename'] : [call], needs);
  const seen = new Set<string>();
  const queue: Step[] = isCompositeType(type) ? [{ type, path: [call], needs }] : [];
  for (let step = queue.shift(); step !== undefined; step = queue.shift()) {
    if (seen.has(step.type.name)) continue;
    seen.add(step.type.name);
    for (const part of partsOf(schema, step.type)) queue.push({ ...step, type: part, path: [...step.path, on(part)] });
    if (!isObjectType(step.type) && !isInterfaceType(step.type)) continue;
    for (const below of Object.values(step.type.getFields())) {
      const name = `${step.type.name}.${below.name}`;
      const path = [...step.path, fieldCall(name, below, literals)];
      const needed = [...step.needs, scopesOf(below)];
      const next = getNamedType(below.type);
      yield operation(name, isCompositeType(next) ? [...path, '__typename'] : path, needed);
      if (isCompositeType(next)) queue.push({ type: next, path, needs: needed });
    }
  }
}

/** Members of a union, implementations of an interface, interfaces of an object. */
function partsOf(schema: GraphQLSchema, type: GraphQLCompositeType): GraphQLCompositeType[] {
  return isAbstractType(type) ? [...schema.getPossibleTypes(type)] : [...type.getInterfaces()];
}

function on(type: GraphQLCompositeType): string {
  return `... on ${type.name}`;
}

function fieldCall(name: string, field: GraphQLField<unknown, unknown>, literals: ArgumentLiterals): string {
  const given = field.args.flatMap((arg) => {
    const literal = literals[`${name}.${arg.name}`] ?? (isRequiredArgument(arg) ? minimalLiteral(arg.type) : undefined);
    return literal === undefined ? [] : [`${arg.name}: ${literal}`];
  });
  return given.length === 0 ? field.name : `${field.name}(${given.join(', ')})`;
}
