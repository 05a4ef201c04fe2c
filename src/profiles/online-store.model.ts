/**
 * A store of versioned blobs for reads that must be fast.
 *
 * Deliberately not in the contract: durability (it may lose any entry at any time, by eviction or restart, and is filled
 * again from the system of record), the memory of versions beyond such a loss, iteration, expiry, transactions over
 * several keys, knowledge of what the bytes mean.
 *
 * What every implementation guarantees, for what it has not lost:
 * 1. Of all versions put under a key the greatest stays, whatever order the puts arrive in; one key's put is atomic.
 * 2. A deletion stands against its version and all older ones: they are gone, and do not come back when a put of them
 *    arrives late. A newer version stays, or arrives later as usual. This is remembered for at least
 *    {@link TOMBSTONE_MS}, longer than any write can be under way.
 * 3. `getMany` answers in the order asked; a key asked for twice is answered twice.
 * 4. Its size is bounded: by `maxBytes` in the process, by `maxmemory` in Redis.
 * 5. The caller may not change bytes that it put or got; they are not copied.
 *
 * Failures are WeftErrors: UNAVAILABLE when it cannot be reached. After a failure any part of the call may have happened.
 */
export interface OnlineStore {
  /** Keeps each entry unless a version at least as great is there. A key may occur more than once. */
  putMany(entries: readonly VersionedEntry[]): Promise<void>;
  /** The blob of each key, null where there is none. */
  getMany(keys: readonly string[]): Promise<(Versioned | null)[]>;
  /** As `getMany`, at once; only where blobs are in the memory of this process. */
  getNow?(key: string): Versioned | null;
  /** What it held a moment ago, while it may hold nothing: for whoever would else have nothing at all. */
  getPast?(key: string): Versioned | null;
  /** Takes the keys out; entries of this version or an older one do not come back. */
  deleteMany(keys: readonly string[], version: number): Promise<void>;
}

/** How long a deletion is remembered at least, ms. */
export const TOMBSTONE_MS = 10 * 60_000;

export interface Versioned {
  /** Positive, at most 2^53 − 1. */
  readonly version: number;
  readonly bytes: Buffer;
}

export interface VersionedEntry extends Versioned {
  readonly key: string;
}
