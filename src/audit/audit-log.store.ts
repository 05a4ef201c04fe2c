import type { Clock } from '../platform/clock.js';
import type { Database, Transaction } from '../platform/postgres.js';
import { chainHash, EXPIRY_OPERATION, WEFT, type AuditEvent } from './audit-entry.model.js';

/** Entries that one statement removes at most. */
const MAX_EXPIRED = 10_000;

interface Head {
  readonly seq: number;
  readonly at: number;
  readonly hash: Buffer;
}

/** Appends to the audit log, one writer at a time: each entry is chained to the one before it. */
export class AuditLogStore {
  /** @param chainKey null where the installation has no secret */
  constructor(
    private readonly db: Database,
    private readonly clock: Clock,
    private readonly chainKey: Buffer | null,
  ) {}

  /** In the order given. */
  async append(events: readonly AuditEvent[]): Promise<void> {
    if (events.length > 0) await this.db.transaction((tx) => this.#append(tx, events));
  }

  /**
   * Removes the oldest entries from before an instant, and says so in the log, so that the chain can be checked from where
   * it begins now. Some at a time.
   * @returns how many; 0: there are no more
   */
  async expire(beforeMs: number): Promise<number> {
    return this.db.transaction(async (tx) => {
      const { seq: headSeq } = await lockHead(tx);
      const [last] = await tx.query<{ seq: number; hash: Buffer }>(
        `SELECT seq, hash FROM (
           SELECT seq, hash FROM audit_log WHERE at < $1 AND seq < $2 ORDER BY seq LIMIT ${String(MAX_EXPIRED)}
         ) AS oldest ORDER BY seq DESC LIMIT 1`,
        [beforeMs, headSeq],
      );
      if (last === undefined) return 0;
      const [row] = await tx.query<{ removed: number }>('SELECT audit_log_expire($1) AS removed', [last.seq]);
      const count = row?.removed ?? 0;
      const targets = [`seq:${String(last.seq)}`, `hash:${last.hash.toString('hex')}`];
      const what = { kind: 'change', actor: WEFT, operation: EXPIRY_OPERATION, fields: [] } as const;
      await this.#append(tx, [{ ...what, targets, count, outcome: 'OK' }]);
      return count;
    });
  }

  async #append(tx: Transaction, events: readonly AuditEvent[]): Promise<void> {
    const head = await lockHead(tx);
    const at = Math.max(head.at, this.clock.now());
    let { seq, hash } = head;
    const rows = events.map((event) => {
      const entry = { ...event, seq: ++seq, at };
      hash = chainHash(this.chainKey, hash, entry);
      const { actor, ...rest } = entry;
      const actorColumns = { actor_kind: actor.kind, actor_id: actor.id, actor_name: actor.name };
      return { ...rest, ...actorColumns, keyed: this.chainKey !== null, hash: `\\x${hash.toString('hex')}` };
    });
    await tx.execute(
      `INSERT INTO audit_log (seq, at, kind, actor_kind, actor_id, actor_name, operation, fields, targets, count,
                              outcome, keyed, hash)
       SELECT * FROM json_to_recordset($1) AS entry (
         seq bigint, at bigint, kind text, actor_kind text, actor_id text, actor_name text, operation text,
         fields text[], targets text[], count int, outcome text, keyed boolean, hash bytea)`,
      [JSON.stringify(rows)],
    );
    await tx.execute('UPDATE audit_log_head SET seq = $1, at = $2, hash = $3', [seq, at, hash]);
  }
}

async function lockHead(tx: Transaction): Promise<Head> {
  const [head] = await tx.query<Head>('SELECT seq, at, hash FROM audit_log_head FOR UPDATE');
  if (head === undefined) throw new Error('the head of the audit log is gone');
  return head;
}
