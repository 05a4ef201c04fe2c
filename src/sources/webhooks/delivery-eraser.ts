import type { InstallationSecret } from '../../platform/installation-secret.js';
import type { Queryable } from '../../platform/postgres.js';
import { deliveryPurpose } from './open-webhook.js';

/** Deliveries opened at a time; each may be a megabyte. */
const DELIVERIES_PER_PAGE = 50;

/** A page of deliveries that was looked through. */
export interface LookedThrough {
  readonly lastId: number;
  readonly removed: number;
}

/** Looks through what webhooks delivered, and deletes for good what names a person. */
export class DeliveryEraser {
  constructor(private readonly secret: InstallationSecret) {}

  /** The deliveries after one, some at a time; null: there are none. What cannot be opened names nobody to anybody. */
  async remove(db: Queryable, afterId: number, names: (text: string) => boolean): Promise<LookedThrough | null> {
    const rows = await db.query<{ id: number; sourceId: number; sealed: Buffer }>(
      `SELECT id, source_id AS "sourceId", sealed FROM webhook_deliveries WHERE id > $1 ORDER BY id LIMIT $2`,
      [afterId, DELIVERIES_PER_PAGE],
    );
    const last = rows.at(-1);
    if (last === undefined) return null;
    const theirs = rows.filter(({ sourceId, sealed }) => {
      const plain = this.secret.open(deliveryPurpose(sourceId), sealed);
      return plain !== null && names(plain.toString('utf8'));
    });
    if (theirs.length > 0) {
      await db.query('DELETE FROM webhook_deliveries WHERE id = ANY ($1::int8[])', [theirs.map(({ id }) => id)]);
    }
    return { lastId: last.id, removed: theirs.length };
  }
}
