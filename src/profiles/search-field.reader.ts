import type { Queryable } from '../platform/postgres.js';
import { UPDATED_FIELD, type SearchField, type SearchFields } from './search-field.model.js';

/** A field that can be asked for, once every profile is in the index by it. */
export interface StandingField extends SearchField {
  readonly isReady: boolean;
}

/** What of a profile is in the index. */
export interface WrittenFields {
  /** Grows with each field; 0: there is none. */
  readonly version: number;
  /** Null: there is nothing, and nothing to delete either. */
  readonly fields: Omit<SearchFields, 'sealer'> | null;
  readonly features: readonly SearchField[];
}

/** How far the index is built, the newest first. */
export interface SearchBuild {
  readonly version: number;
  readonly profilesTotal: number;
  readonly profilesDone: number;
  readonly createdAt: number;
  /** Null: not yet. */
  readonly finishedAt: number | null;
}

/** Reads by what profiles are found; bound to a pool or to a transaction. */
export class SearchFieldReader {
  readonly #db: Queryable;

  constructor(db: Queryable) {
    this.#db = db;
  }

  /** What the pipeline has to write. */
  async written(): Promise<WrittenFields> {
    const rows = await this.#db.query<SearchField & { isTrait: boolean; retired: boolean; version: number }>(
      `SELECT id, name, sealed, feature IS NULL AS "isTrait", retired, search_version AS version
       FROM search_fields, installation ORDER BY id`,
    );
    const standing = rows.filter(({ retired }) => !retired);
    const fieldsOf = (those: typeof rows): SearchField[] => those.map(({ id, name, sealed }) => ({ id, name, sealed }));
    const [first] = rows;
    if (first === undefined) return { version: 0, fields: null, features: [] };
    return {
      version: standing.length === 0 ? 0 : first.version,
      fields: {
        traits: fieldsOf(standing.filter(({ isTrait, name }) => isTrait && name !== UPDATED_FIELD)),
        updatedId: standing.find(({ isTrait, name }) => isTrait && name === UPDATED_FIELD)?.id ?? null,
      },
      features: fieldsOf(standing.filter(({ isTrait }) => !isTrait)),
    };
  }

  /** The traits that can be asked for, by name, and {@link UPDATED_FIELD}. */
  async standing(): Promise<Map<string, StandingField>> {
    return this.#standing('feature IS NULL');
  }

  /** The features that can be asked for, by name. */
  async standingFeatures(): Promise<Map<string, StandingField>> {
    return this.#standing('feature IS NOT NULL');
  }

  async #standing(condition: string): Promise<Map<string, StandingField>> {
    const rows = await this.#db.query<StandingField>(
      `SELECT id, name, sealed, since_version <= (SELECT min(search_version) FROM partitions) AS "isReady"
       FROM search_fields WHERE NOT retired AND ${condition}`,
    );
    return new Map(rows.map((row) => [row.name, row]));
  }

  async builds(limit: number): Promise<SearchBuild[]> {
    return this.#db.query<SearchBuild>(
      `SELECT version, profiles_total AS "profilesTotal", profiles_done AS "profilesDone", created_at AS "createdAt",
              finished_at AS "finishedAt"
       FROM search_builds ORDER BY version DESC LIMIT $1`,
      [limit],
    );
  }
}
