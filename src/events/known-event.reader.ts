import { uuidArray } from '../platform/binary-arrays.js';
import type { Uuid } from '../platform/ids.js';
import type { Queryable } from '../platform/postgres.js';

/** Reads which events the log has. */
export class KnownEventReader {
  constructor(private readonly db: Queryable) {}

  /** @param dedupeIds as of `dedupeIdOf` */
  async known(dedupeIds: readonly Uuid[]): Promise<ReadonlySet<Uuid>> {
    const { rows } = await this.db.run<{ id: Uuid }>({
      name: 'event_log_known',
      text: 'SELECT dedupe_id AS id FROM event_log WHERE dedupe_id = ANY ($1::uuid[])',
      values: [uuidArray(dedupeIds, (id) => id)],
    });
    return new Set(rows.map(({ id }) => id));
  }
}
