import type { FastifyRequest } from 'fastify';
import { WeftError } from '../../platform/errors.js';
import type { Asked } from './asked.model.js';

/**
 * What a request asks for, by its body or its query string (GraphQL over HTTP, "Request"). Null for a body that is no
 * request: Apollo Server says what is wrong with it.
 * @throws WeftError BAD_REQUEST for parameters that are not JSON where they have to be, or are given twice
 */
export function askedOverHttp({ method, body, query }: FastifyRequest): Asked | null {
  if (method !== 'GET') return isRecord(body) ? body : null;
  const given = query as Readonly<Record<string, unknown>>;
  return {
    query: onlyOf(given, 'query'),
    operationName: onlyOf(given, 'operationName'),
    documentId: onlyOf(given, 'documentId'),
    variables: jsonOf(given, 'variables'),
    extensions: jsonOf(given, 'extensions'),
  };
}

/** Makes Apollo Server read the text that was admitted, and nothing else by which a document could be named. */
export function rewriteForApollo(request: FastifyRequest, asked: Asked, text: string): void {
  if (request.method !== 'GET') {
    const { documentId: _, extensions: __, ...rest } = asked;
    request.body = { ...rest, query: text };
    return;
  }
  const { operationName, variables } = asked;
  const search = new URLSearchParams({ query: text });
  if (typeof operationName === 'string') search.set('operationName', operationName);
  if (variables !== null) search.set('variables', JSON.stringify(variables));
  request.raw.url = `/graphql?${search.toString()}`;
}

function onlyOf(given: Readonly<Record<string, unknown>>, name: string): string | undefined {
  const value = given[name];
  if (value === undefined || typeof value === 'string') return value;
  throw new WeftError('BAD_REQUEST', `${name} is given more than once`, { where: name, hint: 'give it once' });
}

/** Null for nothing. */
function jsonOf(given: Readonly<Record<string, unknown>>, name: string): unknown {
  const text = onlyOf(given, name) ?? '';
  if (text === '') return null;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw new WeftError('BAD_REQUEST', `${name} is not JSON`, { where: name, hint: 'send a JSON object, URL-encoded' });
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
