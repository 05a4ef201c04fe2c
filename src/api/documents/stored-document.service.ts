import type { Clock } from '../../platform/clock.js';
import { WeftError } from '../../platform/errors.js';
import type { Database } from '../../platform/postgres.js';
import { STANDARD_DOCUMENTS } from '../graphql/edge-documents.js';
import {
  DOCUMENT_LIMITS,
  documentId,
  documentName,
  parseDocumentId,
  type StoredDocument,
} from './stored-document.model.js';
import { StoredDocumentStore } from './stored-document.store.js';

/** A document as it stands now. */
export interface CheckedDocument extends StoredDocument {
  /** Why it cannot be executed any more, since the schema changed; null where it can. */
  readonly problem: string | null;
}

export interface StoredDocumentServiceParts {
  readonly db: Database;
  readonly clock: Clock;
  /** What is wrong with a document, by the schema and the limits of queries; null: nothing. */
  readonly problemOf: (text: string) => string | null;
  /** Called after a change: here it is to count at once. */
  readonly changed?: () => Promise<void>;
}

const { maxDocuments, maxTextLength, maxAtOnce } = DOCUMENT_LIMITS;

/** Stores the documents that requests may name. */
export class StoredDocumentService {
  readonly #parts: StoredDocumentServiceParts;
  readonly #store = new StoredDocumentStore();
  readonly #standard: readonly StoredDocument[] = STANDARD_DOCUMENTS.map((text) => ({
    id: documentId(text),
    name: documentName(text),
    text,
    isStandard: true,
    createdAt: null,
  })).sort(byId);

  constructor(parts: StoredDocumentServiceParts) {
    this.#parts = parts;
  }

  /** All, those of our own clients too, by id. */
  async list(): Promise<CheckedDocument[]> {
    const stored = await this.#store.list(this.#parts.db);
    return [...this.#standard, ...stored].sort(byId).map((document) => this.#checked(document));
  }

  /** As `list`, those after an id; only these are looked at. */
  async page(afterId: string | null, limit: number): Promise<CheckedDocument[]> {
    const standard = this.#standard.filter(({ id }) => afterId === null || id > afterId);
    const stored = await this.#store.page(this.#parts.db, afterId, limit);
    const page = [...standard, ...stored].sort(byId).slice(0, limit);
    return page.map((document) => this.#checked(document));
  }

  /**
   * Stores documents, all or none; those that are stored already stay as they are. In the order given.
   * @throws WeftError BAD_REQUEST naming the first that is not valid, or too many
   */
  async store(texts: readonly string[]): Promise<CheckedDocument[]> {
    this.#check(texts);
    const nowMs = this.#parts.clock.now();
    const documents = texts.map((text) => this.#newDocument(text, nowMs));
    const added = documents.filter(({ isStandard }) => !isStandard);
    if (added.length > 0) {
      await this.#parts.db.transaction(async (tx) => {
        await this.#store.touch(tx);
        for (const document of added) await this.#store.insert(tx, document, nowMs);
        const count = await this.#store.count(tx);
        if (count > maxDocuments) {
          throw new WeftError('BAD_REQUEST', `there would be ${String(count)} stored documents`, {
            where: 'documents',
            hint: `at most ${String(maxDocuments)} can be: remove those that no client asks by any more`,
          });
        }
      });
      await this.#parts.changed?.();
    }
    return documents.map((document) => this.#checked(document));
  }

  /** @throws WeftError NOT_FOUND, CONFLICT for a document of our own clients */
  async remove(id: string): Promise<void> {
    const parsed = parseDocumentId(id);
    if (this.#standard.some((document) => document.id === parsed)) {
      throw new WeftError('CONFLICT', "this document is one of Weft's own clients", {
        where: 'id',
        hint: 'leave it: only keys that may ask it anyway can use it',
      });
    }
    const isRemoved =
      parsed !== null &&
      (await this.#parts.db.transaction(async (tx) => {
        await this.#store.touch(tx);
        return this.#store.remove(tx, parsed);
      }));
    if (isRemoved) {
      await this.#parts.changed?.();
      return;
    }
    throw new WeftError('NOT_FOUND', 'there is no stored document with this id', {
      where: 'id',
      hint: 'list the documents; an id is the SHA-256 of a text, with or without sha256: before it',
    });
  }

  #newDocument(text: string, nowMs: number): StoredDocument {
    const id = documentId(text);
    const standard = this.#standard.find((document) => document.id === id);
    return standard ?? { id, name: documentName(text), text, isStandard: false, createdAt: nowMs };
  }

  #checked(document: StoredDocument): CheckedDocument {
    return { ...document, problem: this.#parts.problemOf(document.text) };
  }

  #check(texts: readonly string[]): void {
    if (texts.length === 0 || texts.length > maxAtOnce) {
      throw new WeftError('BAD_REQUEST', `1 to ${String(maxAtOnce)} documents are stored at a time`, {
        where: 'documents',
        hint: 'store them in several calls',
      });
    }
    for (const [i, text] of texts.entries()) {
      const where = `documents[${String(i)}]`;
      if (text.length > maxTextLength) {
        throw new WeftError('BAD_REQUEST', `the document has more than ${String(maxTextLength)} characters`, {
          where,
          hint: 'ask for less in one request',
        });
      }
      const problem = this.#parts.problemOf(text);
      if (problem !== null) {
        throw new WeftError('BAD_REQUEST', `${documentName(text)}: ${problem}`, { where, hint: 'mend the document' });
      }
    }
  }
}

function byId(a: StoredDocument, b: StoredDocument): number {
  return a.id < b.id ? -1 : 1;
}
