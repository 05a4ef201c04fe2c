import { askWithin } from './ask-within.js';
import { createPace } from './pace.js';
import type { Problem } from './problem.js';
import type { Profile } from './profile.model.js';
import type { Runtime } from './runtime.js';

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
  /** `no-cache` asks Weft whether an answer that the browser holds is still right. */
  readonly cache?: RequestCache | undefined;
}

/**
 * How a question is sent.
 *
 * @param url with the key in it
 */
export type RequestMaker = (
  url: string,
  variables: { readonly identifier: EdgeIdentifier },
  init: RequestInit,
) => [url: string, init: RequestInit];

export interface EdgeClientOptions extends Pick<Runtime, 'later' | 'now' | 'random'> {
  readonly url: string;
  readonly edgeKey: string;
  /** Told why there is no profile; not where nothing was asked, because the last answer said to wait. */
  readonly onProblem: (problem: Problem) => void;
  /** Default: by GET, all of it in the address. */
  readonly byWay?: RequestMaker;
}

/** As much of an answer as is read. */
interface Answer {
  readonly data?: { readonly edgeProfile?: Profile | null } | null;
  readonly errors?: readonly { readonly message: string; readonly extensions?: { code?: string; hint?: string } }[];
}

/** By GET, which needs no preflight and may be answered by a cache on the way. */
export const byAddress: RequestMaker = (url, variables, init) => [
  `${url}&documentId=${EDGE_DOCUMENT_ID}&variables=${encodeURIComponent(JSON.stringify(variables))}`,
  init,
];

/**
 * Asks `edgeProfile`. Never rejects; null where there is no answer.
 *
 * Where Weft refuses, nothing is asked for a while: five minutes where the key or the url is wrong, or the key not for this
 * page; else as long as `Retry-After` says, and longer each time. A network that is down does not answer, and is tried each
 * time, as is whatever was wrong with one question alone.
 */
export function createEdgeClient({
  url,
  edgeKey,
  later,
  now,
  random,
  onProblem,
  byWay = byAddress,
}: EdgeClientOptions) {
  const pace = createPace({ now, random });

  return async ({ identifier, deadlineMs, after, cache }: EdgeQuestion): Promise<Profile | null> => {
    if (pace.waitMs() > 0) return null;
    const serverMs = Math.min(MAX_SERVER_DEADLINE_MS, Math.ceil(deadlineMs * SERVER_SHARE));
    const variables = { identifier, deadlineMs: serverMs, after };
    let status = 0;
    return askWithin(
      ...byWay(`${url}/graphql?key=${edgeKey}`, variables, { cache } as RequestInit),
      deadlineMs,
      later,
      async (response) => {
        ({ status } = response);
        // Answers that were under way together are one failure.
        if (!response.ok && pace.waitMs() <= 0) pace.refused(response);
        const { data, errors } = (await response.json()) as Answer;
        const profile = data?.edgeProfile;
        if (profile == null) {
          onProblem(refusal(status, errors?.[0]));
          return null;
        }
        pace.taken();
        return profile;
      },
      (isLate) => {
        onProblem(isLate ? LATE : status > 0 ? refusal(status) : UNREACHABLE);
        return null;
      },
    );
  };
}

const LATE: Problem = { code: 'PROFILE_LATE', message: 'none in time' };
const UNREACHABLE: Problem = { code: 'PROFILE_UNREACHABLE', message: 'offline, or url is wrong' };

function refusal(status: number, error?: NonNullable<Answer['errors']>[0]): Problem {
  const { code: cause, hint } = error?.extensions ?? {};
  return { code: 'PROFILE_REFUSED', message: error?.message ?? `Weft answered ${status}`, cause, hint };
}

export type EdgeClient = ReturnType<typeof createEdgeClient>;
