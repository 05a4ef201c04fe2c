import { STOP_WORKERS } from '../events/partition-lease.model.js';
import { GREATEST_ID, type Uuid } from '../platform/ids.js';
import { touchDefinitions } from '../platform/installation.js';
import type { Queryable, Transaction } from '../platform/postgres.js';
import {
  FIRST_RETRY_MS,
  MAX_REVISION_FAILURES,
  type IdentityRevisionRecord,
  type RevisionFailure,
  type RevisionInputOf,
  type RevisionKind,
  type RevisionResult,
} from './identity-revision.model.js';

const FIELDS = `id, kind, input, actor, reason, created_at AS "createdAt", status, failures, failure, result,
  steps_done AS "stepsDone", steps_total AS "stepsTotal", place, finished_at AS "finishedAt"`;

type NewRevision = RevisionInputOf & Pick<IdentityRevisionRecord, 'id' | 'actor' | 'reason' | 'createdAt'>;

/** Rows of `identity_revisions`. */
export class IdentityRevisionStore {
  async insert(tx: Queryable, { id, kind, input, actor, reason, createdAt }: NewRevision): Promise<void> {
    await tx.query(
      `INSERT INTO identity_revisions (id, kind, input, actor, reason, created_at, status)
       VALUES ($1, $2, $3, $4, $5, $6, 'waiting')`,
      [id, kind, JSON.stringify(input), actor, reason, createdAt],
    );
  }

  /** Takes down what was done in the same transaction. */
  async insertDone(tx: Transaction, revision: NewRevision, result: RevisionResult): Promise<void> {
    await tx.query(
      `INSERT INTO identity_revisions
         (id, kind, input, actor, reason, created_at, status, result, steps_done, steps_total, finished_at)
       VALUES ($1, $2, $3, $4, $5, $6, 'done', $7, 1, 1, $6)`,
      [
        revision.id,
        revision.kind,
        JSON.stringify(revision.input),
        revision.actor,
        revision.reason,
        revision.createdAt,
        JSON.stringify(result),
      ],
    );
  }

  /** Whether one of a value waits or runs. */
  async isOpenFor(db: Queryable, valueId: Uuid): Promise<boolean> {
    const rows = await db.query(
      `SELECT FROM identity_revisions WHERE kind = 'generic' AND status IN ('waiting', 'running')
         AND input -> 'ids' ? $1::text LIMIT 1`,
      [valueId],
    );
    return rows.length > 0;
  }

  /** @param kind those of it alone; default: all */
  async countOpen(db: Queryable, kind: RevisionKind | null = null): Promise<number> {
    const [row] = await db.query<{ n: number }>(
      `SELECT count(*) AS n FROM identity_revisions
       WHERE status IN ('waiting', 'running') AND ($1::text IS NULL OR kind = $1)`,
      [kind],
    );
    return row?.n ?? 0;
  }

  /**
   * Makes every worker look for links from now on. Profiles need not be evaluated anew because of that: those that are
   * as the definitions before say are as these say.
   */
  async expectLinks(tx: Transaction): Promise<void> {
    const [row] = await tx.query<{ isExpected: boolean; version: number }>(
      `SELECT has_identity_links AS "isExpected", definitions_version AS version FROM installation`,
    );
    if (row === undefined || row.isExpected) return;
    await tx.query(STOP_WORKERS);
    await tx.query('UPDATE installation SET has_identity_links = true');
    const version = await touchDefinitions(tx);
    await tx.query('UPDATE partitions SET swept_version = $1 WHERE swept_version = $1 - 1', [version]);
  }

  async openOfRules(db: Queryable): Promise<IdentityRevisionRecord | null> {
    const [row] = await db.query<IdentityRevisionRecord>(
      `SELECT ${FIELDS} FROM identity_revisions WHERE kind = 'rules' AND status IN ('waiting', 'running')
       ORDER BY created_at, id LIMIT 1`,
    );
    return row ?? null;
  }

  async find(db: Queryable, id: Uuid): Promise<IdentityRevisionRecord | null> {
    const [row] = await db.query<IdentityRevisionRecord>(`SELECT ${FIELDS} FROM identity_revisions WHERE id = $1`, [
      id,
    ]);
    return row ?? null;
  }

