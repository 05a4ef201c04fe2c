import { isSupportedCountry } from 'libphonenumber-js/min';
import type { Clock } from '../platform/clock.js';
import { WeftError } from '../platform/errors.js';
import { isKey, KEY_HINT } from '../platform/key.js';
import { nameHint, nearestName } from '../platform/near-names.js';
import { isRatePerSecond, RATE_HINT } from '../platform/rate-limiter.js';
import { ReadThroughCache } from '../platform/read-through-cache.js';
import { RETENTION_LIMITS } from '../events/retention.model.js';
import { checkEnriched } from './source-enrichment.model.js';
import { MAX_SOURCE_NAME_LENGTH } from './source.model.js';
import type { NewSource, Source, SourceChange } from './source.model.js';
import type { SourceStore } from './source.store.js';

/** A change takes effect everywhere within this time, and at once in the process that made it. */
const CACHE_TTL_MS = 10_000;
const MAX_CACHED = 1_000;

/** Creates, finds and changes sources. */
export class SourceService {
  readonly #byKey: ReadThroughCache<Source>;
  readonly #byId: ReadThroughCache<Source>;

  constructor(
    private readonly store: SourceStore,
    private readonly clock: Clock,
  ) {
    const options = { maxAgeMs: CACHE_TTL_MS, maxEntries: MAX_CACHED, clock };
    this.#byKey = new ReadThroughCache({ ...options, load: (key) => store.findByKey(key) });
    this.#byId = new ReadThroughCache({ ...options, load: (id) => store.findById(Number(id)) });
  }

  /** @throws WeftError BAD_REQUEST (key, name, rate, region or enrichment), CONFLICT (key is taken) */
  async create(source: NewSource): Promise<Source> {
    const name = source.name ?? source.key;
    checkKey(source.key);
    checkChange({ ...source, name });
    checkEnriched(source.kind, source.enrichment);
    const created = await this.store.insert({
      key: source.key,
      name,
      kind: source.kind,
      config: source.config ?? {},
      paused: false,
      maxEventsPerSecond: source.maxEventsPerSecond ?? null,
      authenticated: source.authenticated ?? source.kind !== 'http',
      region: source.region ?? null,
      retentionMs: source.retentionMs ?? null,
      retentionStrict: source.retentionStrict ?? false,
      enrichment: source.enrichment ?? null,
      createdAt: this.clock.now(),
    });
    if (created === null) {
      throw new WeftError('CONFLICT', `source "${source.key}" exists already`, {
        where: 'key',
        hint: 'choose another key, or use the source that is there',
      });
    }
    return created;
  }

  /** The source with this key, created if it is not there. One of another kind is a CONFLICT. */
  async ensure(source: NewSource): Promise<Source> {
    const found = (await this.findByKey(source.key)) ?? (await this.#createOrFind(source));
    if (found.kind === source.kind) return found;
    throw new WeftError('CONFLICT', `source "${source.key}" is of kind ${found.kind}, not ${source.kind}`, {
      where: 'key',
      hint: 'choose another key',
    });
  }

  /** @throws WeftError NOT_FOUND, BAD_REQUEST (name, rate, region or enrichment) */
  async update(key: string, change: SourceChange): Promise<Source> {
    checkChange(change);
    const standing = change.enrichment == null ? null : await this.store.findByKey(key);
    if (standing !== null) checkEnriched(standing.kind, change.enrichment);
    const changed = await this.store.update(key, change);
    if (changed === null) throw await this.missing(key, 'key');
    this.#byKey.clear();
    this.#byId.clear();
    return changed;
  }

  findByKey(key: string): Promise<Source | null> {
    return this.#byKey.get(key);
  }

  findById(id: number): Promise<Source | null> {
    return this.#byId.get(String(id));
  }

  /** All, by id. */
  async list(): Promise<Source[]> {
    return this.store.list();
  }

  /** By key, those after one. */
  page(afterKey: string | null, limit: number): Promise<Source[]> {
    return this.store.page(afterKey, limit);
  }

  /** For a key that no source has. */
  async missing(key: string, where: string): Promise<WeftError> {
    const keys = (await this.list()).map((source) => source.key);
    return new WeftError('NOT_FOUND', `there is no source ${key.slice(0, 100)}`, {
      where,
      hint: nameHint(key, keys, 'sources, or weft sources list, shows those that there are'),
    });
  }

  /** The source that may be meant by a key that no source has; null where none is like it. */
  async nearest(key: string): Promise<string | null> {
    const others = (await this.list()).map((source) => source.key).filter((each) => each !== key);
    return nearestName(key, others) ?? null;
  }

  async #createOrFind(source: NewSource): Promise<Source> {
    try {
      return await this.create(source);
    } catch (error) {
      const isTaken = error instanceof WeftError && error.code === 'CONFLICT';
      const found = isTaken ? await this.store.findByKey(source.key) : null;
      if (found === null) throw error;
      return found;
    }
  }
}

function checkKey(key: string): void {
  if (isKey(key)) return;
  throw new WeftError('BAD_REQUEST', 'the key of a source has the wrong form', { where: 'key', hint: KEY_HINT });
}

function checkChange({ name, maxEventsPerSecond, region, retentionMs }: SourceChange): void {
  if (name !== undefined && (name === '' || name.length > MAX_SOURCE_NAME_LENGTH)) {
    throw new WeftError('BAD_REQUEST', 'the name of a source is empty or too long', {
      where: 'name',
      hint: `use 1 to ${String(MAX_SOURCE_NAME_LENGTH)} characters`,
    });
  }
  if (maxEventsPerSecond !== undefined && maxEventsPerSecond !== null && !isRatePerSecond(maxEventsPerSecond)) {
    throw new WeftError('BAD_REQUEST', 'this can be no rate', { where: 'maxEventsPerSecond', hint: RATE_HINT });
  }
  if (
    typeof retentionMs === 'number' &&
    !(retentionMs >= RETENTION_LIMITS.minMs && retentionMs <= RETENTION_LIMITS.maxMs)
  ) {
    throw new WeftError('BAD_REQUEST', 'this can be no retention', { where: 'retention', hint: 'use 1d to 36500d' });
  }
  if (region !== undefined && region !== null && !isSupportedCountry(region)) {
    throw new WeftError('BAD_REQUEST', 'there are no telephone numbers of this region', {
      where: 'region',
      hint: 'use an ISO 3166-1 code of two upper-case letters, as GB',
    });
  }
}
