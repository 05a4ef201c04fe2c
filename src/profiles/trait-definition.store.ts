import type { Transaction } from '../platform/postgres.js';
import { isSealed, isSearchable, ruleOf, type RuleChange, type TraitDefinition } from './trait-definition.model.js';
import { storedRule } from './trait-rule.model.js';

/** Writes definitions of traits. */
export class TraitDefinitionStore {
  async save(
    tx: Transaction,
    { name, description, edge, pii = false, ...rest }: TraitDefinition,
    nowMs: number,
  ): Promise<void> {
    await tx.query(
      `INSERT INTO trait_definitions (name, description, edge, updated_at, rule, pii, searchable, sealed)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
       ON CONFLICT (name) DO UPDATE
         SET description = excluded.description, edge = excluded.edge, updated_at = excluded.updated_at,
             rule = excluded.rule, pii = excluded.pii, searchable = excluded.searchable, sealed = excluded.sealed`,
      [
        ...[name, description, edge, nowMs, JSON.stringify(storedRule(ruleOf(rest)))],
        ...[pii, isSearchable(rest), isSealed(rest)],
      ],
    );
  }

  /**
   * Has the anchors that are concerned folded anew; see `trait-refold.store.ts`.
   * @param resealed traits whose values are stored in another form from now on
   */
  async noteRuleChange(
    tx: Transaction,
    changes: readonly RuleChange[],
    nowMs: number,
    resealed: readonly string[] = [],
  ): Promise<void> {
    const names = changes.map(({ name }) => name);
    await tx.query(
      `WITH counted AS (
         UPDATE installation SET trait_rules_version = trait_rules_version + 1 RETURNING trait_rules_version AS version
       )
       INSERT INTO trait_rule_changes (version, names, created_at, resealed) SELECT version, $1, $2, $3 FROM counted`,
      [changes.every(({ isTraced }) => isTraced) ? names : null, nowMs, resealed],
    );
    await tx.query('DELETE FROM trait_conflicts WHERE name = ANY ($1)', [names]);
  }

  /** What was given for it until now does not count any more, from now on and however late it comes. */
  async delete(tx: Transaction, name: string, nowMs: number): Promise<void> {
    await tx.query(
      `INSERT INTO trait_deletions (name, deleted_at) VALUES ($1, $2)
       ON CONFLICT (name) DO UPDATE SET deleted_at = greatest(trait_deletions.deleted_at, excluded.deleted_at)`,
      [name, nowMs],
    );
  }

  async remove(tx: Transaction, names: readonly string[]): Promise<void> {
    if (names.length > 0) await tx.query('DELETE FROM trait_definitions WHERE name = ANY ($1)', [names]);
  }
}
