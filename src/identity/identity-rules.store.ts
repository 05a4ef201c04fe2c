import type { Transaction } from '../platform/postgres.js';
import type { IdentityRuleSet } from './identity-rules.model.js';
import { storedRulesText } from './stored-identity-rules.js';

/** Writes rules of who is who. */
export class IdentityRulesStore {
  /**
   * Puts rules in force from the next append on: whoever normalised by others is told so by the log, which has one
   * version at each of its positions.
   */
  async insert(
    tx: Transaction,
    version: number,
    rules: IdentityRuleSet,
    { by, nowMs }: { readonly by: string; readonly nowMs: number },
  ): Promise<void> {
    await tx.query(
      'INSERT INTO identity_rules (version, rules, applied_at, applied_by) VALUES ($1::int2, $2, $3::int8, $4)',
      [version, storedRulesText(rules), nowMs, by],
    );
    await tx.query('UPDATE log_head SET identity_rules = $1::int2', [version]);
  }
}
