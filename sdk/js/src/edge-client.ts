import type { Profile } from './profile.model.js';
import type { Later } from './runtime.js';

/**
 * The id of the stored document `EdgeProfile`, which every Weft has: the SHA-256 of its text. A key for browsers may ask
 * for stored documents only.
 */
export const EDGE_DOCUMENT_ID = 'sha256:8dfbcf2dd471a66ef34cedba37ff2f1cedd80ec3c145666356a949e3a2ca057b';

/** The share of the caller's time that Weft may take; the rest is for the way there and back. */
const SERVER_SHARE = 0.75;
const MAX_SERVER_DEADLINE_MS = 2_000;

/** Who is asked about. An `anonymous_id` that nobody can guess needs no signature, all else does. */
export interface EdgeIdentifier {
  readonly namespace: string;
  readonly value: string;
  /** Made by the site's server with `signIdentifier`. */
  readonly signature?: string;
}

export interface EdgeQuestion {
  readonly identifier: EdgeIdentifier;
  /** For everything, the network too. */
  readonly deadlineMs: number;
  /** Token of the visitor's last events, which the answer shall count. */
  readonly after?: string | undefined;
  /** Asks Weft whether an answer that the browser holds is still right. */
  readonly revalidate?: boolean | undefined;
}

/** Why there is no answer: the time was over or the network down (0), or the status that Weft answered with. */
export type EdgeAnswer = { readonly profile: Profile } | { readonly profile: null; readonly status: number };

export interface EdgeClientOptions {
  readonly url: string;
  readonly edgeKey: string;
  readonly later: Later;
}

/** Asks `edgeProfile` by GET, which needs no preflight and may be answered by a cache on the way. Never rejects. */
export function createEdgeClient({ url, edgeKey, later }: EdgeClientOptions) {
  return async ({ identifier, deadlineMs, after, revalidate }: EdgeQuestion): Promise<EdgeAnswer> => {
    const serverMs = Math.min(MAX_SERVER_DEADLINE_MS, Math.ceil(deadlineMs * SERVER_SHARE));
    const query = new URLSearchParams({
      key: edgeKey,
      documentId: EDGE_DOCUMENT_ID,
      variables: JSON.stringify({ identifier, deadlineMs: serverMs, after }),
    });
    const abort = new AbortController();
    const callOff = later(() => abort.abort(), deadlineMs);
    try {
      const response = await fetch(`${url}/graphql?${query.toString()}`, {
        credentials: 'omit',
        signal: abort.signal,
        ...(revalidate === true ? { cache: 'no-cache' } : {}),
      });
      const { data } = (await response.json()) as { data?: { edgeProfile?: Profile | null } | null };
      const profile = data?.edgeProfile;
      return profile == null ? { profile: null, status: response.status } : { profile };
    } catch {
      return { profile: null, status: 0 };
    } finally {
      callOff();
    }
  };
}

export type EdgeClient = ReturnType<typeof createEdgeClient>;
