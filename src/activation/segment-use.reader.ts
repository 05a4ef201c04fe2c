import type { Queryable } from '../platform/postgres.js';
import type { FilterUse } from '../segments/merge-proposal.model.js';

/** Reads whose filters of the feed name segments: webhook endpoints and durable subscriptions, bounded in number. */
export class SegmentUseReader {
  constructor(private readonly db: Queryable) {}

  async filters(): Promise<FilterUse[]> {
    return this.db.query<FilterUse>(
      `SELECT kind, key, ARRAY(SELECT jsonb_array_elements_text(filter -> 'segments')) AS segments FROM (
         SELECT 'webhook' AS kind, key, filter FROM webhook_endpoints
         UNION ALL SELECT 'subscription', key, filter FROM change_subscriptions
       ) f WHERE jsonb_typeof(filter -> 'segments') = 'array' ORDER BY kind DESC, key COLLATE "C"`,
    );
  }
}
