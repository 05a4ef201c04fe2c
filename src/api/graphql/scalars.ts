import { GraphQLError, GraphQLScalarType, Kind, type ValueNode } from 'graphql';
import type { JsonValue } from '../../events/event.model.js';
import { formatInstant, parseInstant, type InstantPolicy } from '../../platform/instant.js';

const POLICY: InstantPolicy = { date: 'refused', time: 'refused' };

/** In the program a number of ms; on the wire ISO 8601. */
export const DateTime = new GraphQLScalarType<number, string>({
  name: 'DateTime',
  description:
    'An instant, ISO 8601 with milliseconds, in UTC: `2026-01-31T12:00:00.000Z`. Input may have another offset, but must have one.',
  specifiedByURL: 'https://scalars.graphql.org/andimarek/date-time',
  serialize: (value) => formatInstant(value as number),
  parseValue: (value) => instantOf(value),
  parseLiteral: (node) => instantOf(node.kind === Kind.STRING ? node.value : null),
});

function instantOf(value: unknown): number {
  const ms = typeof value === 'string' ? parseInstant(value, POLICY) : Number.NaN;
  if (!Number.isNaN(ms)) return ms;
  throw new GraphQLError('a DateTime is a text like 2026-01-31T12:00:00Z, with its offset from UTC');
}

export const Json = new GraphQLScalarType<JsonValue, JsonValue>({
  name: 'JSON',
  description: 'Any JSON value.',
  specifiedByURL: 'https://www.rfc-editor.org/rfc/rfc8259',
  serialize: (value) => value as JsonValue,
  parseValue: (value) => value as JsonValue,
  parseLiteral: (node, variables) => literalOf(node, variables ?? {}),
});

function literalOf(node: ValueNode, variables: Readonly<Record<string, unknown>>): JsonValue {
  switch (node.kind) {
    case Kind.STRING:
    case Kind.BOOLEAN:
      return node.value;
    case Kind.INT:
    case Kind.FLOAT:
      return Number(node.value);
    case Kind.NULL:
      return null;
    case Kind.LIST:
      return node.values.map((item) => literalOf(item, variables));
    case Kind.OBJECT:
      return Object.fromEntries(node.fields.map((field) => [field.name.value, literalOf(field.value, variables)]));
    case Kind.VARIABLE:
      return (variables[node.name.value] ?? null) as JsonValue;
    case Kind.ENUM:
      throw new GraphQLError(`${node.value} is no JSON: put texts in quotes`, { nodes: [node] });
  }
}
