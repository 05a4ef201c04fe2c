import type { Uuid } from '../platform/ids.js';
import { int8Array, uuidArray } from '../platform/binary-arrays.js';
import type { Transaction } from '../platform/postgres.js';
import { NO_PROFILE } from './component.model.js';

/*
 * Which profile an identifier stood for, from which place of the log on. Most never move: of these there is no row, and
 * what they stand for they have stood for since `first_pos`, `first_at`. The first move writes two rows: what the
 * identifier stood for until then, and what it stands for from there on. Identifiers without `first_at` have a row for
 * their first profile, too.
 */

export interface Assignment {
  readonly identifierId: Uuid;
  readonly profileId: Uuid;
  /** Position in the log. */
  readonly fromPos: number;
  /** ms */
  readonly fromAt: number;
}

/** All assignments of the identifiers in the array `ids` (SQL): a table to select from, with the columns of `assignments`. */
export function assignmentsOf(ids: string): string {
  return `(SELECT a.identifier_id, a.from_pos, a.from_at, a.profile_id FROM unnest(${ids}) AS asked (id)
    CROSS JOIN LATERAL (SELECT * FROM assignments r WHERE r.identifier_id = asked.id OFFSET 0) a
    UNION ALL
    SELECT i.id, i.first_pos, i.first_at, i.profile_id FROM identifiers i
    WHERE i.id = ANY (${ids}) AND i.first_at IS NOT NULL AND ${HAS_NO_ROW}) AS assignments`;
}

/** Looked up one by one: the planner has no statistics of the table, which could outlive an erasure. */
const HAS_NO_ROW = '(SELECT true FROM assignments r WHERE r.identifier_id = i.id LIMIT 1) IS NULL';

/**
 * Writes what identifiers stood for until now where no row says so. To be sent before the identifiers are changed.
 * @param ids those that are about to move
 */
export async function keepFirstAssignments(tx: Transaction, ids: readonly Uuid[]): Promise<void> {
  if (ids.length === 0) return;
  await tx.run({
    name: 'identity-keep-first-assignments',
    text: `INSERT INTO assignments (identifier_id, from_pos, from_at, profile_id)
           SELECT i.id, i.first_pos, i.first_at, i.profile_id FROM identifiers i
           WHERE i.id = ANY ($1::uuid[]) AND i.first_at IS NOT NULL AND i.profile_id <> $2
             AND ${HAS_NO_ROW}`,
    values: [uuidArray(ids, (id) => id), NO_PROFILE],
  });
}

export async function saveAssignments(tx: Transaction, assignments: readonly Assignment[]): Promise<void> {
  if (assignments.length === 0) return;
  await tx.run({
    name: 'identity-save-assignments',
    text: `INSERT INTO assignments (identifier_id, from_pos, from_at, profile_id)
           SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::uuid[])
           ON CONFLICT (identifier_id, from_pos) DO UPDATE SET profile_id = excluded.profile_id`,
    values: [
      uuidArray(assignments, (a) => a.identifierId),
      int8Array(assignments, (a) => a.fromPos),
      int8Array(assignments, (a) => a.fromAt),
      uuidArray(assignments, (a) => a.profileId),
    ],
  });
}
