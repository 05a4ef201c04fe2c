import { WeftError } from '../../platform/errors.js';
import { isSecretShaped } from './api-key.model.js';

/** What a key is for, by how it begins. */
const KINDS: Readonly<Record<string, string>> = {
  weft_a_: 'an admin key, which everybody could read here: revoke it if it is one of yours',
  weft_r_: 'a read key, which everybody could read here: revoke it if it is one of yours',
  weft_i_: 'a write key',
  weft_s_: 'a signing secret, which belongs on the server of the site only',
};
const PREFIX_LENGTH = 7;
const EDGE_PREFIX = 'weft_e_';

/**
 * What somebody without a valid credential is told. It depends on the form of what they sent and on nothing else, so that
 * it tells nobody whether such a key has ever been.
 *
 * @param inAddress what the query string has as `key`
 */
export function unauthenticated(inAddress?: unknown): WeftError {
  return new WeftError('UNAUTHENTICATED', 'the API key is missing or not valid', {
    where: typeof inAddress === 'string' ? 'key' : 'authorization',
    hint: hintOn(inAddress),
  });
}

function hintOn(inAddress: unknown): string {
  if (typeof inAddress !== 'string') {
    return 'send the header "Authorization: Bearer <key>"; in the query string, as key, only edge keys count';
  }
  const kind = KINDS[inAddress.slice(0, PREFIX_LENGTH)];
  if (kind !== undefined) return `this looks like ${kind}; page views take an edge key, ${EDGE_PREFIX}…`;
  if (!inAddress.startsWith(EDGE_PREFIX)) return `page views take an edge key, ${EDGE_PREFIX}…; this is none`;
  if (!isSecretShaped(inAddress))
    return `an edge key is ${EDGE_PREFIX} and 43 letters and digits: a part may be missing`;
  return 'weft keys list shows which keys are in use';
}
