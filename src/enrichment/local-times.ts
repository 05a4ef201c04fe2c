import { LRUCache } from 'lru-cache';
import type { JsonObject } from '../events/event.model.js';
import { ZoneOffsets } from '../platform/zone-offsets.js';

const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;
const MAX_ZONES = 500;
const MAX_ZONE_LENGTH = 64;
/** 1970-01-01 was a Thursday. */
const WEEKDAYS = ['thu', 'fri', 'sat', 'sun', 'mon', 'tue', 'wed'] as const;
/** Six hours each, from midnight on. */
const PARTS = ['night', 'morning', 'afternoon', 'evening'] as const;

/** The wall clock where somebody is. */
export class LocalTimes {
  readonly #zones = new LRUCache<string, { readonly offsets: ZoneOffsets | null }>({ max: MAX_ZONES });

  /**
   * Hour, weekday, whether it is Saturday or Sunday, and part of the day.
   *
   * @param atMs instant, ms
   * @param zones IANA names or fixed offsets, the first that is one counts
   * @returns null where none is
   */
  facts(atMs: number, zones: readonly unknown[]): JsonObject | null {
    for (const zone of zones) {
      const offsets = typeof zone === 'string' ? this.#offsetsOf(zone) : null;
      if (offsets === null) continue;
      const wallMs = offsets.toWall(atMs);
      const hour = Math.floor((wallMs % DAY_MS) / HOUR_MS);
      const weekday = WEEKDAYS[Math.floor(wallMs / DAY_MS) % WEEKDAYS.length] ?? 'thu';
      return {
        local: {
          hour,
          weekday,
          weekend: weekday === 'sat' || weekday === 'sun',
          part: PARTS[Math.floor(hour / 6)] ?? 'night',
          zone: zone as string,
        },
      };
    }
    return null;
  }

  #offsetsOf(zone: string): ZoneOffsets | null {
    if (zone === '' || zone.length > MAX_ZONE_LENGTH) return null;
    const known = this.#zones.get(zone);
    if (known !== undefined) return known.offsets;
    const offsets = openZone(zone);
    this.#zones.set(zone, { offsets });
    return offsets;
  }
}

/** Null where there is no such zone. */
export function openZone(zone: string): ZoneOffsets | null {
  try {
    return new ZoneOffsets(zone);
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
}
