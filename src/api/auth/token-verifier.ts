import { errors, jwtVerify } from 'jose';
import type { Clock } from '../../platform/clock.js';
import { WeftError } from '../../platform/errors.js';
import type { CounterHandle, Metrics } from '../../platform/metrics.js';
import { ReadThroughCache } from '../../platform/read-through-cache.js';
import type { Principal } from './api-key.model.js';
import type { Credentials } from './credentials.js';
import type { IssuerKeys } from './issuer-keys.js';
import {
  CLOCK_TOLERANCE_S,
  isTokenShaped,
  principalOf,
  SIGNATURE_ALGORITHMS,
  type OidcSettings,
  type TokenClaims,
} from './oidc.model.js';

/** How long a token that was checked is not checked again: a key that the issuer took back ends within this time. */
const CACHE_TTL_MS = 10_000;
/** Of at most 8 KB each. */
const MAX_CACHED_TOKENS = 1_000;
/** Tokens that are no access tokens, such as those that tell of a logout, have a type of their own (RFC 8725 §3.11). */
const TOKEN_TYPES: ReadonlySet<unknown> = new Set([undefined, 'jwt', 'at+jwt', 'application/at+jwt']);
const MAX_REASONS = 30;

export interface TokenVerifierDependencies {
  readonly settings: OidcSettings;
  readonly keys: Pick<IssuerKeys, 'keyOf'>;
  readonly sourceIdOf: (key: string) => Promise<number | null>;
  readonly clock: Clock;
  readonly metrics: Pick<Metrics, 'counter'>;
}

/**
 * Tells people by the tokens of an OpenID Connect issuer: signed JWTs (RFC 7519) whose signature, issuer, audience and
 * times are checked as RFC 8725 asks. Whatever is wrong with a token, the answer is the same; what it was is counted.
 */
export class TokenVerifier implements Credentials {
  readonly #cache: ReadThroughCache<Principal>;
  readonly #refused: CounterHandle;

  constructor(private readonly deps: TokenVerifierDependencies) {
    this.#cache = new ReadThroughCache({
      maxAgeMs: CACHE_TTL_MS,
      maxEntries: MAX_CACHED_TOKENS,
      clock: deps.clock,
      load: (token) => this.#check(token),
    });
    this.#refused = deps.metrics.counter('oidc_tokens_refused_total', 'Tokens of people refused, by reason.', {
      reason: MAX_REASONS,
    });
  }

  async verify(token: string): Promise<Principal | null> {
    return isTokenShaped(token) ? this.#inTime(await this.#cache.get(token)) : null;
  }

  verifyKnown(token: string): Principal | null | undefined {
    if (!isTokenShaped(token)) return null;
    const known = this.#cache.known(token);
    return known === undefined ? undefined : this.#inTime(known);
  }

  #inTime(principal: Principal | null): Principal | null {
    const endsAt = principal?.expiresAt ?? Infinity;
    return endsAt > this.deps.clock.now() ? principal : null;
  }

  async #check(token: string): Promise<Principal | null> {
    const { settings, keys, clock, sourceIdOf } = this.deps;
    try {
      const { payload, protectedHeader } = await jwtVerify(token, (header, input) => keys.keyOf(header, input), {
        issuer: settings.issuer,
        audience: settings.audience,
        algorithms: SIGNATURE_ALGORITHMS,
        clockTolerance: CLOCK_TOLERANCE_S,
        requiredClaims: ['exp', 'sub'],
        currentDate: new Date(clock.now()),
      });
      if (!TOKEN_TYPES.has(protectedHeader.typ?.toLowerCase()) || typeof payload.sub !== 'string') {
        this.#refused.add(1, 'type');
        return null;
      }
      return await principalOf(payload as TokenClaims, settings, sourceIdOf);
    } catch (error) {
      if (error instanceof WeftError) throw error;
      // A key of the issuer that cannot be used fails by another error than those of the library.
      this.#refused.add(1, reasonOf(error));
      return null;
    }
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof errors.JWTClaimValidationFailed) return `claim_${error.claim}`.slice(0, 40);
  return error instanceof errors.JOSEError ? error.code.replace(/^ERR_/, '').toLowerCase() : 'key';
}
