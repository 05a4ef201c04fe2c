import type { Uuid } from '../../platform/ids.js';
import type { Transaction } from '../../platform/postgres.js';
import type { ReviewDecision } from './identity-review.model.js';
import type { ScoredCandidates } from './score-candidates.js';

/** Rows of `identity_reviews`: pairs that a person is to look at, and what was decided. */
export class IdentityReviewStore {
  /**
   * Makes the queue what these records make of it: of pairs with an end among them, those that are to be looked at are in
   * it, and no others. What was decided stays.
   */
  async follow(
    tx: Transaction,
    recordIds: readonly Uuid[],
    pairs: readonly ScoredCandidates[],
    {
      version,
      nowMs,
      newId,
    }: { readonly version: string; readonly nowMs: number; readonly newId: (nowMs: number) => Uuid },
  ): Promise<void> {
    const ends = [pairs.map(({ a }) => a), pairs.map(({ b }) => b)];
    await tx.query(
      `DELETE FROM identity_reviews r WHERE (a_id = ANY ($1::uuid[]) OR b_id = ANY ($1::uuid[])) AND status IN ('open', 'skipped')
         AND NOT EXISTS (SELECT FROM unnest($2::uuid[], $3::uuid[]) AS p (a, b) WHERE p.a = r.a_id AND p.b = r.b_id)`,
      [recordIds, ...ends],
    );
    // What was skipped is shown again by another model.
    await tx.query(
      `INSERT INTO identity_reviews AS r (id, a_id, b_id, version, weight, status, opened_at)
       SELECT p.id, p.a, p.b, $5, p.weight, 'open', $6::int8
       FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::float8[]) AS p (id, a, b, weight)
       ON CONFLICT (a_id, b_id) DO UPDATE
         SET weight = excluded.weight, version = excluded.version,
             status = CASE WHEN r.version = excluded.version THEN r.status ELSE 'open' END
         WHERE r.status IN ('open', 'skipped')`,
      [pairs.map(() => newId(nowMs)), ...ends, pairs.map(({ weight }) => weight), version, nowMs],
    );
  }

  /** Takes down what was decided; false if it is not open any more. */
  async decide(
    tx: Transaction,
    id: Uuid,
    decision: { readonly status: ReviewDecision; readonly actor: string; readonly reason: string; readonly at: number },
  ): Promise<boolean> {
    const decided = await tx.execute(
      `UPDATE identity_reviews SET status = $2, decided_by = $3, reason = $4, decided_at = $5
       WHERE id = $1 AND status IN ('open', 'skipped')`,
      [id, decision.status, decision.actor, decision.reason, decision.at],
    );
    return decided > 0;
  }
}
