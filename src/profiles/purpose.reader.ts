import type { Queryable } from '../platform/postgres.js';
import type { PurposeDefinition } from './purpose.model.js';

/** Reads the purposes, whose number is bounded where they are written; bound to a pool or to a transaction. */
export class PurposeReader {
  readonly #db: Queryable;

  constructor(db: Queryable) {
    this.#db = db;
  }

  /** All, by key in the order of its characters. */
  async all(): Promise<PurposeDefinition[]> {
    const rows = await this.#db.query<{ key: string; definition: Omit<PurposeDefinition, 'key'> }>(
      'SELECT key, definition FROM purposes ORDER BY key COLLATE "C"',
    );
    return rows.map(({ key, definition }) => ({ key, ...definition }));
  }

  async keys(): Promise<Set<string>> {
    return new Set((await this.all()).map(({ key }) => key));
  }
}
