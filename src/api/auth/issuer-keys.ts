import { createLocalJWKSet, errors, type FlattenedJWSInput, type JSONWebKeySet, type JWSHeaderParameters } from 'jose';
import type { Clock } from '../../platform/clock.js';
import { WeftError } from '../../platform/errors.js';
import { isIssuerUrl, type OidcSettings } from './oidc.model.js';

export const ISSUER_KEY_LIMITS = {
  /** After this, keys are fetched anew while those that are there still count, ms. */
  refreshAfterMs: 600_000,
  /** After this, keys that could not be fetched anew count no more, ms: one that was taken back has to end. */
  maxAgeMs: 86_400_000,
  /** Between two attempts at least, whatever tokens ask for, ms. */
  cooldownMs: 30_000,
  timeoutMs: 5_000,
  /** Of each document. */
  maxBytes: 256 * 1024,
  maxKeys: 100,
} as const;

export interface IssuerKeysDependencies extends Pick<OidcSettings, 'issuer' | 'jwksUri'> {
  readonly clock: Clock;
  readonly fetch: typeof fetch;
  /** Told why keys could not be fetched; callers learn only that. */
  readonly onError: (error: unknown) => void;
}

type KeyOf = ReturnType<typeof createLocalJWKSet>;
type Key = Awaited<ReturnType<KeyOf>>;

/**
 * The public keys of an issuer (OpenID Connect Discovery 1.0 §4, RFC 7517).
 *
 *  1. Keys that are there go on counting while the issuer is away, for a day.
 *  2. A token whose `kid` is not among them makes them be fetched anew, so that the issuer may change keys at any time;
 *     but not sooner than the cooldown allows, so that nobody can make this process knock on the issuer's door.
 *  3. One fetch at a time, bounded in time and size, without redirects.
 */
export class IssuerKeys {
  #keys: { readonly keyOf: KeyOf; readonly fetchedAtMs: number } | null = null;
  #attemptedAtMs = Number.NEGATIVE_INFINITY;
  #hasFailed = false;
  #fetching: Promise<void> | null = null;

  constructor(private readonly deps: IssuerKeysDependencies) {}

  /**
   * The key that a token says it was signed with.
   * @throws JWKSNoMatchingKey of jose; WeftError UNAVAILABLE where it may be one that could not be fetched
   */
  async keyOf(header: JWSHeaderParameters, token: FlattenedJWSInput): Promise<Key> {
    const known = this.#usable();
    if (known === null) {
      await this.#fetch();
      return this.#demand()(header, token);
    }
    if (this.deps.clock.now() - known.fetchedAtMs >= ISSUER_KEY_LIMITS.refreshAfterMs) void this.#fetch();
    try {
      return await known.keyOf(header, token);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
      await this.#fetch();
      if (this.#hasFailed) throw unavailable();
      return this.#demand()(header, token);
    }
  }

  #usable(): { readonly keyOf: KeyOf; readonly fetchedAtMs: number } | null {
    const isFresh = this.#keys !== null && this.deps.clock.now() - this.#keys.fetchedAtMs < ISSUER_KEY_LIMITS.maxAgeMs;
    return isFresh ? this.#keys : null;
  }

  #demand(): KeyOf {
    const usable = this.#usable();
    if (usable === null) throw unavailable();
    return usable.keyOf;
  }

  /** Does nothing within the cooldown of the last attempt. Never rejects. */
  #fetch(): Promise<void> {
    if (this.#fetching !== null) return this.#fetching;
    const nowMs = this.deps.clock.now();
    if (nowMs - this.#attemptedAtMs < ISSUER_KEY_LIMITS.cooldownMs) return Promise.resolve();
    this.#attemptedAtMs = nowMs;
    this.#fetching = this.#fetchKeys()
      .then((keys) => {
        this.#keys = { keyOf: createLocalJWKSet(keys), fetchedAtMs: nowMs };
        this.#hasFailed = false;
      })
      .catch((error: unknown) => {
        this.#hasFailed = true;
        this.deps.onError(error);
      })
      .finally(() => {
        this.#fetching = null;
      });
    return this.#fetching;
  }

  async #fetchKeys(): Promise<JSONWebKeySet> {
    const keys = await this.#fetchJson(this.deps.jwksUri ?? (await this.#discover()));
    const list = keys['keys'];
    if (!Array.isArray(list) || list.length > ISSUER_KEY_LIMITS.maxKeys) {
      throw refused('the keys of the issuer are no JSON Web Key Set of at most 100 keys', 'WEFT_OIDC_JWKS_URI');
    }
    return keys as unknown as JSONWebKeySet;
  }

  async #discover(): Promise<string> {
    const { issuer } = this.deps;
    const document = await this.#fetchJson(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`);
    // OpenID Connect Discovery 1.0 §4.3: else another issuer's keys could be passed off as this one's.
    if (document['issuer'] !== issuer) {
      throw refused('the discovery document names another issuer', 'WEFT_OIDC_ISSUER');
    }
    const uri = document['jwks_uri'];
    if (typeof uri === 'string' && isIssuerUrl(uri)) return uri;
    throw refused('the discovery document names no jwks_uri with https', 'WEFT_OIDC_ISSUER');
  }

  async #fetchJson(url: string): Promise<Readonly<Record<string, unknown>>> {
    const response = await this.deps.fetch(url, {
      headers: { accept: 'application/json' },
      redirect: 'error',
      signal: AbortSignal.timeout(ISSUER_KEY_LIMITS.timeoutMs),
    });
    if (!response.ok) {
      await response.body?.cancel();
      throw refused(`the issuer answers ${String(response.status)}`, url);
    }
    const value: unknown = JSON.parse(await readText(response, url));
    if (typeof value === 'object' && value !== null) return value as Readonly<Record<string, unknown>>;
    throw refused('the issuer answers no JSON object', url);
  }
}

async function readText(response: Response, url: string): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += (chunk as Uint8Array).length;
    // Leaving the loop cancels what is left of the body.
    if (bytes > ISSUER_KEY_LIMITS.maxBytes) throw refused('the issuer answers more than 256 KB', url);
    chunks.push(chunk as Uint8Array);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function refused(message: string, where: string): WeftError {
  return new WeftError('UNAVAILABLE', message, { where });
}

function unavailable(): WeftError {
  return new WeftError('UNAVAILABLE', 'tokens cannot be checked now: the keys of their issuer cannot be fetched', {
    where: 'authorization',
    hint: 'try again; API keys work all the same',
    retryAfterMs: ISSUER_KEY_LIMITS.cooldownMs,
  });
}
