import type { JSONWebKeySet } from 'jose';
import { WeftError } from '../../platform/errors.js';
import { isIssuerUrl, type OidcSettings } from './oidc.model.js';

const TIMEOUT_MS = 5_000;
/** Of each document. */
const MAX_BYTES = 256 * 1024;
const MAX_KEYS = 100;

export type IssuerAddress = Pick<OidcSettings, 'issuer' | 'jwksUri'>;

type Fetch = typeof fetch;

/**
 * The public keys that an issuer shows now (OpenID Connect Discovery 1.0 §4, RFC 7517), within bounds of time and size and
 * without redirects.
 * @throws WeftError UNAVAILABLE, and whatever `ask` throws
 */
export async function fetchIssuerKeys({ issuer, jwksUri }: IssuerAddress, ask: Fetch): Promise<JSONWebKeySet> {
  const uri = jwksUri ?? (await discover(issuer, ask));
  const keys = await fetchJson(uri, ask);
  if (!Array.isArray(keys['keys']) || keys['keys'].length > MAX_KEYS) {
    throw refused(`the issuer shows no JSON Web Key Set of at most ${String(MAX_KEYS)} keys`, uri);
  }
  return keys as unknown as JSONWebKeySet;
}

async function discover(issuer: string, ask: Fetch): Promise<string> {
  const document = await fetchJson(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`, ask);
  // OpenID Connect Discovery 1.0 §4.3: else another issuer's keys could be passed off as this one's.
  if (document['issuer'] !== issuer) {
    throw refused('the discovery document names another issuer', 'WEFT_OIDC_ISSUER');
  }
  const uri = document['jwks_uri'];
  if (typeof uri === 'string' && isIssuerUrl(uri)) return uri;
  throw refused('the discovery document names no jwks_uri with https', 'WEFT_OIDC_ISSUER');
}

async function fetchJson(url: string, ask: Fetch): Promise<Readonly<Record<string, unknown>>> {
  const response = await ask(url, {
    headers: { accept: 'application/json' },
    redirect: 'error',
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  if (!response.ok) {
    await response.body?.cancel();
    throw refused(`the issuer answers ${String(response.status)}`, url);
  }
  const value = parsed(await readText(response, url));
  if (typeof value === 'object' && value !== null) return value as Readonly<Record<string, unknown>>;
  throw refused('the issuer answers no JSON object', url);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

async function readText(response: Response, url: string): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += (chunk as Uint8Array).length;
    // Leaving the loop cancels what is left of the body.
    if (bytes > MAX_BYTES) throw refused('the issuer answers more than 256 KB', url);
    chunks.push(chunk as Uint8Array);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function refused(message: string, where: string): WeftError {
  return new WeftError('UNAVAILABLE', message, { where });
}
