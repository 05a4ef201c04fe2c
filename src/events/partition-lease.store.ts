import type { QueryRunner } from 'typeorm';
import { int2Array, int8Array } from '../platform/binary-arrays.js';
import type { Database, Transaction } from '../platform/postgres.js';
import { toSqlError } from '../platform/sql-errors.js';
import { LeaseLost, type Lease } from './partition-lease.model.js';

/*
 * Who may apply which partition of the log.
 *
 * Invariants
 * L1  A partition has one holder at a time. Taking it over raises its epoch; a transaction of the former holder finds
 *     the epoch changed in its first statement and rolls back.
 * L2  That first statement moves the offsets and keeps the rows locked until commit. So effects and offset commit
 *     together, and a takeover waits for a commit under way.
 * L3  Whoever holds every partition excludes every other worker: no other lock is needed then, and what is in memory
 *     stays true between batches.
 *
 * A worker is alive while its session holds an advisory lock: PostgreSQL frees it when the process dies, however it
 * died, so a takeover waits for no timeout and trusts no clock.
 */

/** Class of the advisory locks that mark live workers; any number, the same in each release. */
const WORKER_LOCK_CLASS = 7_729_115;

/** The partitions of one worker. */
export class PartitionLeases {
  readonly #db: Database;
  readonly #worker: number;
  #session: QueryRunner | null = null;
  #held = new Map<number, Lease>();
  #partitions = 0;

  /** @param worker an id no other live worker has, 1…2^31 − 1 */
  constructor(db: Database, worker: number) {
    this.#db = db;
    this.#worker = worker;
  }

  get held(): readonly Lease[] {
    return [...this.#held.values()];
  }

  /** L3. */
  get holdsAll(): boolean {
    return this.#partitions > 0 && this.#held.size === this.#partitions;
  }

  /**
   * Marks this worker alive, takes free partitions up to a fair share and gives back what is beyond it.
   * Call it between batches. Returns true if the set of held partitions changed.
   */
  async refresh(): Promise<boolean> {
    await this.#markAlive();
    const before = [...this.#held.values()].map((l) => `${String(l.part)}@${String(l.epoch)}`).join();
    const { partitions, workers } = await this.#census();
    this.#partitions = partitions;
    const share = Math.ceil(partitions / Math.max(1, workers));
    const surplus = [...this.#held.keys()].slice(share);
    if (surplus.length > 0) await this.#giveBack(surplus);
    await this.#take(share);
    return before !== [...this.#held.values()].map((l) => `${String(l.part)}@${String(l.epoch)}`).join();
  }

  /** Gives everything back, so that another worker need not notice that this one is gone. */
  async close(): Promise<void> {
    const session = this.#session;
    this.#session = null;
    try {
      await this.#giveBack([...this.#held.keys()]);
    } finally {
      // A session that broke is released already and has no lock left.
      if (session?.isReleased === false) {
        await session.query('SELECT pg_advisory_unlock($1, $2)', [WORKER_LOCK_CLASS, this.#worker]).catch(ignore);
        await session.release();
      }
    }
  }

  /**
   * The first statement of every transaction that applies anything: moves the offsets of the held partitions up to
   * `toPos` (null: leaves them) and locks them. Returns the version of the definitions in force.
   * @throws LeaseLost if a partition was taken over, or moved on without this worker knowing.
   */
  async advance(tx: Transaction, toPos: number | null): Promise<number> {
    const leases = this.held;
    const { rows } = await tx.run<{ version: number }>({
      name: 'lease-advance',
      text: `UPDATE partitions p SET applied_pos = greatest(p.applied_pos, $4)
             FROM unnest($1::int2[], $2::int8[], $3::int8[]) AS held (part, epoch, applied_pos)
             WHERE p.part = held.part AND p.epoch = held.epoch AND p.applied_pos = held.applied_pos
             RETURNING (SELECT definitions_version FROM installation) AS version`,
      values: [
        int2Array(leases, (l) => l.part),
        int8Array(leases, (l) => l.epoch),
        int8Array(leases, (l) => l.appliedPos),
        toPos ?? 0,
      ],
    });
    const [row] = rows;
    if (row === undefined || rows.length !== leases.length) {
      this.#held.clear();
      throw new LeaseLost();
    }
    return row.version;
  }

  /** To be told after the commit of a transaction that called `advance`. */
  advanced(toPos: number): void {
    for (const lease of this.#held.values()) {
      this.#held.set(lease.part, { ...lease, appliedPos: Math.max(lease.appliedPos, toPos) });
    }
  }

  /** Every event up to here has been applied, by whichever worker. */
  async appliedEverywhere(): Promise<number> {
    const [row] = await this.#db.query<{ pos: number }>('SELECT min(applied_pos) AS pos FROM partitions');
    return row?.pos ?? 0;
  }

  async #markAlive(): Promise<void> {
    if (this.#session !== null) {
      try {
        await this.#session.query('SELECT 1');
        return;
      } catch {
        // The session is gone and its lock with it: others may have taken over. Start anew.
        await this.#session.release().catch(ignore);
        this.#session = null;
        this.#held.clear();
      }
    }
    const session = this.#db.dataSource.createQueryRunner();
    try {
      await session.connect();
      await session.query('SELECT pg_advisory_lock($1, $2)', [WORKER_LOCK_CLASS, this.#worker]);
    } catch (error) {
      await session.release().catch(ignore);
      throw toSqlError(error);
    }
    this.#session = session;
  }

  async #census(): Promise<{ partitions: number; workers: number }> {
    const [row] = await this.#db.query<{ partitions: number; workers: number }>(
      `SELECT (SELECT count(*) FROM partitions)::int AS partitions, (SELECT count(*) FROM (${LIVE_WORKERS}) w)::int AS workers`,
    );
    if (row === undefined) throw new Error('no answer to a count');
    return row;
  }

  /** Also its own partitions that it lost sight of, as after a commit whose confirmation never came. */
  async #take(share: number): Promise<void> {
    const wanted = share - this.#held.size;
    if (wanted <= 0) return;
    const taken = await this.#db.query<{ part: number; epoch: number; applied_pos: number }>(
      // Materialised: as a plain subquery the planner may run it more than once, and take more than the limit.
      `WITH free AS MATERIALIZED (
         SELECT part FROM partitions
         WHERE holder IS NULL OR (holder = $1 AND part <> ALL ($3::int2[])) OR holder NOT IN (${LIVE_WORKERS})
         ORDER BY part LIMIT $2 FOR UPDATE SKIP LOCKED
       )
       UPDATE partitions p SET holder = $1, epoch = p.epoch + 1 FROM free WHERE p.part = free.part
       RETURNING p.part, p.epoch, p.applied_pos`,
      [this.#worker, wanted, [...this.#held.keys()]],
    );
    for (const { part, epoch, applied_pos: appliedPos } of taken) this.#held.set(part, { part, epoch, appliedPos });
  }

  async #giveBack(parts: readonly number[]): Promise<void> {
    if (parts.length === 0) return;
    await this.#db.query(
      'UPDATE partitions SET holder = NULL, epoch = epoch + 1 WHERE part = ANY ($1) AND holder = $2',
      [parts, this.#worker],
    );
    for (const part of parts) this.#held.delete(part);
  }
}

function ignore(): void {
  // The session ends anyway.
}

const LIVE_WORKERS = `
  SELECT objid::int8 FROM pg_locks
  WHERE locktype = 'advisory' AND classid = ${String(WORKER_LOCK_CLASS)} AND objsubid = 2 AND granted
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`;
