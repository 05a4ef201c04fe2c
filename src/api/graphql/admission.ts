import { GraphQLError, type DocumentNode, type GraphQLSchema } from 'graphql';
import { LRUCache } from 'lru-cache';
import { WeftError } from '../../platform/errors.js';
import { hasScope, type Principal } from '../auth/api-key.model.js';
import { documentId } from '../documents/stored-document.model.js';
import { nameOf, type Asked, type DocumentName } from './asked.model.js';
import { readDocument } from './read-document.js';

/*
 * Which documents may be executed for whom. Whatever executes (Apollo Server, compiled queries, sockets, streams) asks
 * here for the text, and takes the parsed document from here:
 *
 *  1. A request names its document by its text, or by its id: `documentId: "sha256:<hex>"` (GraphQL over HTTP, persisted
 *     documents) or `extensions: { persistedQuery: { version: 1, sha256Hash } }` (Apollo's automatic persisted queries).
 *  2. Edge keys, and with `storedOnly` all keys without the scope admin, may only ask by stored documents. That is looked
 *     at for each request; nothing that is remembered here depends on who asked.
 *  3. Others may name what was executed lately by its id. What is not there any more they send again with its text.
 *  4. A document is remembered once it was parsed, validated and measured against the limits of queries.
 */

/** By the length of their texts: a parsed document takes about 50 times that. */
const MAX_ADMITTED_TEXT = 1_000_000;
const MAX_ADMITTED = 1_000;

interface AdmittedDocument {
  readonly text: string;
  readonly document: DocumentNode;
}

export interface AdmissionOptions {
  readonly schema: GraphQLSchema;
  readonly stored: { textOf(id: string): string | undefined };
  /** Keys without the scope admin may only ask by stored documents. */
  readonly storedOnly: boolean;
}

/** The code by which clients know that they have to send the text along. */
export const NOT_PERSISTED = 'PERSISTED_QUERY_NOT_FOUND';

export class Admission {
  readonly #options: AdmissionOptions;
  readonly #admitted = new LRUCache<string, AdmittedDocument>({
    max: MAX_ADMITTED,
    maxSize: MAX_ADMITTED_TEXT,
    sizeCalculation: ({ text }) => Math.max(1, text.length),
  });

  constructor(options: AdmissionOptions) {
    this.#options = options;
  }

  get schema(): GraphQLSchema {
    return this.#options.schema;
  }

  /**
   * The text that a request asks to execute; undefined where it names none, which is for GraphQL to refuse.
   * @throws WeftError BAD_REQUEST for a name that is none, or is not the text's; NOT_FOUND; FORBIDDEN
   * @throws GraphQLError {@link NOT_PERSISTED}
   */
  textOf(asked: Asked, principal: Principal): string | undefined {
    const named = nameOf(asked);
    return named === null ? this.#givenText(asked.query, principal) : this.#namedText(named, asked.query, principal);
  }

  #givenText(query: unknown, principal: Principal): string | undefined {
    if (typeof query !== 'string') return undefined;
    if (!this.#isBound(principal)) return query;
    return this.#options.stored.textOf(documentId(query)) ?? refuse(storedOnly());
  }

  #namedText(named: DocumentName, query: unknown, principal: Principal): string {
    const stored = this.#options.stored.textOf(named.id);
    if (stored !== undefined) return stored;
    if (this.#isBound(principal)) throw typeof query === 'string' && query !== '' ? storedOnly() : notStored();
    // Protocols that demand a text are satisfied with an empty one.
    if (typeof query !== 'string' || query === '') {
      return this.#admitted.get(named.id)?.text ?? refuse(named.isAutomatic ? notPersisted() : notStored());
    }
    if (documentId(query) === named.id) return query;
    throw new WeftError('BAD_REQUEST', 'provided sha does not match query', {
      where: named.where,
      hint: 'send the SHA-256 of the very text',
    });
  }

  /** The document of a text; remembered if it is valid. */
  documentOf(
    text: unknown,
    hideSuggestions: boolean,
  ): { readonly document: DocumentNode } | { readonly errors: readonly GraphQLError[] } {
    const id = typeof text === 'string' ? documentId(text) : '';
    const known = this.#admitted.get(id);
    if (known !== undefined) return known;
    const read = readDocument(this.#options.schema, text, hideSuggestions);
    if ('document' in read) this.#admitted.set(id, { text: text as string, document: read.document });
    return read;
  }

  /** As {@link documentOf} left it; undefined where it is not remembered. */
  knownDocument(id: string): DocumentNode | undefined {
    return this.#admitted.get(id)?.document;
  }

  #isBound(principal: Principal): boolean {
    if (hasScope(principal, 'admin')) return false;
    return this.#options.storedOnly || principal.scopes.includes('edge');
  }
}

function storedOnly(): WeftError {
  return new WeftError('FORBIDDEN', 'this key may only ask by stored documents', {
    where: 'query',
    hint: 'store the document with weft documents add, and name it by its id',
  });
}

function notStored(): WeftError {
  return new WeftError('NOT_FOUND', 'there is no stored document with this id', {
    where: 'documentId',
    hint: 'store it with weft documents add; other processes know it a second later',
  });
}

/** To the letter as Apollo's clients look for it. */
function notPersisted(): GraphQLError {
  return new GraphQLError('PersistedQueryNotFound', { extensions: { code: NOT_PERSISTED } });
}

function refuse(error: Error): never {
  throw error;
}
