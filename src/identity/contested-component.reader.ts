import type { Uuid } from '../platform/ids.js';
import type { Queryable } from '../platform/postgres.js';

/** Components that have more evidence than is replayed between two events. */
export class ContestedComponentReader {
  constructor(private readonly db: Queryable) {}

  /** Whether the profile's component is one of them: who is new to it may stand alone until it was resolved. */
  async isContested(profileId: Uuid): Promise<boolean> {
    const rows = await this.db.query(
      `SELECT FROM (SELECT component_id FROM identifiers WHERE profile_id = $1 LIMIT 1) i
       JOIN contested_components k ON k.component_id = i.component_id`,
      [profileId],
    );
    return rows.length > 0;
  }
}
