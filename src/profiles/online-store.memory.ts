import { LRUCache } from 'lru-cache';
import type { Clock } from '../platform/clock.js';
import { TOMBSTONE_MS, type OnlineStore, type Versioned, type VersionedEntry } from './online-store.model.js';

/** About what an entry costs beside its bytes and its key: map slots, objects, Buffer header. */
const ENTRY_OVERHEAD_BYTES = 240;
/** Tombstones kept at most; the oldest go first. */
const MAX_TOMBSTONES = 100_000;

interface Tombstone {
  readonly version: number;
  readonly untilMs: number;
}

/** The online store of a single process: least recently used blobs go when `maxBytes` is reached. */
export class MemoryOnlineStore implements OnlineStore {
  readonly #blobs: LRUCache<string, Versioned>;
  /** Up to this size nothing is about to go, so that reads need not keep the order of use: that takes most of their time. */
  readonly #orderedFromBytes: number;
  /** In order of deletion. Apart from the blobs, so that a crowd of reads cannot evict them. */
  readonly #tombstones = new Map<string, Tombstone>();
  readonly #clock: Clock;
  #evictions = 0;

  constructor(options: { readonly maxBytes: number; readonly clock: Clock }) {
    this.#clock = options.clock;
    this.#orderedFromBytes = options.maxBytes / 2;
    this.#blobs = new LRUCache<string, Versioned>({
      maxSize: options.maxBytes,
      sizeCalculation: ({ bytes }, key) => bytes.length + 2 * key.length + ENTRY_OVERHEAD_BYTES,
      dispose: (_value, _key, reason) => {
        if (reason === 'evict') this.#evictions += 1;
      },
    });
  }

  /** Blobs that were lost to the bound so far. */
  get evictions(): number {
    return this.#evictions;
  }

  get entries(): number {
    return this.#blobs.size;
  }

  /** Bytes in use, estimated. */
  get bytes(): number {
    return this.#blobs.calculatedSize;
  }

  putMany(entries: readonly VersionedEntry[]): Promise<void> {
    const nowMs = this.#clock.now();
    for (const { key, version, bytes } of entries) {
      const current = this.#blobs.peek(key);
      if (current !== undefined && current.version >= version) continue;
      if (this.#tombstones.size > 0 && this.#isDeleted(key, version, nowMs)) continue;
      // One blob larger than the store is not kept; the older one that it replaces must not stay either.
      this.#blobs.set(key, { version, bytes });
    }
    return Promise.resolve();
  }

  getMany(keys: readonly string[]): Promise<(Versioned | null)[]> {
    return Promise.resolve(keys.map((key) => this.getNow(key)));
  }

  getNow(key: string): Versioned | null {
    const blobs = this.#blobs;
    return (blobs.calculatedSize < this.#orderedFromBytes ? blobs.peek(key) : blobs.get(key)) ?? null;
  }

  deleteMany(keys: readonly string[], version: number): Promise<void> {
    const nowMs = this.#clock.now();
    this.#forgetTombstones(nowMs, keys.length);
    for (const key of keys) {
      const current = this.#blobs.peek(key);
      if (current !== undefined && current.version <= version) this.#blobs.delete(key);
      const greatest = Math.max(version, this.#tombstones.get(key)?.version ?? 0);
      this.#tombstones.delete(key);
      this.#tombstones.set(key, { version: greatest, untilMs: nowMs + TOMBSTONE_MS });
    }
    return Promise.resolve();
  }

  #isDeleted(key: string, version: number, nowMs: number): boolean {
    const tombstone = this.#tombstones.get(key);
    return tombstone !== undefined && tombstone.untilMs > nowMs && tombstone.version >= version;
  }

  #forgetTombstones(nowMs: number, room: number): void {
    for (const [key, { untilMs }] of this.#tombstones) {
      if (untilMs > nowMs && this.#tombstones.size + room <= MAX_TOMBSTONES) return;
      this.#tombstones.delete(key);
    }
  }
}
