/**
 * A store of versioned blobs for reads that must be fast.
 *
 * Deliberately not in the contract: durability (it may lose everything and is filled again from the system of record),
 * iteration, expiry, transactions over several keys, knowledge of what the bytes mean.
 *
 * What every implementation guarantees: of all versions put under a key the greatest stays, whatever order the puts
 * arrive in; `getMany` answers in the order asked.
 */
export interface OnlineStore {
  /** Keeps each entry unless a version at least as great is there. */
  putMany(entries: readonly VersionedEntry[]): Promise<void>;
  /** The blob of each key, null where there is none. */
  getMany(keys: readonly string[]): Promise<(Versioned | null)[]>;
  /** Takes the keys out; entries of this version or an older one do not come back. */
  deleteMany(keys: readonly string[], version: number): Promise<void>;
}

export interface Versioned {
  /** Positive, at most 2^53 − 1. */
  readonly version: number;
  readonly bytes: Buffer;
}

export interface VersionedEntry extends Versioned {
  readonly key: string;
}
