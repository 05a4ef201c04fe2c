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
      'SELECT name, description, edge, pii, searchable, sealed, rule FROM trait_definitions ORDER BY name COLLATE "C"',
    );
    return rows.map((row) => ({ ...row, rule: { ...DEFAULT_TRAIT_RULE, ...row.rule } }));
  }

  /** Names of the traits of which stored values are sealed, or some still may be, since they are being opened. */
  async sealedNames(): Promise<Set<string>> {
    const rows = await this.#db.query<{ name: string }>(
      `SELECT name FROM trait_definitions WHERE sealed
       UNION SELECT unnest(resealed) FROM trait_rule_changes WHERE finished_at IS NULL`,
    );
    return new Set(rows.map(({ name }) => name));
  }

  /** When traits were deleted everywhere, ms, by name. */
  async deletions(): Promise<Map<string, number>> {
    const rows = await this.#db.query<{ name: string; at: number }>(
      'SELECT name, deleted_at AS at FROM trait_deletions',
    );
    return new Map(rows.map(({ name, at }) => [name, at]));
  }

  /** Whether stored values are still to be sealed, or opened, because traits began or ceased to be sealed. */
  async isResealing(): Promise<boolean> {
    const rows = await this.#db.query(
      `SELECT FROM trait_rule_changes WHERE finished_at IS NULL AND resealed <> '{}' LIMIT 1`,
    );
    return rows.length > 0;
  }

  /** Values of another type than declared, by trait, since its rule changed last. */
  async conflicts(): Promise<Map<string, TraitConflictCounts>> {
    const rows = await this.#db.query<TraitConflictCounts & { name: string }>(
      'SELECT name, kept, coerced, refused, last_at AS "lastAt" FROM trait_conflicts',
    );
    return new Map(rows.map(({ name, ...counts }) => [name, counts]));
  }

  /** The newest changes of rules, the newest first; so many. */
  async changes(limit: number): Promise<TraitRuleChange[]> {
    return this.#db.query<TraitRuleChange>(
      `SELECT version, CASE WHEN names IS NOT NULL THEN
                ARRAY(SELECT DISTINCT unnest(names || resealed) ORDER BY 1) END AS names, created_at AS "createdAt", finished_at AS "finishedAt", anchors
       FROM trait_rule_changes ORDER BY version DESC LIMIT $1`,
      [limit],
    );
  }
}

export interface TraitConflictCounts {
  readonly kept: number;
  readonly coerced: number;
  readonly refused: number;
  /** When the last of them was accepted, ms. */
  readonly lastAt: number;
}

/** A change of rules, and how far it is carried out. */
export interface TraitRuleChange {
  readonly version: number;
  /** Traits whose anchors are looked at; null: all anchors are. */
  readonly names: readonly string[] | null;
  readonly createdAt: number;
  /** Null: not yet. */
  readonly finishedAt: number | null;
  /** Anchors whose traits are others now. */
  readonly anchors: number;
}
