import type { Uuid } from './platform/ids.js';
import type { VersionedEntry } from './profiles/online-store.model.js';
import { profileKey } from './segments/profile-snapshot.model.js';

/** A profile as it was written through, packed; see `profile-snapshot.model.ts`. */
export interface SampledProfile {
  readonly bytes: Uint8Array;
  /** When, ms. */
  readonly at: number;
}

/** Profiles that are held until they are taken, at most. */
const MAX_HELD = 256;
const PROFILE_KEY = 'p:';
const NONE: ReadonlySet<Uuid> = new Set();

/**
 * A few of the profiles that batches write through, for whoever looks at values of live traffic aside. Of a batch it keeps
 * one, by turns the first, the second and so on, and nothing is copied: it costs a batch some nanoseconds, and memory for
 * 256 profiles.
 */
export class LiveSample {
  readonly #now: () => number;
  #held: SampledProfile[] = [];
  #turn = 0;
  #missed = 0;

  constructor(now: () => number) {
    this.#now = now;
  }

  /**
   * To be called with what a batch has written through.
   * @param loadedIds profiles that events of loaded history are about: what these did long ago is no live traffic
   */
  offer(entries: readonly VersionedEntry[], loadedIds: ReadonlySet<Uuid> = NONE): void {
    if (loadedIds.size > 0) {
      const loaded = new Set([...loadedIds].map(profileKey));
      this.offer(entries.filter(({ key }) => !loaded.has(key)));
      return;
    }
    if (entries.length === 0) return;
    if (this.#held.length >= MAX_HELD) {
      this.#missed++;
      return;
    }
    this.#turn++;
    const entry = entries[this.#turn % entries.length];
    // Identifiers stand among the profiles; a batch that shows one is left out, like those of which nothing is kept.
    if (entry?.key.startsWith(PROFILE_KEY) === true) this.#held.push({ bytes: entry.bytes, at: this.#now() });
  }

  /** What is held, the oldest first, and how many batches came while there was no room. */
  take(): { readonly profiles: readonly SampledProfile[]; readonly missed: number } {
    const taken = { profiles: this.#held, missed: this.#missed };
    this.#held = [];
    this.#missed = 0;
    return taken;
  }
}
