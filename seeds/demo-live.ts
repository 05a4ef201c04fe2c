import { createClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import type { Clock } from '../src/platform/clock.js';
import { CHANGES } from './demo-queries.js';
import { LiveTraffic, type TrafficTotals } from './live-traffic.js';
import { readSessions } from './record-sessions.js';

export interface LiveHost {
  readonly url: string;
  readonly readKey: string;
  readonly writeKey: string;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly stdout: NodeJS.WritableStream;
}

interface ChangeEvent {
  readonly segmentChanges: {
    readonly kind: 'ENTER' | 'LEAVE';
    readonly at: string;
    readonly segment: { readonly key: string };
    readonly profile: {
      readonly id: string;
      readonly identifiers: readonly { namespace: string; value: string }[];
    } | null;
    readonly cause: { readonly kind: string };
  };
}

/** Sends live traffic and prints who enters and leaves which segment, until the signal aborts. */
export async function runLive(host: LiveHost): Promise<TrafficTotals> {
  const unsubscribe = subscribe(host);
  try {
    const sessions = await readSessions(new URL('./data/web-events.csv.gz', import.meta.url).pathname);
    const traffic = new LiveTraffic({ baseUrl: host.url, writeKey: host.writeKey, sessions, clock: host.clock });
    return await traffic.run(host.signal);
  } finally {
    unsubscribe();
  }
}

function subscribe(host: LiveHost): () => void {
  const client = createClient({
    url: `${host.url.replace(/^http/, 'ws')}/graphql`,
    webSocketImpl: WebSocket,
    connectionParams: { apiKey: host.readKey },
    retryAttempts: 10,
  });
  const end = client.subscribe<ChangeEvent>(
    { query: CHANGES },
    {
      next: ({ data }) => {
        if (data !== undefined && data !== null) host.stdout.write(`${formatChange(data.segmentChanges)}\n`);
      },
      error: (error) => {
        host.stdout.write(`  the subscription ended: ${describe(error)}\n`);
      },
      complete: () => undefined,
    },
  );
  return () => {
    end();
    void client.dispose();
  };
}

/** `09:41:05  enters  cart_abandoned  ada@example.org  by the clock` */
export function formatChange(change: ChangeEvent['segmentChanges']): string {
  const time = change.at.slice(11, 19);
  const verb = change.kind === 'ENTER' ? 'enters' : 'leaves';
  const by = change.cause.kind === 'TIMER' ? 'by the clock' : `by ${change.cause.kind.toLowerCase()}`;
  return `  ${time}  ${verb}  ${change.segment.key.padEnd(22)}  ${who(change.profile).padEnd(36)}  ${by}`;
}

const NAMES_BY_PREFERENCE = ['email', 'user_id', 'crm_id', 'twitter', 'instagram', 'anonymous_id'];

function who(profile: ChangeEvent['segmentChanges']['profile']): string {
  for (const namespace of NAMES_BY_PREFERENCE) {
    const identifier = profile?.identifiers.find((each) => each.namespace === namespace);
    if (identifier !== undefined) return identifier.value;
  }
  return profile?.id ?? 'somebody erased';
}

function describe(error: unknown): string {
  if (error instanceof Error) return error.message;
  if (Array.isArray(error)) return error.map(describe).join(', ');
  const reason = (error as { reason?: unknown }).reason;
  return typeof reason === 'string' && reason !== '' ? reason : 'the connection broke';
}

/** Three things to paste into another terminal. */
export function thingsToPaste(url: string, readKey: string, identifier: { namespace: string; value: string }): string {
  const curl = (path: string, query: string, options = ''): string =>
    `  curl -s${options} ${url}${path} \\\n    -H 'Authorization: Bearer ${readKey}' -H 'Content-Type: application/json' \\\n` +
    `    -d '${JSON.stringify({ query })}'\n`;
  const of = `identifier: { namespace: "${identifier.namespace}", value: "${identifier.value}" }`;
  return [
    'A profile, with its features as of now and the segments it is in:\n',
    curl(
      '/graphql',
      `{ profile(${of}) { id traits features(service: "purchase_intent_v1") { name value status } segments { segment { key } since } score(model: "purchase_intent") { score asOf } } }`,
    ),
    'A segment, with its size and its newest members:\n',
    curl(
      '/graphql',
      '{ segment(key: "cart_abandoned") { name expression size members(first: 5) { edges { node { id } since } } } }',
    ),
    'Every change of membership, as it happens (Ctrl-C ends it):\n',
    curl(
      '/graphql/stream',
      'subscription { segmentChanges { cursor kind at segment { key } profile { id } cause { kind } } }',
      "N -H 'Accept: text/event-stream'",
    ),
  ].join('\n');
}
