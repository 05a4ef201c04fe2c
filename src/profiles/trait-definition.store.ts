import type { Transaction } from '../platform/postgres.js';
import type { TraitDefinition } from './trait-definition.model.js';

/** Writes definitions of traits. */
export class TraitDefinitionStore {
  async save(tx: Transaction, { name, description, edge }: TraitDefinition, nowMs: number): Promise<void> {
    await tx.query(
      `INSERT INTO trait_definitions (name, description, edge, updated_at) VALUES ($1, $2, $3, $4)
       ON CONFLICT (name) DO UPDATE
         SET description = excluded.description, edge = excluded.edge, updated_at = excluded.updated_at`,
      [name, description, edge, nowMs],
    );
  }

  async remove(tx: Transaction, names: readonly string[]): Promise<void> {
    if (names.length > 0) await tx.query('DELETE FROM trait_definitions WHERE name = ANY ($1)', [names]);
  }
}
