import { timingSafeEqual } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { Clock } from '../../platform/clock.js';
import { WeftError } from '../../platform/errors.js';
import { newId } from '../../platform/ids.js';
import type { Uuid } from '../../platform/ids.js';
import { ReadThroughCache } from '../../platform/read-through-cache.js';
import {
  API_SCOPES,
  hashSecret,
  isSecretShaped,
  isUsable,
  makeSecret,
  prefixOf,
  signingPurpose,
  signingSecret,
} from './api-key.model.js';
import type { ApiKey } from './api-key.model.js';
import type { ApiKeyStore, StoredApiKey } from './api-key.store.js';
import { checkHasOrigins, checkNewKey, checkOrigins, checkRemovedOrigins, type NewApiKey } from './check-new-key.js';

/** A revocation takes effect everywhere within this time, and at once in the process that made it. */
const CACHE_TTL_MS = 10_000;
/** From this age on an edge key in use is looked up anew while it still counts: no page view waits for that. */
const REFRESH_AFTER_MS = 5_000;
/** How much later the revocation of an edge key may take effect while the database cannot be asked. */
const STAND_IN_MS = 600_000;
/** How long a page view waits for the key to be looked up anew before what was known of it counts. */
const STAND_IN_PATIENCE_MS = 20;
/** How long anybody waits for a look-up. */
const LOOK_UP_TIMEOUT_MS = 2_000;
const MAX_CACHED_KEYS = 10_000;
/** Secrets that stand for no key, which anybody can make up: they take no room from those that do. */
const MAX_CACHED_UNKNOWN = 1_000;
/** Edge keys whose hashes are remembered by their secrets, which are in pages for everybody to read. */
const MAX_EDGE_HASHES = 1_000;
/** Look-ups under way at most of secrets that are new here, and besides as many of keys that are known. */
const MAX_LOOK_UPS = 100;
const LAST_USED_EVERY_MS = 60_000;
const MAX_KEYS_OF_SOURCE = 200;
const MAX_OVERLAP_MS = 90 * 86_400_000;
/** A key that everybody can read is never without a rate. */
const DEFAULT_EDGE_RATE_PER_SECOND = 1_000;

/** A key as it is shown when it is made; its secret cannot be shown again. */
export interface CreatedKey {
  readonly key: ApiKey;
  readonly secret: string;
  /** Of keys with the scope `edge`; null for others. */
  readonly signingSecret: string | null;
}

interface CacheEntry {
  readonly key: StoredApiKey;
  lastUsedWrittenMs: number;
}

export interface ApiKeyDependencies {
  readonly store: ApiKeyStore;
  readonly clock: Clock;
  /** The secret of the installation. */
  readonly secret: { derive(purpose: string): Buffer };
  /** Cryptographically random bytes. */
  readonly randomBytes: (size: number) => Buffer;
  /** Told when `last_used_at` could not be written; the request goes on. */
  readonly onLastUsedError: (error: unknown) => void;
  /** Told when a key could not be looked up anew, and what was known of it counted on. */
  readonly onLookUpError?: (error: unknown) => void;
  /** Default 2,000. */
  readonly lookUpTimeoutMs?: number;
}

/**
 * Makes, checks and revokes API keys. Only a hash of each secret is kept, in the database and in memory; but for edge keys
 * in use, which are no secrets: what makes hashing all others worth while would cost a page view more than its look-up.
 *
 * How long a check takes tells nothing of a secret. Secrets are never compared, their SHA-256 hashes are looked up: how
 * far a look-up got before it failed tells of the hash of what was sent, and nobody can choose a text by the beginning of
 * its hash and come closer to a secret by it. What the look-up found is then compared in constant time. A key that is
 * unknown, one that has expired and one that was revoked cost the same look-up, which is remembered for the same time,
 * and get the same answer.
 */
