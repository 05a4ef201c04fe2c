import type { Uuid } from '../platform/ids.js';
import type { Queryable } from '../platform/postgres.js';

/** Reads what other modules need to know of loads. */
export class LoadReader {
  constructor(private readonly db: Queryable) {}

  /** Names of the files of loads, without folders. */
  async fileNames(loadIds: readonly Uuid[]): Promise<ReadonlyMap<Uuid, string>> {
    if (loadIds.length === 0) return new Map();
    const rows = await this.db.query<{ id: Uuid; name: string }>(
      'SELECT id, file_name AS name FROM loads WHERE id = ANY ($1::uuid[])',
      [loadIds],
    );
    return new Map(rows.map(({ id, name }) => [id, name]));
  }
}
