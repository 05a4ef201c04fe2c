import type { Queryable } from '../platform/postgres.js';
import type { TraitDefinition } from './trait-definition.model.js';

/** Reads definitions of traits, whose number is bounded where they are written; bound to a pool or to a transaction. */
export class TraitDefinitionReader {
  readonly #db: Queryable;

  constructor(db: Queryable) {
    this.#db = db;
  }

  /** All, by name in the order of its characters. */
  async all(): Promise<TraitDefinition[]> {
    return this.#db.query<TraitDefinition>(
      'SELECT name, description, edge FROM trait_definitions ORDER BY name COLLATE "C"',
    );
  }
}
