import type { Queryable } from '../platform/postgres.js';
import type { TraitDefinition } from './trait-definition.model.js';
import { DEFAULT_TRAIT_RULE, type TraitRule } from './trait-rule.model.js';

/** Reads definitions of traits, whose number is bounded where they are written; bound to a pool or to a transaction. */
export class TraitDefinitionReader {
  readonly #db: Queryable;

  constructor(db: Queryable) {
    this.#db = db;
  }

  /** All, by name in the order of its characters. */
  async all(): Promise<TraitDefinition[]> {
    const rows = await this.#db.query<TraitDefinition & { rule: Partial<TraitRule> }>(
      'SELECT name, description, edge, rule FROM trait_definitions ORDER BY name COLLATE "C"',
    );
    return rows.map((row) => ({ ...row, rule: { ...DEFAULT_TRAIT_RULE, ...row.rule } }));
  }
}
