import type { Queryable } from '../platform/postgres.js';
import { EXPIRY_OPERATION, type ActorKind, type AuditKind, type StoredAuditEntry } from './audit-entry.model.js';

/** Which entries; what is left out is not asked for. */
export interface AuditFilter {
  readonly kind?: AuditKind;
  /** Id of an actor. */
  readonly actor?: string;
  readonly operation?: string;
  /** An id or key among the targets. */
  readonly target?: string;
  /** ms, included. */
  readonly sinceMs?: number;
  /** ms, not included. */
  readonly untilMs?: number;
}

interface Row extends Omit<StoredAuditEntry, 'actor'> {
  readonly actorKind: ActorKind;
  readonly actorId: string;
  readonly actorName: string;
}

const COLUMNS = `seq, at, kind, actor_kind AS "actorKind", actor_id AS "actorId", actor_name AS "actorName", operation,
  fields, targets, count, outcome, keyed AS "isKeyed", hash`;

/** Reads the audit log. */
export class AuditLogReader {
  constructor(private readonly db: Queryable) {}

  /** The newest first. @param beforeSeq the place to go on behind; null: from the end */
  async page(filter: AuditFilter, beforeSeq: number | null, limit: number): Promise<StoredAuditEntry[]> {
    const { kind, actor, operation, target, sinceMs, untilMs } = filter;
    const rows = await this.db.query<Row>(
      `SELECT ${COLUMNS} FROM audit_log
       WHERE ($1::bigint IS NULL OR seq < $1) AND ($2::text IS NULL OR kind = $2) AND ($3::text IS NULL OR actor_id = $3)
         AND ($4::text IS NULL OR operation = $4) AND ($5::text[] IS NULL OR targets @> $5)
         AND ($6::bigint IS NULL OR at >= $6) AND ($7::bigint IS NULL OR at < $7)
       ORDER BY seq DESC LIMIT $8`,
      [
        ...[beforeSeq, kind ?? null, actor ?? null, operation ?? null],
        ...[target === undefined ? null : [target], sinceMs ?? null, untilMs ?? null, limit],
      ],
    );
    return rows.map(entryOf);
  }

  /** The oldest first, behind a place. */
  async following(afterSeq: number, limit: number): Promise<StoredAuditEntry[]> {
    const rows = await this.db.query<Row>(`SELECT ${COLUMNS} FROM audit_log WHERE seq > $1 ORDER BY seq LIMIT $2`, [
      afterSeq,
      limit,
    ]);
    return rows.map(entryOf);
  }

  /** The last place that was written; seq 0 for an empty log. */
  async head(): Promise<{ seq: number; hash: Buffer }> {
    const [head] = await this.db.query<{ seq: number; hash: Buffer }>('SELECT seq, hash FROM audit_log_head');
    return head ?? { seq: 0, hash: Buffer.alloc(0) };
  }

  /** The newest entry that says that older ones were removed; null where none ever was. */
  async lastExpiry(): Promise<StoredAuditEntry | null> {
    const [row] = await this.db.query<Row>(
      `SELECT ${COLUMNS} FROM audit_log WHERE operation = $1 AND actor_id = 'weft' ORDER BY seq DESC LIMIT 1`,
      [EXPIRY_OPERATION],
    );
    return row === undefined ? null : entryOf(row);
  }
}

function entryOf({ actorKind, actorId, actorName, ...entry }: Row): StoredAuditEntry {
  return { ...entry, actor: { kind: actorKind, id: actorId, name: actorName } };
}
