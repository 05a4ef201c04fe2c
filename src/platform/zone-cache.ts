import { nearestName } from './near-names.js';
import { ZoneOffsets } from './zone-offsets.js';

/** There are some 600 zones and other names of them; names may be anybody's, and those that are none are kept, too. */
const MAX_ZONES = 2_000;
const MAX_NAME_LENGTH = 64;
/** As in java.time; all zones there are, and ever were, are well within. */
const MAX_OFFSET_MS = 18 * 3_600_000;

/** Zones by name, each made once: what is known of one is costly, and the same for all who ask. */
class ZoneCache {
  readonly #zones = new Map<string, ZoneOffsets | null>();

  /** @param name an IANA zone, `UTC`, or a fixed offset such as `+01:00`. Null: there is no such zone. */
  get(name: string): ZoneOffsets | null {
    const known = this.#zones.get(name);
    if (known !== undefined) return known;
    if (name.length > MAX_NAME_LENGTH) return null;
    const zone = zoneOf(name);
    if (this.#zones.size >= MAX_ZONES) this.#zones.clear();
    this.#zones.set(name, zone);
    return zone;
  }
}

/** Of the whole process: a pure function of names, remembered. */
export const ZONES = new ZoneCache();

function zoneOf(name: string): ZoneOffsets | null {
  try {
    const zone = new ZoneOffsets(name);
    return Math.abs(zone.offsetAt(0)) > MAX_OFFSET_MS ? null : zone;
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
}

/** What was probably meant by a name that is no zone. */
export function zoneHint(name: string): string {
  const known = Intl.supportedValuesOf('timeZone');
  const city = `/${name.trim().replaceAll(' ', '_').toLowerCase()}`;
  const near = known.find((zone) => zone.toLowerCase().endsWith(city)) ?? nearestName(name, known);
  return near === undefined
    ? 'write one of the IANA time zone database, as Europe/Berlin, or UTC'
    : `did you mean ${near}?`;
}
