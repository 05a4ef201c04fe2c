import type { PreparedEvent } from '../events/event-log.model.js';
import { KnownEventReader } from '../events/known-event.reader.js';
import type { Uuid } from '../platform/ids.js';
import type { Queryable } from '../platform/postgres.js';
import type { ForecastPeople } from './load.model.js';

/** Of events: whose people are followed. What is held is a few ids of each. */
export const MAX_FORECAST_EVENTS = 200_000;

/** Whom identifiers stand for; those that were never seen are left out. */
export interface IdentityLookup {
  identifiers(db: Queryable, ids: readonly Uuid[]): Promise<readonly { readonly id: Uuid; readonly profileId: Uuid }[]>;
}

/**
 * Says what a load would do, from what there is now, by look-ups in batches and without writing: which events are there
 * already, and how many people would be new, be known, or become one. People are those whom identifiers join, in the file
 * or before it; what rules keep apart is not, so there may be more people and fewer merges than it says.
 */
export class LoadForecast {
  readonly #events: KnownEventReader;
  readonly #seen = new Set<Uuid>();
  readonly #groups = new Groups();
  readonly #profiles = new Set<string>();
  #followed = 0;
  #left = 0;

  constructor(
    private readonly db: Queryable,
    private readonly identities: IdentityLookup,
  ) {
    this.#events = new KnownEventReader(db);
  }

  /** Whether each of the events would be a duplicate. Those that are not count from then on. */
  async look(events: readonly PreparedEvent[]): Promise<boolean[]> {
    if (events.length === 0) return [];
    const known = await this.#events.known(events.map(({ dedupeId }) => dedupeId));
    const fresh: PreparedEvent[] = [];
    const areDuplicates = events.map((event) => {
      const { dedupeId } = event;
      const isDuplicate = known.has(dedupeId) || this.#seen.has(dedupeId);
      if (this.#seen.size < MAX_FORECAST_EVENTS) this.#seen.add(dedupeId);
      if (!isDuplicate) fresh.push(event);
      return isDuplicate;
    });
    const followed = fresh.slice(0, MAX_FORECAST_EVENTS - this.#followed);
    this.#followed += followed.length;
    this.#left += fresh.length - followed.length;
    if (followed.length > 0) await this.#follow(followed);
    return areDuplicates;
  }

  get people(): ForecastPeople {
    const profilesOf = new Map<string, number>();
    for (const root of this.#groups.roots()) profilesOf.set(root, 0);
    for (const profile of this.#profiles) {
      const root = this.#groups.rootOf(profile);
      profilesOf.set(root, (profilesOf.get(root) ?? 0) + 1);
    }
    const counts = [...profilesOf.values()];
    return {
      created: counts.filter((count) => count === 0).length,
      updated: counts.filter((count) => count > 0).length,
      mergedAway: counts.reduce((sum, count) => sum + Math.max(0, count - 1), 0),
      events: this.#followed,
      isSample: this.#left > 0,
    };
  }

  async #follow(events: readonly PreparedEvent[]): Promise<void> {
    const ids = new Set(events.flatMap(({ identifiers }) => identifiers.map(({ id }) => id)));
    for (const { id, profileId } of await this.identities.identifiers(this.db, [...ids])) {
      const profile = `profile ${profileId}`;
      this.#profiles.add(profile);
      this.#groups.join(id, profile);
    }
    for (const { anchorId, identifiers } of events) for (const { id } of identifiers) this.#groups.join(anchorId, id);
  }
}

/** Disjoint sets, with path halving and the lesser half hung under the greater. */
class Groups {
  readonly #parent = new Map<string, string>();
  readonly #size = new Map<string, number>();

  rootOf(item: string): string {
    let at = item;
    for (;;) {
      const parent = this.#parent.get(at) ?? at;
      if (parent === at) break;
      const above = this.#parent.get(parent) ?? parent;
      this.#parent.set(at, above);
      at = above;
    }
    if (at === item && !this.#parent.has(item)) this.#parent.set(item, item);
    return at;
  }

  join(a: string, b: string): void {
    const [left, right] = [this.rootOf(a), this.rootOf(b)];
    if (left === right) return;
    const [leftSize, rightSize] = [this.#size.get(left) ?? 1, this.#size.get(right) ?? 1];
    const [above, below] = leftSize >= rightSize ? [left, right] : [right, left];
    this.#parent.set(below, above);
    this.#size.set(above, leftSize + rightSize);
  }

  *roots(): Generator<string> {
    for (const [item, parent] of this.#parent) if (item === parent) yield item;
  }
}
