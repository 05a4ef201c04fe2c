import type { JsonObject } from '../events/event.model.js';
import type { Queryable } from '../platform/postgres.js';
import type { DefinitionKind } from './feature.model.js';

/** One version of a definition. Versions of a name rise by one, also over its removal. */
export interface DefinitionVersion {
  readonly kind: DefinitionKind;
  readonly name: string;
  readonly version: number;
  /** As it was stored; null: with this version it was removed. */
  readonly definition: JsonObject | null;
  /** When it was applied, ms. */
  readonly at: number;
}

/** Reads every version of definitions that there was; bound to a pool or to a transaction. */
export class DefinitionHistoryReader {
  readonly #db: Queryable;

  constructor(db: Queryable) {
    this.#db = db;
  }

  /** The newest first. @param before only versions below this one; null: all */
  async page(kind: DefinitionKind, name: string, before: number | null, limit: number): Promise<DefinitionVersion[]> {
    return this.#db.query(
      `SELECT kind, name, version, definition, at FROM feature_definition_versions
       WHERE kind = $1 AND name = $2 AND ($3::int4 IS NULL OR version < $3) ORDER BY version DESC LIMIT $4`,
      [kind, name, before, limit],
    );
  }

  async version(kind: DefinitionKind, name: string, version: number): Promise<DefinitionVersion | null> {
    const [row] = await this.#db.query<DefinitionVersion>(
      `SELECT kind, name, version, definition, at FROM feature_definition_versions
       WHERE kind = $1 AND name = $2 AND version = $3`,
      [kind, name, version],
    );
    return row ?? null;
  }

  /** The newest version of every name of a kind, of removed ones too. */
  async lastVersions(kind: DefinitionKind): Promise<Map<string, number>> {
    const rows = await this.#db.query<{ name: string; version: number }>(
      'SELECT name, max(version) AS version FROM feature_definition_versions WHERE kind = $1 GROUP BY name',
      [kind],
    );
    return new Map(rows.map(({ name, version }) => [name, version]));
  }
}
