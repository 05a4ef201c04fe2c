import type { ExecutionResult } from 'graphql';
import { LRUCache } from 'lru-cache';
import type { CompiledQuery } from 'graphql-jit';
import { isNamed, type Asked } from './asked.model.js';
import type { ApiContext } from './api-context.js';

/*
 * Most requests repeat a query that this process has answered before, with other variables. Apollo Server has parsed and
 * validated its text, the executor has compiled it; what Apollo would do again for each request costs more than the
 * query. So such a request is answered by the compiled query alone.
 *
 *  1. Only a request whose text, operation name and `accept` header are all known is answered here, and only if its
 *     answer has no errors. The text is the one that it was admitted with (see `admission.ts`), by whatever name. Everything else, any doubt included, goes to Apollo, which starts anew: queries only read.
 *  2. What is known was learned from Apollo: a text when Apollo executed it, the type of the answer for an `accept` header
 *     when Apollo chose it.
 *  3. Key and body limit are checked before, scopes by the resolvers; limits of documents depend on the text alone.
 */

/** As for Apollo's documents, which the compiled queries hold on to: see `createApollo`. */
const MAX_TEXT = 1_000_000;
const MAX_QUERIES = 1_000;
const MAX_ACCEPTS = 100;
const MAX_ACCEPT_LENGTH = 500;

export interface WarmQuery {
  readonly compiled: CompiledQuery;
  readonly variables: Readonly<Record<string, unknown>>;
  readonly contentType: string;
}

/** By operation name, null for none; a text has at most as many as operations. */
type Operations = Map<string | null, CompiledQuery>;

/** Queries that can be answered without Apollo Server. */
export class WarmQueries {
  readonly #byText = new LRUCache<string, Operations>({
    max: MAX_QUERIES,
    maxSize: MAX_TEXT,
    sizeCalculation: (_, text) => Math.max(1, text.length),
  });
  readonly #contentTypes = new LRUCache<string, string>({ max: MAX_ACCEPTS });

  /** @param operationName as the request gave it */
  learnQuery(text: string, operationName: string | null, compiled: CompiledQuery): void {
    const operations = this.#byText.get(text);
    if (operations === undefined) this.#byText.set(text, new Map([[operationName, compiled]]));
    else operations.set(operationName, compiled);
  }

  learnContentType(accept: string | undefined, contentType: unknown): void {
    const known = accept ?? '';
    if (typeof contentType === 'string' && known.length <= MAX_ACCEPT_LENGTH) {
      this.#contentTypes.set(known, contentType);
    }
  }

  /**
   * Null: it is for Apollo.
   * @param text what the request was admitted with, by whatever name
   */
  find(text: string, asked: Asked, accept: string | undefined): WarmQuery | null {
    const { operationName = null, variables = null, extensions = null } = asked;
    if (extensions !== null && !isNamed(asked)) return null;
    if (operationName !== null && typeof operationName !== 'string') return null;
    if (variables !== null && !isRecord(variables)) return null;
    const compiled = this.#byText.get(text)?.get(operationName);
    const contentType = this.#contentTypes.get(accept ?? '');
    if (compiled === undefined || contentType === undefined) return null;
    return { compiled, variables: variables ?? {}, contentType };
  }
}

/**
 * The body of the answer, to the byte as Apollo writes it; at once where no resolver waits. Null: Apollo has to answer,
 * with the errors that there are.
 */
export function answerWarm(query: WarmQuery, context: ApiContext): string | null | Promise<string | null> {
  try {
    const result = query.compiled.query(undefined, context, query.variables);
    return result instanceof Promise ? result.then(bodyOf, () => null) : bodyOf(result);
  } catch {
    return null;
  }
}

function bodyOf({ data, errors }: ExecutionResult): string | null {
  return errors === undefined || errors.length === 0 ? `${JSON.stringify({ data })}\n` : null;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
