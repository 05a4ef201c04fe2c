import type { EventSource } from '../../events/accept.model.js';
import { WeftError } from '../../platform/errors.js';
import type { LimitedSource } from '../request-limits.js';
import { hasScope, type Principal } from './api-key.model.js';
import type { Credentials } from './credentials.js';

/** A key that may send events, and the source that they come from. */
export interface IngestKey extends Pick<Principal, 'id' | 'ratePerSecond'> {
  readonly source: IngestSource;
}

type IngestSource = EventSource & LimitedSource;

export interface IngestKeyLookup {
  readonly keys: Pick<Credentials, 'verify'>;
  readonly sources: { findById(id: number): Promise<IngestSource | null> };
}

/** @throws WeftError UNAUTHENTICATED, FORBIDDEN for a key of another kind */
export async function verifyIngestKey({ keys, sources }: IngestKeyLookup, secret: unknown): Promise<IngestKey> {
  const key = typeof secret === 'string' && secret !== '' ? await keys.verify(secret) : null;
  if (key === null) {
    throw new WeftError('UNAUTHENTICATED', 'the write key is missing or not valid', {
      hint: 'send a key with the scope ingest as Basic user, as Bearer token, or as "writeKey" in the query or the body',
    });
  }
  const source = hasScope(key, 'ingest') && key.sourceId !== null ? await sources.findById(key.sourceId) : null;
  if (source === null) {
    throw new WeftError('FORBIDDEN', 'this key may not send events', {
      hint: 'use a key with the scope ingest that belongs to a source',
    });
  }
  return { id: key.id, ratePerSecond: key.ratePerSecond, source };
}

/** RFC 7617 (Basic: the key is the user, the password is ignored) and RFC 6750 (Bearer). Null for anything else. */
export function secretOfHeader(header: string): string | null {
  const space = header.indexOf(' ');
  const scheme = header.slice(0, space).toLowerCase();
  const credentials = header.slice(space + 1).trim();
  if (scheme === 'bearer') return credentials;
  if (scheme !== 'basic') return null;
  const userAndPassword = Buffer.from(credentials, 'base64').toString('latin1');
  const colon = userAndPassword.indexOf(':');
  return colon === -1 ? userAndPassword : userAndPassword.slice(0, colon);
}
