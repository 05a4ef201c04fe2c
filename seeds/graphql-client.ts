import { WeftError } from '../src/platform/errors.js';

interface Failure {
  readonly __typename: string;
  readonly message?: string;
  readonly where?: string | null;
  readonly hint?: string | null;
}

interface Answer {
  readonly data?: Record<string, unknown> | null;
  readonly errors?: readonly { readonly message: string; readonly extensions?: { readonly code?: string } }[];
}

const REQUEST_TIMEOUT_MS = 30_000;

/** Talks to a Weft server over HTTP, as any client would. */
export class GraphQLClient {
  readonly #url: string;
  readonly #key: string;

  constructor(baseUrl: string, key: string) {
    this.#url = `${baseUrl}/graphql`;
    this.#key = key;
  }

  /** @throws WeftError if the answer holds errors */
  async query<T>(query: string, variables: Record<string, unknown> = {}): Promise<T> {
    const response = await fetch(this.#url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${this.#key}` },
      body: JSON.stringify({ query, variables }),
      signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
    });
    const answer = (await response.json()) as Answer;
    const [error] = answer.errors ?? [];
    if (error !== undefined) throw new WeftError('INTERNAL', `GraphQL: ${error.message}`);
    return answer.data as T;
  }

  /** A mutation whose fields are result unions. @throws WeftError if one of them is a failure */
  async mutate<T>(query: string, variables: Record<string, unknown> = {}): Promise<T> {
    const data = await this.query<Record<string, Failure>>(query, variables);
    for (const [field, result] of Object.entries(data)) {
      if (!('message' in result)) continue;
      throw new WeftError('DEFINITION_INVALID', `${field}: ${result.message ?? ''}`, {
        ...(typeof result.where === 'string' ? { where: result.where } : {}),
        ...(typeof result.hint === 'string' ? { hint: result.hint } : {}),
      });
    }
    return data as T;
  }
}
