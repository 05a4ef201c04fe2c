import { hash } from 'node:crypto';
import { isKey } from '../../platform/key.js';
import { API_SCOPES, type ApiScope, type Principal } from './api-key.model.js';

/** What the tokens of people are checked against, and what they may do. */
export interface OidcSettings {
  /** As it stands in `iss`. */
  readonly issuer: string;
  /** One of `aud`. */
  readonly audience: string;
  /** Where the issuer's keys are; null: as its discovery document says. */
  readonly jwksUri: string | null;
  /** The claim that names roles: its name, or a path with dots as in `realm_access.roles`. */
  readonly rolesClaim: string;
  readonly roles: readonly RoleGrant[];
}

/** What somebody with a role may do. */
export interface RoleGrant {
  readonly role: string;
  readonly scope: ApiScope;
  /** For `ingest`: key of the source whose events they may send. */
  readonly source: string | null;
}

/**
 * How far the clocks of the issuer and of this machine may differ, s. A token counts from so long before `nbf` to so long
 * after `exp`.
 */
export const CLOCK_TOLERANCE_S = 30;

/**
 * Signatures by a private key only (RFC 7518 §3.1, RFC 8037): what an issuer publishes must not be able to sign, as it
 * would where a public key is taken for the secret of an HMAC.
 */
export const SIGNATURE_ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
];

const MAX_TOKEN_LENGTH = 8_192;
const TOKEN = /^[\w-]+\.[\w-]+\.[\w-]+$/;
const MAX_ROLES = 1_000;

/** False for what cannot be a token (RFC 7515 §7.1: three parts in base64url), so that it costs nothing more. */
export function isTokenShaped(text: string): boolean {
  return text.length <= MAX_TOKEN_LENGTH && TOKEN.test(text);
}

/** Keys have to come from whom they are said to come from: by TLS, or from this very machine. */
export function isIssuerUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, hostname, username } = new URL(text);
  if (username !== '') return false;
  return protocol === 'https:' || (protocol === 'http:' && /^(localhost|127\.0\.0\.1|\[::1\])$/.test(hostname));
}

/**
 * `role=scope` with commas between, as in `weft-admin=admin,weft-viewer=read,shop=ingest:web`. A role may stand there
 * several times.
 * @returns null for what has another form, names `edge`, which is for pages, or more sources than one
 */
export function parseRoleGrants(text: string): readonly RoleGrant[] | null {
  const grants: RoleGrant[] = [];
  for (const part of text.split(',')) {
    const [, role = '', name, source] = /^\s*([^\s=,]{1,200})\s*=\s*(\w+)(?::(\w+))?\s*$/.exec(part) ?? [];
    const scope = API_SCOPES.find((each) => each === name && each !== 'edge');
    if (role === '' || scope === undefined) return null;
    if ((scope === 'ingest') !== (source !== undefined) || (source !== undefined && !isKey(source))) return null;
    grants.push({ role, scope, source: source ?? null });
  }
  const sources = new Set(grants.flatMap(({ source }) => source ?? []));
  return sources.size > 1 ? null : grants;
}

/** The roles that a token names: a list of texts, or one text with spaces between, as `scope` is (RFC 8693 §4.2). */
export function rolesOf(claims: Readonly<Record<string, unknown>>, rolesClaim: string): readonly string[] {
  const value = valueAt(claims, rolesClaim);
  const list: readonly unknown[] = typeof value === 'string' ? value.split(' ') : Array.isArray(value) ? value : [];
  return list.slice(0, MAX_ROLES).filter((role) => typeof role === 'string' && role !== '') as string[];
}

/** A claim may have dots in its name, as in `https://shop.example/roles`: the name comes before the path. */
function valueAt(claims: Readonly<Record<string, unknown>>, path: string): unknown {
  if (Object.hasOwn(claims, path)) return claims[path];
  let value: unknown = claims;
  for (const name of path.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined;
    value = (value as Readonly<Record<string, unknown>>)[name];
  }
  return value;
}

export interface TokenClaims extends Readonly<Record<string, unknown>> {
  readonly iss: string;
  readonly sub: string;
  /** s */
  readonly exp: number;
}

/**
 * Who a checked token stands for. Somebody without a role that is known here may nothing; that is not the same as not
 * being known.
 * @param sourceIdOf null for a source that there is not: its role then grants nothing
 */
export async function principalOf(
  claims: TokenClaims,
  { roles, rolesClaim }: Pick<OidcSettings, 'roles' | 'rolesClaim'>,
  sourceIdOf: (key: string) => Promise<number | null>,
): Promise<Principal> {
  const held = new Set(rolesOf(claims, rolesClaim));
  const grants = roles.filter(({ role }) => held.has(role));
  const source = grants.find((grant) => grant.source !== null)?.source ?? null;
  const sourceId = source === null ? null : await sourceIdOf(source);
  const granted = new Set(grants.map(({ scope }) => scope));
  if (sourceId === null) granted.delete('ingest');
  return {
    // A subject may be a mail address: it shows nowhere.
    id: `oidc:${hash('sha256', JSON.stringify([claims.iss, claims.sub]), 'base64url')}`,
    scopes: API_SCOPES.filter((scope) => granted.has(scope)),
    sourceId,
    origins: [],
    ratePerSecond: null,
    expiresAt: (claims.exp + CLOCK_TOLERANCE_S) * 1_000,
  };
}
