import type { Queryable } from '../platform/postgres.js';
import type { FeatureDefinition, FeatureService } from './feature.model.js';

export interface StoredFeatureView {
  readonly name: string;
  readonly version: number;
  readonly description: string;
  readonly source: string | null;
  readonly features: readonly FeatureDefinition[];
  /** What somebody has to allow for these features to be used; left out: nothing. */
  readonly purposes?: readonly string[];
}

export interface StoredFeatureService extends FeatureService {
  readonly version: number;
}

type ViewBody = Pick<StoredFeatureView, 'description' | 'source' | 'features' | 'purposes'>;
type ServiceBody = Pick<FeatureService, 'description' | 'features'>;

/** Reads feature definitions; bound to a pool or to a transaction. */
export class FeatureReader {
  readonly #db: Queryable;

  constructor(db: Queryable) {
    this.#db = db;
  }

  /** All views by name. */
  async views(): Promise<StoredFeatureView[]> {
    const rows = await this.#db.query<{ name: string; version: number; definition: ViewBody }>(
      'SELECT name, version, definition FROM feature_views ORDER BY name',
    );
    return rows.map(({ name, version, definition }) => ({ name, version, ...definition }));
  }

  /** All services by name. */
  async services(): Promise<StoredFeatureService[]> {
    const rows = await this.#db.query<{ name: string; version: number; definition: ServiceBody }>(
      'SELECT name, version, definition FROM feature_services ORDER BY name',
    );
    return rows.map(({ name, version, definition }) => ({ name, version, ...definition }));
  }

  /** Ids of all streams ever made, by key. */
  async streamIds(): Promise<Map<string, number>> {
    const rows = await this.#db.query<{ id: number; key: string }>('SELECT id, key FROM feature_streams');
    return new Map(rows.map((row) => [row.key, row.id]));
  }

  /** Ids of the streams that have seen all of history in every partition. */
  async readyStreams(): Promise<Set<number>> {
    const rows = await this.#db.query<{ stream_id: number }>(
      `SELECT stream_id FROM stream_backfills WHERE done_pos >= since_pos
       GROUP BY stream_id HAVING count(*) = (SELECT count(*) FROM partitions)`,
    );
    return new Set(rows.map((row) => row.stream_id));
  }
}
