import { WeftError } from '../platform/errors.js';
import { GREATEST_ID, LEAST_ID, type Uuid } from '../platform/ids.js';
import type { Queryable } from '../platform/postgres.js';

/** One export under a name. */
export interface ExportRun {
  readonly name: string;
  readonly run: number;
  /** What counts so far: rows of later runs may never have arrived. */
  readonly confirmedRun: number;
  /** When that was, ms; null: never. */
  readonly confirmedAt: number | null;
}

export interface ExportedRow {
  readonly profileId: Uuid;
  /** Null: it is not in the table any more. */
  readonly hash: Buffer | null;
}

/** The hash of no row. */
const FORGOTTEN = Buffer.alloc(0);

/**
 * What was exported under names: rows of `exports` and `export_rows`.
 *
 * A row has what it was and what it is to be once a run is confirmed: its pending hash counts as soon as the run is
 * not later than the confirmed one. So however many rows an export has, confirming it is one small write.
 */
export class ExportedRowStore {
  constructor(private readonly db: Queryable) {}

  /**
   * Forgets what a run left that was never confirmed.
   * @param specHash of what the table is to be
   * @param isAnew whether it may be another one than it was
   * @throws WeftError CONFLICT where it is
   */
  async begin(name: string, specHash: string, isAnew: boolean): Promise<ExportRun> {
    const [known] = await this.db.query<{ specHash: string }>(
      'SELECT spec_hash AS "specHash" FROM exports WHERE name = $1',
      [name],
    );
    if (known !== undefined && known.specHash !== specHash && !isAnew) {
      throw new WeftError('CONFLICT', `the export ${name} had other columns, conditions or another target`, {
        where: '--changes',
        hint: 'leave --changes out once, which exports everything anew, or choose another name',
      });
    }
    const [begun] = await this.db.query<Omit<ExportRun, 'name'>>(
      `INSERT INTO exports (name, spec_hash, begun_run) VALUES ($1, $2, 1)
       ON CONFLICT (name) DO UPDATE SET begun_run = exports.begun_run + 1, spec_hash = excluded.spec_hash
       RETURNING begun_run AS run, confirmed_run AS "confirmedRun", confirmed_at AS "confirmedAt"`,
      [name, specHash],
    );
    if (begun === undefined) throw new WeftError('INTERNAL', 'an export could not be begun');
    const values = [name, begun.confirmedRun];
    await this.db.execute(
      `DELETE FROM export_rows WHERE export = $1
         AND CASE WHEN pending_run > $2 THEN hash ELSE pending_hash END IS NULL`,
      values,
    );
    await this.db.execute(
      'UPDATE export_rows SET pending_hash = hash, pending_run = 0 WHERE export = $1 AND pending_run > $2',
      values,
    );
    return { name, ...begun };
  }

  /** What was exported of those behind one id up to another; null: from the first, to the last. */
  async between(
    { name, confirmedRun }: ExportRun,
    after: Uuid | null,
    upTo: Uuid | null,
  ): Promise<ReadonlyMap<Uuid, Buffer>> {
    const rows = await this.db.query<{ id: Uuid; hash: Buffer }>(
      `SELECT profile_id AS id, CASE WHEN pending_run <= $2 THEN pending_hash ELSE hash END AS hash FROM export_rows
       WHERE export = $1 AND profile_id > $3 AND profile_id <= $4
         AND CASE WHEN pending_run <= $2 THEN pending_hash ELSE hash END IS NOT NULL ORDER BY profile_id`,
      [name, confirmedRun, after ?? LEAST_ID, upTo ?? GREATEST_ID],
    );
    return new Map(rows.map(({ id, hash }) => [id, hash]));
  }

  /** @param isThere whether the rows have arrived; else they count once the run is confirmed */
  async put({ name, run, confirmedRun }: ExportRun, rows: readonly ExportedRow[], isThere: boolean): Promise<void> {
    if (rows.length === 0) return;
    await this.db.execute(
      `INSERT INTO export_rows (export, profile_id, pending_hash, pending_run)
       SELECT $1, id, hash, $4 FROM unnest($2::uuid[], $3::bytea[]) AS t (id, hash)
       ON CONFLICT (export, profile_id) DO UPDATE SET
         hash = CASE WHEN export_rows.pending_run <= $5 THEN export_rows.pending_hash ELSE export_rows.hash END,
         pending_hash = excluded.pending_hash, pending_run = excluded.pending_run`,
      [
        name,
        rows.map(({ profileId }) => profileId),
        rows.map(({ hash }) => hash),
        isThere ? confirmedRun : run,
        confirmedRun,
      ],
    );
  }

  /** @throws WeftError CONFLICT where another export of this name was begun since */
  async confirm({ name, run }: ExportRun, nowMs: number): Promise<void> {
    const confirmed = await this.db.execute(
      'UPDATE exports SET confirmed_run = $2, confirmed_at = $3 WHERE name = $1 AND begun_run = $2',
      [name, run, nowMs],
    );
    if (confirmed === 1) return;
    throw new WeftError('CONFLICT', `another export called ${name} was begun meanwhile`, {
      where: '--name',
      hint: 'run it again once that one has ended; what changed is exported again',
    });
  }

  /**
   * Forgets what was exported of a profile, and of those that there are no more: that they were exported stays, so that
   * the next export tells of it.
   */
  async forget(profileId: Uuid): Promise<void> {
    await this.db.execute(
      `UPDATE export_rows e SET hash = $2, pending_hash = CASE WHEN pending_hash IS NOT NULL THEN $2 END
       WHERE (hash <> $2 OR pending_hash <> $2) AND (
         profile_id = $1
         OR NOT EXISTS (SELECT FROM profiles p WHERE p.id = e.profile_id AND p.merged_into IS NULL)
       )`,
      [profileId, FORGOTTEN],
    );
  }
}
