import type { Queryable } from '../../platform/postgres.js';
import { STANDARD_DOCUMENTS } from '../graphql/edge-documents.js';
import { documentId } from './stored-document.model.js';
import { StoredDocumentStore } from './stored-document.store.js';

/**
 * The texts of all stored documents, in memory: their number and lengths are bounded where they are stored, and a request
 * that names one that is not there costs nothing.
 */
export class StoredDocuments {
  readonly #db: Queryable;
  readonly #store = new StoredDocumentStore();
  readonly #standard = new Map(STANDARD_DOCUMENTS.map((text) => [documentId(text), text]));
  #texts: ReadonlyMap<string, string> = this.#standard;
  #version: number | null = null;

  constructor(db: Queryable) {
    this.#db = db;
  }

  /** Undefined: there is none with this id. */
  textOf(id: string): string | undefined {
    return this.#texts.get(id);
  }

  /** To be called with the version that the database has now. */
  async sync(version: number): Promise<void> {
    if (version === this.#version) return;
    const documents = await this.#store.list(this.#db);
    this.#texts = new Map([...documents.map(({ id, text }) => [id, text] as const), ...this.#standard]);
    this.#version = version;
  }
}
