import type { Transaction } from '../platform/postgres.js';
import type { TraitConflict } from './trait-rule.model.js';

/** Counts, by trait, values of another type than declared: one row for each trait that is defined, at most. */
export class TraitConflictStore {
  async count(tx: Transaction, conflicts: readonly TraitConflict[], nowMs: number): Promise<void> {
    const counts = new Map<string, { kept: number; coerced: number; refused: number }>();
    for (const { name, outcome } of conflicts) {
      const count = counts.get(name) ?? { kept: 0, coerced: 0, refused: 0 };
      count[outcome]++;
      counts.set(name, count);
    }
    // In one order everywhere: workers count beside each other.
    const rows = [...counts].sort(([a], [b]) => (a < b ? -1 : 1));
    await tx.query(
      `INSERT INTO trait_conflicts AS c (name, kept, coerced, refused, last_at)
       SELECT *, $5::int8 FROM unnest($1::text[], $2::int8[], $3::int8[], $4::int8[])
       ON CONFLICT (name) DO UPDATE
         SET kept = c.kept + excluded.kept, coerced = c.coerced + excluded.coerced,
             refused = c.refused + excluded.refused, last_at = greatest(c.last_at, excluded.last_at)`,
      [
        rows.map(([name]) => name),
        rows.map(([, { kept }]) => kept),
        rows.map(([, { coerced }]) => coerced),
        rows.map(([, { refused }]) => refused),
        nowMs,
      ],
    );
  }
}
