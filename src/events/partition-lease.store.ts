import { int2Array, int8Array } from '../platform/binary-arrays.js';
import type { Database, Queryable, Transaction } from '../platform/postgres.js';
import type { Session } from '../platform/session.js';
import { LIVE_WORKERS, WORKER_LOCK_CLASS } from './live-worker.reader.js';
import {
  EventsMoved,
  LeaseLost,
  STOP_WORKERS,
  WorkersExclude,
  type Lease,
  type LeaseOptions,
} from './partition-lease.model.js';

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
 * L4  A worker that has to be alone is so while its session lasts: it holds a lock exclusively that all others share.
 *     It takes no partition without it, is alone once it holds all, and is told as soon as the session is gone.
 * L5  Whoever has locked all (`lockAll`) may move events from one anchor to another, of whatever partitions, which shows
 *     neither in offsets nor in epochs: it counts up the `moves` of these. So what a holder read of its anchors before its
 *     transaction holds in it if the `moves` of its partitions are what they were before it read.
 *
 * A worker is alive while its session holds an advisory lock: PostgreSQL frees it when the process dies, however it
 * died, so a takeover waits for no timeout and trusts no clock.
 */

/** L4; in the other key space of advisory locks, so that it cannot meet those of `WORKER_LOCK_CLASS`. */
const COMPANY_LOCK = 7_729_116;

/** The partitions of one worker. */
export class PartitionLeases {
  readonly #db: Database;
  readonly #worker: number;
  readonly #options: LeaseOptions;
  #session: Session | null = null;
  #held = new Map<number, Lease>();
  #partitions = 0;
  #isAlone = false;

  /** @param worker an id no other live worker has, 1…2^31 − 1 */
  constructor(db: Database, worker: number, options: LeaseOptions) {
    this.#db = db;
    this.#worker = worker;
    this.#options = options;
  }

  get held(): readonly Lease[] {
    return [...this.#held.values()];
  }

  /** L3. */
  get holdsAll(): boolean {
    return this.#partitions > 0 && this.#held.size === this.#partitions;
  }

  /**
   * Marks this worker alive, and takes no partition yet.
   * @throws WorkersExclude while another worker is at it and one of the two has to be alone
   */
  async join(): Promise<void> {
    if (await this.#answers()) return;
    const session = await this.#db.session(() => {
      this.#left();
    });
    try {
      await this.#takeLocks(session);
    } catch (error) {
      await session.close();
      throw error;
    }
    this.#session = session;
  }

  /**
   * Marks this worker alive, takes free partitions up to a fair share and gives back what is beyond it.
   * Call it between batches. Returns true if the set of held partitions changed.
   * @throws WorkersExclude
   */
  async refresh(): Promise<boolean> {
    await this.join();
    const before = [...this.#held.values()].map((l) => `${String(l.part)}@${String(l.epoch)}`).join();
    const { partitions, workers } = await this.#census();
    this.#partitions = partitions;
    const share = Math.ceil(partitions / Math.max(1, workers));
    const surplus = [...this.#held.keys()].slice(share);
    if (surplus.length > 0) await this.#giveBack(surplus);
    await this.#take(share);
    // Now, not before: with every row seen free under its own lock, nothing that began before can still commit.
    if (this.holdsAll && !this.#isAlone) this.#setAlone(true);
    return before !== [...this.#held.values()].map((l) => `${String(l.part)}@${String(l.epoch)}`).join();
  }

  /** Gives everything back, so that another worker need not notice that this one is gone. */
  async close(): Promise<void> {
    try {
      await this.#giveBack([...this.#held.keys()]);
    } finally {
      await this.#session?.close();
      this.#session = null;
      this.#setAlone(false);
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

  /**
   * After `advance`: keeps every other worker from applying anything until the transaction ends. Where all who are concerned
   * have rows, their locks will do (`lock-components.ts`). Waits for what is under
   * way. Of two workers that do this at once one fails and repeats; so only one should.
   */
  async lockAll(tx: Transaction): Promise<void> {
    if (!this.holdsAll) await tx.query(STOP_WORKERS);
  }

  /** After `lockAll`: events are moved from or to these anchors. L5. */
  async noteMoves(tx: Transaction, anchors: readonly { readonly part: number }[]): Promise<void> {
    await tx.query('UPDATE partitions SET moves = moves + 1 WHERE part = ANY ($1::int2[])', [
      int2Array([...new Set(anchors.map(({ part }) => part))], (part) => part),
    ]);
  }

  /**
   * How often events were moved from or to anchors of the held partitions, in all. To be read before anything else of
   * what a transaction writes over, and handed to `demandUnmoved` in it. L5.
   */
  async moves(db: Queryable): Promise<number> {
    const [row] = await db.query<{ moves: number }>(
      'SELECT coalesce(sum(moves), 0)::int8 AS moves FROM partitions WHERE part = ANY ($1::int2[])',
      [int2Array(this.held, (lease) => lease.part)],
    );
    return row?.moves ?? 0;
  }

  /**
   * After `advance`, which keeps the numbers as they are until the transaction ends.
   * @param moves as they were before what the transaction works with was read
   * @throws EventsMoved where they are others by now
   */
  async demandUnmoved(tx: Transaction, moves: number): Promise<void> {
    if ((await this.moves(tx)) !== moves) throw new EventsMoved();
  }

  /** To be told after the commit of a transaction that called `advance`. */
  advanced(toPos: number): void {
    for (const lease of this.#held.values()) {
      this.#held.set(lease.part, { ...lease, appliedPos: Math.max(lease.appliedPos, toPos) });
    }
  }

  /** Whether the session stands. One that does not answer is given up: what it held may be free already. */
  async #answers(): Promise<boolean> {
    const session = this.#session;
    if (session === null) return false;
    try {
      await session.query('SELECT 1');
      return true;
    } catch {
      session.abandon();
      this.#left();
      return false;
    }
  }

  async #takeLocks(session: Session): Promise<void> {
    const shared = this.#options.onAlone === undefined ? '_shared' : '';
    const [row] = await session.query<{ taken: boolean }>(
      `SELECT pg_try_advisory_lock${shared}(${String(COMPANY_LOCK)}) AS taken`,
    );
    if (row?.taken !== true) throw new WorkersExclude();
    await session.query('SELECT pg_advisory_lock($1, $2)', [WORKER_LOCK_CLASS, this.#worker]);
  }

  /** The session is gone and its locks with it: others may have taken over. */
  #left(): void {
    this.#session = null;
    this.#held.clear();
    this.#setAlone(false);
  }

  #setAlone(isAlone: boolean): void {
    this.#isAlone = isAlone;
    this.#options.onAlone?.(isAlone);
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
    // Who was there first keeps the first ones when others join.
    taken.sort((a, b) => a.part - b.part);
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
