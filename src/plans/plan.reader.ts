import type { Queryable } from '../platform/postgres.js';
import type { PlanVersion, TrackingPlan } from './tracking-plan.model.js';

interface Row {
  readonly sourceId: number;
  readonly version: number;
  readonly plan: string;
  readonly appliedAt: number;
  readonly appliedBy: string;
}

const COLUMNS = `source_id AS "sourceId", version, plan, applied_at AS "appliedAt", applied_by AS "appliedBy"`;

/** Reads tracking plans. */
export class PlanReader {
  constructor(private readonly db: Queryable) {}

  /** The plan in force; null: the source has none. */
  async current(sourceId: number): Promise<PlanVersion | null> {
    return (await this.currentOf([sourceId])).get(sourceId) ?? null;
  }

  /** Plans in force, by id of their source. */
  async currentOf(sourceIds: readonly number[]): Promise<ReadonlyMap<number, PlanVersion>> {
    const rows = await this.db.query<Row>(
      `SELECT DISTINCT ON (source_id) ${COLUMNS} FROM tracking_plans WHERE source_id = ANY ($1::int4[])
       ORDER BY source_id, version DESC`,
      [sourceIds],
    );
    return new Map(rows.map((row) => [row.sourceId, versionOf(row)]));
  }

  async version(sourceId: number, version: number): Promise<PlanVersion | null> {
    const [row] = await this.db.query<Row>(
      `SELECT ${COLUMNS} FROM tracking_plans WHERE source_id = $1::int4 AND version = $2::int4`,
      [sourceId, version],
    );
    return row === undefined ? null : versionOf(row);
  }

  /**
   * Versions of one source, the newest first.
   * @param before only versions before this one
   */
  async versions(sourceId: number, before: number, limit: number): Promise<readonly PlanVersion[]> {
    const rows = await this.db.query<Row>(
      `SELECT ${COLUMNS} FROM tracking_plans WHERE source_id = $1::int4 AND version < $2::int4
       ORDER BY version DESC LIMIT $3::int4`,
      [sourceId, before, limit],
    );
    return rows.map(versionOf);
  }

  /** The version in force of every source that has a plan, by id of the source. */
  async currentVersions(): Promise<ReadonlyMap<number, number>> {
    const rows = await this.db.query<{ id: number; version: number }>(
      'SELECT source_id AS id, max(version) AS version FROM tracking_plans GROUP BY source_id',
    );
    return new Map(rows.map(({ id, version }) => [id, version]));
  }
}

function versionOf({ plan, ...row }: Row): PlanVersion {
  return { ...row, plan: JSON.parse(plan) as TrackingPlan };
}
