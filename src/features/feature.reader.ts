import type { Queryable } from '../platform/postgres.js';
import type { EntityDefinition } from './entity.model.js';
import { isOfPeople, type FeatureService, type FeatureView } from './feature.model.js';

export interface StoredFeatureView extends FeatureView {
  readonly version: number;
}

export interface StoredFeatureService extends FeatureService {
  readonly version: number;
}

export interface StoredEntity extends EntityDefinition {
  readonly version: number;
}

type ViewBody = Omit<FeatureView, 'name'>;
type ServiceBody = Omit<FeatureService, 'name'>;

/** Reads feature definitions; bound to a pool or to a transaction. */
export class FeatureReader {
  readonly #db: Queryable;

  constructor(db: Queryable) {
    this.#db = db;
  }

  /** Views of people, by name. */
  async views(): Promise<StoredFeatureView[]> {
    return (await this.allViews()).filter(isOfPeople);
  }

  /** Entities other than people, by name. */
  async entities(): Promise<StoredEntity[]> {
    const rows = await this.#db.query<{ name: string; version: number; definition: Omit<EntityDefinition, 'name'> }>(
      'SELECT name, version, definition FROM feature_entities ORDER BY name',
    );
    return rows.map(({ name, version, definition }) => ({ name, version, ...definition }));
  }

  /** Views of people and of other entities, by name. */
  async allViews(): Promise<StoredFeatureView[]> {
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

  /** How many events the log has accepted so far, removed ones included. */
  async acceptedEvents(): Promise<number> {
    const [head] = await this.#db.query<{ pos: number }>('SELECT pos FROM log_head');
    return head?.pos ?? 0;
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
