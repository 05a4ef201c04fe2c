import type { Transaction } from '../platform/postgres.js';
import { planText, type PlanVersion } from './tracking-plan.model.js';

/** Rows of `tracking_plans`. */
export class PlanStore {
  /** Keeps others from applying a plan to the source until the transaction ends. */
  async lock(tx: Transaction, sourceId: number): Promise<void> {
    await tx.query('SELECT FROM sources WHERE id = $1::int4 FOR NO KEY UPDATE', [sourceId]);
  }

  async insert(tx: Transaction, { sourceId, version, plan, appliedAt, appliedBy }: PlanVersion): Promise<void> {
    await tx.query(
      `INSERT INTO tracking_plans (source_id, version, plan, applied_at, applied_by)
       VALUES ($1::int4, $2::int4, $3::text, $4::int8, $5::text)`,
      [sourceId, version, planText(plan), appliedAt, appliedBy],
    );
  }
}
