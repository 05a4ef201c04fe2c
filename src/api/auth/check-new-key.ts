import { WeftError } from '../../platform/errors.js';
import { nameHint } from '../../platform/near-names.js';
import { isRatePerSecond, RATE_HINT } from '../../platform/rate-limiter.js';
import { API_SCOPES, isOrigin, type ApiScope } from './api-key.model.js';

const MAX_NAME_LENGTH = 200;
const MAX_ORIGINS = 50;

export interface NewApiKey {
  readonly name: string;
  /** Not empty; `edge` stands alone. */
  readonly scopes: readonly ApiScope[];
  /** Needed for the scope `ingest`. */
  readonly sourceId?: number;
  /** For the scope `edge`: as of {@link Principal}. */
  readonly origins?: readonly string[];
  /** A whole number from 1. */
  readonly ratePerSecond?: number;
  /** ms */
  readonly expiresAt?: number;
}

/** @throws WeftError BAD_REQUEST */
export function checkNewKey(
  { name, scopes, sourceId, origins = [], ratePerSecond, expiresAt }: NewApiKey,
  nowMs: number,
): void {
  if (name === '' || name.length > MAX_NAME_LENGTH) {
    throw refused('name', 'the name of a key is empty or too long', `use 1 to ${String(MAX_NAME_LENGTH)} characters`);
  }
  if (scopes.length === 0 || scopes.some((scope) => !API_SCOPES.includes(scope))) {
    throw refused('scopes', 'a key needs scopes', `give one or more of ${API_SCOPES.join(', ')}`);
  }
  if (scopes.includes('ingest') && sourceId === undefined) {
    throw refused(
      'sourceId',
      'a key with the scope ingest needs a source',
      'create a source first; events sent with the key belong to it',
    );
  }
  if (scopes.includes('pii') && !scopes.includes('read') && !scopes.includes('admin')) {
    throw refused('scopes', 'the scope pii alone allows nothing', 'give read,pii: what read shows is then not masked');
  }
  // A page shows its key to everybody.
  if (scopes.includes('edge') && new Set(scopes).size > 1) {
    throw refused('scopes', 'the scope edge goes with no other', 'make a key of its own for pages');
  }
  checkOrigins(scopes, origins);
  if (ratePerSecond !== undefined && !isRatePerSecond(ratePerSecond)) {
    throw refused('ratePerSecond', 'this can be no rate', RATE_HINT);
  }
  if (expiresAt !== undefined && expiresAt <= nowMs) {
    throw refused('expiresAt', 'the key would have ended already', 'give a time that is to come');
  }
}

/** @throws WeftError BAD_REQUEST */
export function checkOrigins(scopes: readonly ApiScope[], origins: readonly string[]): void {
  if (origins.length > 0) checkHasOrigins(scopes);
  if (origins.length > MAX_ORIGINS) {
    throw refused('origins', `more than ${String(MAX_ORIGINS)} origins`, 'make several keys');
  }
  for (const [index, origin] of origins.entries()) {
    if (isOrigin(origin)) continue;
    throw refused(`origins[${String(index)}]`, 'this is no origin', originHint(origin));
  }
}

/** The origin of an address, where that is what was given. */
function originHint(text: string): string {
  const origin = URL.canParse(text) ? new URL(text).origin : '';
  if (isOrigin(origin)) return `write ${origin}, without path or slash behind it`;
  return 'write scheme and host in lower case, and the port unless it is the usual one, as in https://shop.example; * for all';
}

/** @throws WeftError BAD_REQUEST */
export function checkHasOrigins(scopes: readonly ApiScope[]): void {
  if (scopes.includes('edge')) return;
  throw refused('origins', 'only keys with the scope edge are bound to origins', 'leave the origins out');
}

/**
 * Whoever takes off what is not there means something else, which would stay.
 * @throws WeftError BAD_REQUEST
 */
export function checkRemovedOrigins(remove: readonly string[], origins: readonly string[]): void {
  for (const [index, origin] of remove.entries()) {
    if (origins.includes(origin)) continue;
    throw refused(
      `remove[${String(index)}]`,
      isOrigin(origin) ? 'the key does not name this origin' : 'this is no origin',
      nameHint(origin, origins, 'look up the origins that the key names'),
    );
  }
}

function refused(where: string, message: string, hint: string): WeftError {
  return new WeftError('BAD_REQUEST', message, { where, hint });
}
