import type { Uuid } from '../platform/ids.js';
import type { Database } from '../platform/postgres.js';

/** Of the versions written to an online store under this epoch the greatest; 0 if there is none. */
export type NewestVersion = (epoch: Uuid) => Promise<number>;

/**
 * The name under which this database keeps its entries in an online store that others may use, too, and that outlives it.
 *
 * An online store keeps the greatest version of each entry. A database that was put back to an earlier state draws versions
 * again that the store has seen, and would never be heard. That shows when the store holds a version that the database
 * has not drawn yet: then a new epoch begins, and what was stored under the former one is never read again.
 */
export async function onlineEpoch(db: Database, newestVersion: NewestVersion): Promise<Uuid> {
  return db.transaction(async (tx) => {
    const [row] = await tx.query<{ epoch: Uuid }>('SELECT online_epoch AS epoch FROM installation FOR UPDATE');
    if (row === undefined) throw new Error('the installation has no row');
    // In this order: others draw and publish all the while, and what was published by now was drawn before.
    const newest = await newestVersion(row.epoch);
    const [sequence] = await tx.query<{ drawn: number }>('SELECT last_value AS drawn FROM publish_version');
    if (newest <= (sequence?.drawn ?? 0)) return row.epoch;
    const [renewed] = await tx.query<{ epoch: Uuid }>(
      'UPDATE installation SET online_epoch = gen_random_uuid() RETURNING online_epoch AS epoch',
    );
    return renewed?.epoch ?? row.epoch;
  });
}
