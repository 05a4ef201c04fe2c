import { HttpCalls } from './http-calls.js';
import { CONNECTIONS, loadHttp, type HttpRun } from './load-http.js';
import { figure, ratio, type Section } from './report.js';
import type { Ready, ServerProcess } from './server-process.js';
import { knownCookie, MODEL, PAGE_FEATURES, PAGE_TRAITS } from './shop-workload.js';

/** Below this the rate of a server is not its own alone: clients or other processes held it up, % of a core. */
const SATURATED = 85;

/** What a page asks of its visitor. */
const PAGE_QUERY = `query Page($visitor: String!) {
  profile(identifier: { namespace: "anonymous_id", value: $visitor }) {
    id
    traits(names: ${JSON.stringify(PAGE_TRAITS)})
    features(names: ${JSON.stringify(PAGE_FEATURES)}) { name value status }
    segments { segment { key } since }
    score(model: ${JSON.stringify(MODEL)}) { score version }
  }
}`;

export interface ReadsOptions {
  readonly profiles: number;
  readonly rounds: number;
  readonly secondsPerRound: number;
  /** Where the profiles are, as `in the server’s process`. */
  readonly onlineStore: string;
  readonly profileTo: string | null;
}

type Bodies = readonly Buffer[];

/** Profile queries over HTTP, in turns with a bare Fastify route of the same process that answers the same bytes. */
export async function measureReads(host: Ready & { server: ServerProcess }, options: ReadsOptions): Promise<Section> {
  const { server, url, readKey } = host;
  const bodies = Array.from({ length: options.profiles }, (_, visitor) =>
    Buffer.from(JSON.stringify({ query: PAGE_QUERY, variables: { visitor: knownCookie(visitor) } })),
  );
  const answer = await askEach(url, readKey, bodies);
  const bareUrl = await server.call('startBare', answer);
  const requests = bodies.map((body) => ({ method: 'POST' as const, body }));
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${readKey}` };
  const runOf = (base: string): Promise<HttpRun> =>
    loadHttp(() => server.call('cpuMs'), {
      url: `${base}/graphql`,
      headers,
      requests,
      seconds: options.secondsPerRound,
    });
  await runOf(url);
  await runOf(bareUrl);
  const graphql: HttpRun[] = [];
  const bare: HttpRun[] = [];
  for (let round = 0; round < options.rounds; round++) {
    graphql.push(await runOf(url));
    bare.push(await runOf(bareUrl));
  }
  await server.call('startProfile');
  await runOf(url);
  const file = options.profileTo === null ? null : `${options.profileTo}/read.cpuprofile`;
  const { parts } = await server.call('stopProfile', file);
  const each = (runs: readonly HttpRun[], field: keyof HttpRun): number[] => runs.map((run) => run[field]);
  return {
    title: `Reads over HTTP, ${String(options.profiles)} profiles ${options.onlineStore}`,
    notes: [
      'GraphQL: by identifier, the id, 4 traits, 10 features, the segments and a score; another profile each time.',
      `bare: a Fastify route of the same process, which answers ${String(answer.length)} bytes made before.`,
      `${String(CONNECTIONS)} connections of another process, which wait for one answer before they ask for the next.`,
      ...saturationNotes(bare),
    ],
    figures: [
      figure('GraphQL', 'req/s', each(graphql, 'perSecond')),
      figure('bare', 'req/s', each(bare, 'perSecond')),
      ratio('GraphQL ÷ bare', each(graphql, 'perSecond'), each(bare, 'perSecond'), '≥ 0.15'),
      ratio('GraphQL ÷ bare, by CPU a request', each(bare, 'cpuUsPerRequest'), each(graphql, 'cpuUsPerRequest')),
      figure('GraphQL: server busy', '%', each(graphql, 'serverBusy')),
      figure('bare: server busy', '%', each(bare, 'serverBusy')),
      figure('GraphQL: p50', 'ms', each(graphql, 'p50Ms')),
      figure('GraphQL: p99', 'ms', each(graphql, 'p99Ms')),
      figure('bare: p50', 'ms', each(bare, 'p50Ms')),
      figure('bare: p99', 'ms', each(bare, 'p99Ms')),
      figure('GraphQL: server CPU', 'µs/req', each(graphql, 'cpuUsPerRequest')),
      figure('bare: server CPU', 'µs/req', each(bare, 'cpuUsPerRequest')),
    ],
    profile: parts,
  };
}

/**
 * A rate is the share of a core that the server got, over its CPU a request. So where the bare route got less of a core,
 * the ratio of rates is too good; that by CPU is closer, but a request is dearer, too, on a server that is less busy.
 */
export function saturationNotes(bare: readonly HttpRun[]): string[] {
  const starved = bare.filter(({ serverBusy }) => serverBusy < SATURATED).length;
  if (starved === 0) return [];
  return [
    `In ${String(starved)} of ${String(bare.length)} rounds the bare route was busy less than ${String(SATURATED)} % of the time: both ratios are too good.`,
  ];
}

/** Asks for every profile once, so that each is in the online store; the last answer. */
async function askEach(url: string, key: string, bodies: Bodies): Promise<string> {
  const http = new HttpCalls(CONNECTIONS, key);
  let answer = '';
  for (let from = 0; from < bodies.length; from += CONNECTIONS) {
    const some = bodies.slice(from, from + CONNECTIONS);
    const answers = await Promise.all(some.map((body) => http.post(`${url}/graphql`, body)));
    for (const text of answers) {
      const { errors, data } = JSON.parse(text) as { errors?: unknown; data?: { profile: unknown } };
      if (errors !== undefined || !data?.profile) throw new Error(`a query was answered ${text}`);
      answer = text;
    }
  }
  http.close();
  return answer;
}
