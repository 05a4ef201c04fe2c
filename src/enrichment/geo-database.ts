import { readFile, stat } from 'node:fs/promises';
import { isIPv4, isIPv6 } from 'node:net';
import { LRUCache } from 'lru-cache';
import { Reader, type CityResponse } from 'mmdb-lib';
import type { JsonObject } from '../events/event.model.js';
import { WeftError } from '../platform/errors.js';
import { Periodic } from '../platform/periodic.js';

/** Of a file, which is held in memory. */
const MAX_FILE_BYTES = 1_073_741_824;
/** Records that are decoded at hand; they are of networks, not of addresses. */
const MAX_DECODED = 10_000;
const POLL_MS = 60_000;
const MAPPED_IPV4 = /^::ffff:(?=[\d.]+$)/i;

/** Tells where addresses are. */
export interface Places {
  /** Resolves once it can tell; never rejects. */
  ready(): Promise<void>;
  /** Country, region, city and zone; null: it is not known. Never throws. */
  locate(address: string): JsonObject | null;
}

export interface GeoDatabaseOptions {
  /** Of an mmdb file with countries or cities (MaxMind DB file format, version 2). */
  readonly path: string;
  /** The file could not be read; what was read before counts on. */
  readonly onError: (error: unknown) => void;
  /** How soon a file that took the place of another is read, ms. Default 60 s. */
  readonly pollMs?: number;
}

interface OpenFile {
  readonly reader: Reader<CityResponse>;
  readonly stamp: string;
}

/** An operator's database of addresses, read when first needed and again whenever another file takes its place. */
export class GeoDatabase implements Places {
  readonly #options: GeoDatabaseOptions;
  readonly #polls: Periodic;
  #open: OpenFile | null = null;
  #first: Promise<void> | null = null;

  constructor(options: GeoDatabaseOptions) {
    this.#options = options;
    this.#polls = new Periodic(() => this.#renew(), options.pollMs ?? POLL_MS, options.onError);
  }

  ready(): Promise<void> {
    this.#first ??= this.#polls.run();
    this.#polls.start();
    return this.#first;
  }

  /** Looks whether the file is another by now; never rejects. */
  refresh(): Promise<void> {
    return this.#polls.run();
  }

  stop(): Promise<void> {
    return this.#polls.stop();
  }

  locate(address: string): JsonObject | null {
    const reader = this.#open?.reader;
    if (reader === undefined) return null;
    const plain = address.replace(MAPPED_IPV4, '');
    if (!isIPv4(plain) && (!isIPv6(plain) || reader.metadata.ipVersion === 4)) return null;
    try {
      const found = reader.get(plain);
      return found === null ? null : placeOf(found);
    } catch {
      // A damaged record. What is wrong with it may hold the address.
      return null;
    }
  }

  async #renew(): Promise<void> {
    const { path } = this.#options;
    const stamp = await stampOf(path);
    if (stamp !== this.#open?.stamp) this.#open = { reader: await openGeoDatabase(path), stamp };
  }
}

/** @throws WeftError CONFIG_INVALID where it cannot be read, or is none */
export async function openGeoDatabase(path: string): Promise<Reader<CityResponse>> {
  await stampOf(path);
  try {
    return new Reader<CityResponse>(await readFile(path), {
      cache: new LRUCache<string | number, object>({ max: MAX_DECODED }),
    });
  } catch (error) {
    throw unusable(path, 'is no mmdb file of places', error);
  }
}

/** What it is, for people: `GeoLite2-City of 2026-11-20`. @throws WeftError as {@link openGeoDatabase} */
export async function describeGeoDatabase(path: string): Promise<string> {
  const { metadata } = await openGeoDatabase(path);
  return `${metadata.databaseType} of ${metadata.buildEpoch.toISOString().slice(0, 10)}, ${path}`;
}

async function stampOf(path: string): Promise<string> {
  const found = await stat(path).catch((error: unknown) => {
    throw unusable(path, 'cannot be read', error);
  });
  if (!found.isFile()) throw unusable(path, 'is no file', undefined);
  if (found.size > MAX_FILE_BYTES) throw unusable(path, 'is larger than 1 GiB', undefined);
  return `${String(found.ino)} ${String(found.size)} ${String(found.mtimeMs)}`;
}

function unusable(path: string, what: string, cause: unknown): WeftError {
  return new WeftError('CONFIG_INVALID', `WEFT_GEO_DATABASE ${what}`, {
    where: path,
    hint: 'Name a file of countries or cities in the mmdb format, as GeoLite2-City.mmdb, that this user may read.',
    cause,
  });
}

/** Country as in ISO 3166-1, region as in ISO 3166-2 where the file has its code, zone as in the IANA database. */
function placeOf({ country, subdivisions, city, location }: CityResponse): JsonObject | null {
  const code = country?.iso_code;
  const region = subdivisions?.[0];
  const part = region?.iso_code;
  const place: JsonObject = {};
  put(place, 'country', code);
  put(place, 'region', part === undefined || code === undefined ? region?.names.en : `${code}-${part}`);
  put(place, 'city', city?.names.en);
  put(place, 'zone', location?.time_zone);
  return Object.keys(place).length === 0 ? null : place;
}

const MAX_NAME_LENGTH = 100;

function put(place: JsonObject, name: string, value: unknown): void {
  if (typeof value === 'string' && value !== '') place[name] = value.slice(0, MAX_NAME_LENGTH);
}