  /** The newest first; those before a place. */
  async page(
    db: Queryable,
    before: Pick<IdentityRevisionRecord, 'createdAt' | 'id'> | null,
    limit: number,
  ): Promise<IdentityRevisionRecord[]> {
    return db.query<IdentityRevisionRecord>(
      `SELECT ${FIELDS} FROM identity_revisions WHERE (created_at, id) < ($1::int8, $2::uuid)
       ORDER BY created_at DESC, id DESC LIMIT $3`,
      [before?.createdAt ?? Number.MAX_SAFE_INTEGER, before?.id ?? GREATEST_ID, limit],
    );
  }

  /**
   * The one to go on with now; null if there is none. The oldest first, but those of whole installations after all
   * others, also after generic values that wait; of the rest, one that failed or was deferred lets others go first.
   */
  async next(db: Queryable, nowMs: number): Promise<IdentityRevisionRecord | null> {
    const { rows } = await db.run<IdentityRevisionRecord>({
      name: 'identity-revisions-next',
      text: `SELECT ${FIELDS} FROM identity_revisions WHERE status IN ('waiting', 'running') AND retry_at <= $1::int8
               AND (kind <> 'rules' OR NOT EXISTS (
                 SELECT FROM identity_revisions g WHERE g.status IN ('waiting', 'running') AND g.kind = 'generic'
               ))
             ORDER BY kind = 'rules', created_at, id LIMIT 1`,
      values: [nowMs],
    });
    return rows[0] ?? null;
  }

  /**
   * Notes that a step is behind it.
   * @param step.place where the next one goes on; null: there is none
   * @param step.failure where that was the last one: why not all went well; default: all did
   */
  async advance(
    tx: Queryable,
    id: Uuid,
    step: {
      readonly result: RevisionResult;
      readonly stepsDone: number;
      readonly stepsTotal: number | null;
      readonly place: string | null;
      readonly nowMs: number;
      readonly failure?: RevisionFailure | null;
    },
  ): Promise<void> {
    const { failure = null } = step;
    await tx.query(
      `UPDATE identity_revisions
       SET status = CASE WHEN $5::text IS NOT NULL THEN 'running' WHEN $7::jsonb IS NULL THEN 'done' ELSE 'failed' END, result = $2, steps_done = $3, steps_total = $4,
           place = $5, finished_at = CASE WHEN $5::text IS NULL THEN $6::int8 END, failures = 0, retry_at = 0, failure = $7
       WHERE id = $1`,
      [
        id,
        JSON.stringify(step.result),
        step.stepsDone,
        step.stepsTotal,
        step.place,
        step.nowMs,
        failure === null ? null : JSON.stringify(failure),
      ],
    );
  }

  /** Puts it off, because it has to wait: others go first until then. Not a failure. */
  async defer(db: Queryable, id: Uuid, untilMs: number): Promise<void> {
    await db.query(`UPDATE identity_revisions SET retry_at = $2 WHERE id = $1 AND status IN ('waiting', 'running')`, [
      id,
      untilMs,
    ]);
  }

  /** Notes that a step failed: it is tried again a few times where that may help, or given up. */
  async fail(
    db: Queryable,
    id: Uuid,
    { failure, isFinal, nowMs }: { failure: RevisionFailure; isFinal: boolean; nowMs: number },
  ): Promise<void> {
    await db.query(
      `UPDATE identity_revisions
       SET failures = failures + 1, failure = $2, retry_at = $3::int8 + $4::int8 * (2 ^ failures)::int8,
           status = CASE WHEN $6 OR failures + 1 >= $5::int4 THEN 'failed' ELSE status END,
           finished_at = CASE WHEN $6 OR failures + 1 >= $5::int4 THEN $3::int8 END
       WHERE id = $1 AND status IN ('waiting', 'running')`,
      [id, JSON.stringify(failure), nowMs, FIRST_RETRY_MS, MAX_REVISION_FAILURES, isFinal],
    );
  }
}