export class ApiKeyService {
  /** By hash of the secret, in base64. */
  readonly #cache: ReadThroughCache<CacheEntry>;
  /** When it was found that there is no such key, ms, by the same. */
  readonly #unknown = new LRUCache<string, number>({ max: MAX_CACHED_UNKNOWN });
  readonly #edgeHashes = new LRUCache<string, string>({ max: MAX_EDGE_HASHES });
  /** Look-ups under way, those included that nobody waits for any more. */
  readonly #lookUps = { ofNew: 0, ofKnown: 0 };
  /** Writes of `last_used_at` under way; at most one a key and minute. */
  readonly #writing = new Set<Promise<void>>();

  constructor(private readonly deps: ApiKeyDependencies) {
    this.#cache = new ReadThroughCache({
      maxAgeMs: CACHE_TTL_MS,
      maxEntries: MAX_CACHED_KEYS,
      clock: deps.clock,
      load: (hash, previous) => this.#lookUp(hash, previous),
      standIn: {
        refreshAfterMs: REFRESH_AFTER_MS,
        maxAgeMs: STAND_IN_MS,
        patienceMs: STAND_IN_PATIENCE_MS,
        mayStandIn: ({ key }) => isForPagesAlone(key),
        onError: (error) => deps.onLookUpError?.(error),
      },
    });
  }

  /**
   * @returns the key and its secret, which cannot be shown again.
   * @throws WeftError BAD_REQUEST, CONFIG_INVALID for an edge key where the installation has no secret
   */
  async create(input: NewApiKey): Promise<CreatedKey> {
    checkNewKey(input, this.deps.clock.now());
    const created = this.#make({
      name: input.name,
      scopes: API_SCOPES.filter((scope) => input.scopes.includes(scope)),
      sourceId: input.sourceId ?? null,
      origins: [...new Set(input.origins)],
      ratePerSecond: input.ratePerSecond ?? (input.scopes.includes('edge') ? DEFAULT_EDGE_RATE_PER_SECOND : null),
      rotatedFrom: null,
      expiresAt: input.expiresAt ?? null,
    });
    await this.deps.store.insert({ ...created.key, keyHash: hashSecret(created.secret) });
    return created;
  }

  /**
   * Puts a key with the same rights, of the same lifetime, in the place of another, which ends after the overlap.
   * @param overlapMs for which both are valid, so that those who have the old one can be given the new one
   * @throws WeftError NOT_FOUND; CONFLICT if it was rotated before; BAD_REQUEST for an overlap that is too long
   */
  async rotate(id: Uuid, overlapMs: number): Promise<CreatedKey> {
    if (overlapMs > MAX_OVERLAP_MS) {
      throw new WeftError('BAD_REQUEST', 'the overlap is too long', { where: 'overlap', hint: 'give 90d or less' });
    }
    const old = await this.deps.store.findById(id);
    if (old === null) throw noSuchKey();
    const nowMs = this.deps.clock.now();
    const { name, scopes, sourceId, origins, ratePerSecond } = old;
    const expiresAt = old.expiresAt === null ? null : nowMs + (old.expiresAt - old.createdAt);
    const created = this.#make({ name, scopes, sourceId, origins, ratePerSecond, rotatedFrom: id, expiresAt });
    const outcome = await this.deps.store.rotate(
      { ...created.key, keyHash: hashSecret(created.secret) },
      nowMs + overlapMs,
    );
    if (outcome === 'not_in_use') throw noSuchKey();
    if (outcome === 'rotated_before') {
      throw new WeftError('CONFLICT', 'another key is in the place of this one already', {
        where: 'id',
        hint: 'rotate that one: it is the key whose rotatedFrom is this id',
      });
    }
    this.#forget();
    return created;
  }

  /**
   * Lets pages of other origins ask by an edge key. The secret stays, so that pages need not change.
   * @param change those of both lists are not among them afterwards
   * @throws WeftError NOT_FOUND; BAD_REQUEST for a key without the scope `edge`, for what is no origin, for too many, and
   * for one to remove that is not there
   */
  async changeOrigins(
    id: Uuid,
    { add, remove }: { readonly add: readonly string[]; readonly remove: readonly string[] },
  ): Promise<ApiKey> {
    const change = ({ scopes, origins }: ApiKey): readonly string[] => {
      checkHasOrigins(scopes);
      checkOrigins(scopes, add);
      const named = [...new Set([...origins, ...add])];
      checkRemovedOrigins(remove, named);
      const changed = named.filter((origin) => !remove.includes(origin));
      checkOrigins(scopes, changed);
      return changed;
    };
    const changed = await this.deps.store.changeOrigins(id, change, this.deps.clock.now());
    if (changed === null) throw noSuchKey();
    this.#forget();
    return withoutHash(changed);
  }

  /** The origins of all keys that may be used now, in no order. */
  originsInUse(limit: number): Promise<readonly string[]> {
    return this.deps.store.originsInUse(this.deps.clock.now(), limit);
  }

  /**
   * What the server of a site signs identifiers with for the pages that ask by this key.
   * @throws WeftError NOT_FOUND, BAD_REQUEST for a key without the scope `edge`
   */
  async signingSecret(id: Uuid): Promise<string> {
    const key = await this.deps.store.findById(id);
    if (key === null || !isUsable(key, this.deps.clock.now())) throw noSuchKey();
    const secret = this.#signingSecretOf(key);
    if (secret !== null) return secret;
    throw new WeftError('BAD_REQUEST', 'only keys with the scope edge have a signing secret', {
      where: 'id',
      hint: 'make a key with the scope edge',
    });
  }

  /**
   * The key that a secret stands for; null when it is unknown, expired or revoked.
   *
   * A key of pages alone that cannot be looked up anew is as it was last known, for up to ten minutes: a page is answered
   * also while the database is away.
   * @throws WeftError UNAVAILABLE, OVERLOADED
   */
  async verify(secret: string): Promise<ApiKey | null> {
    if (!isSecretShaped(secret)) return null;
    const hash = hashSecret(secret).toString('base64');
    if (this.#isKnownToBeNone(hash)) return null;
    const entry = await this.#cache.get(hash);
    return entry === null ? null : this.#admit(entry, this.deps.clock.now());
  }

  /** As `verify`, by what is in memory; undefined where the database has to be asked. Most requests need no more. */
  verifyKnown(secret: string): ApiKey | null | undefined {
    const edgeHash = this.#edgeHashes.get(secret);
    if (edgeHash === undefined && !isSecretShaped(secret)) return null;
    const hash = edgeHash ?? hashSecret(secret).toString('base64');
    const entry = this.#cache.known(hash);
    if (entry !== undefined) {
      if (edgeHash === undefined && isForPagesAlone(entry.key)) this.#edgeHashes.set(secret, hash);
      return this.#admit(entry, this.deps.clock.now());
    }
    return this.#isKnownToBeNone(hash) ? null : undefined;
  }

  #isKnownToBeNone(hash: string): boolean {
    const foundAtMs = this.#unknown.get(hash);
    return foundAtMs !== undefined && this.deps.clock.now() - foundAtMs < CACHE_TTL_MS;
  }

  /** Null for a key that may not be used now. */
  #admit(entry: CacheEntry, nowMs: number): ApiKey | null {
    const { key } = entry;
    if (!isUsable(key, nowMs)) return null;
    if (nowMs - entry.lastUsedWrittenMs >= LAST_USED_EVERY_MS) {
      entry.lastUsedWrittenMs = nowMs;
      this.#writeLastUsed(key.id, nowMs);
    }
    return key;
  }

  /** All keys, revoked and expired ones too, oldest first. */
  async list(): Promise<ApiKey[]> {
    return (await this.deps.store.list()).map(withoutHash);
  }

  /** As `list`, those after one. */
  async page(afterId: Uuid | null, limit: number): Promise<ApiKey[]> {
    return (await this.deps.store.page(afterId, limit)).map(withoutHash);
  }

  /** Those of a source, newest first, at most 200. */
  async ofSource(sourceId: number): Promise<ApiKey[]> {
    return (await this.deps.store.ofSource(sourceId, MAX_KEYS_OF_SOURCE)).map(withoutHash);
  }

  /** @throws WeftError NOT_FOUND */
  async revoke(id: Uuid): Promise<void> {
    if (!(await this.deps.store.revoke(id, this.deps.clock.now()))) {
      throw noSuchKey();
    }
    this.#forget();
  }

  /** Waits for the writes that no request waited for; to be called before the database is closed. */
  async drain(): Promise<void> {
    await Promise.all(this.#writing);
  }

  /** @throws WeftError CONFIG_INVALID for an edge key where the installation has no secret: before the key is there */
  #make(attributes: Omit<ApiKey, 'id' | 'prefix' | 'createdAt' | 'revokedAt' | 'lastUsedAt'>): CreatedKey {
    const nowMs = this.deps.clock.now();
    const secret = makeSecret(attributes.scopes, this.deps.randomBytes(32));
    const key: ApiKey = {
      ...attributes,
      id: newId(nowMs),
      prefix: prefixOf(secret),
      createdAt: nowMs,
      revokedAt: null,
      lastUsedAt: null,
    };
    return { key, secret, signingSecret: this.#signingSecretOf(key) };
  }

  #signingSecretOf(key: ApiKey): string | null {
    return key.scopes.includes('edge') ? signingSecret(this.deps.secret.derive(signingPurpose(key.id))) : null;
  }

  #writeLastUsed(id: Uuid, nowMs: number): void {
    const writing = this.deps.store
      .setLastUsed(id, nowMs)
      .catch(this.deps.onLastUsedError)
      .finally(() => this.#writing.delete(writing));
    this.#writing.add(writing);
  }

  #forget(): void {
    this.#cache.clear();
    this.#unknown.clear();
    this.#edgeHashes.clear();
  }

  /** A look-up that takes too long goes on, and counts, until it ends. */
  #lookUp(hash: string, previous: CacheEntry | undefined): Promise<CacheEntry | null> {
    const kind = previous === undefined ? 'ofNew' : 'ofKnown';
    if (this.#lookUps[kind] >= MAX_LOOK_UPS) {
      const hint = 'send the same again in a moment';
      return Promise.reject(new WeftError('OVERLOADED', 'too many keys are looked up', { hint, retryAfterMs: 1_000 }));
    }
    this.#lookUps[kind] += 1;
    const finding = this.#find(hash, previous).finally(() => {
      this.#lookUps[kind] -= 1;
    });
    return withinTime(finding, this.deps.lookUpTimeoutMs ?? LOOK_UP_TIMEOUT_MS);
  }

  async #find(hash: string, previous: CacheEntry | undefined): Promise<CacheEntry | null> {
    const keyHash = Buffer.from(hash, 'base64');
    const nowMs = this.deps.clock.now();
    const key = await this.deps.store.findByHash(keyHash);
    if (key === null || !timingSafeEqual(key.keyHash, keyHash)) {
      this.#unknown.set(hash, nowMs);
      return null;
    }
    // The row may not show yet what was written a moment ago.
    return { key, lastUsedWrittenMs: Math.max(previous?.lastUsedWrittenMs ?? 0, key.lastUsedAt ?? 0) };
  }
}

/** @throws WeftError UNAVAILABLE if it takes longer */
function withinTime<T>(work: Promise<T>, timeoutMs: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      const hint = 'send the same again in a moment';
      reject(new WeftError('UNAVAILABLE', 'the key cannot be looked up now', { hint, retryAfterMs: 1_000 }));
    }, timeoutMs);
    work.then(resolve, reject).finally(() => {
      clearTimeout(timer);
    });
  });
}

function isForPagesAlone({ scopes }: ApiKey): boolean {
  return scopes.length === 1 && scopes[0] === 'edge';
}

function withoutHash(stored: StoredApiKey): ApiKey {
  const { keyHash: _, ...key } = stored;
  return key;
}

function noSuchKey(): WeftError {
  return new WeftError('NOT_FOUND', 'there is no such key in use', { where: 'id', hint: 'list the keys' });
}
