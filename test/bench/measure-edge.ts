import { EDGE_DOCUMENT_ID, edgeUrl, type EdgeProfileAnswer } from '../support/edge-calls.js';
import { CONNECTIONS, loadHttp, type HttpRun } from './load-http.js';
import { saturationNotes } from './measure-reads.js';
import { figure, ratio, type Section } from './report.js';
import type { Ready, ServerProcess } from './server-process.js';
import { knownCookie } from './shop-workload.js';

/** Of the highest rate, at which the answer times are measured. */
const LOAD_SHARE = 0.7;
/** So many that the server is never without a request: with fewer it pays for waking its clients each time. */
const EDGE_CONNECTIONS = 50;

export interface EdgeOptions {
  readonly profiles: number;
  readonly rounds: number;
  readonly secondsPerRound: number;
  /** Whether a model is marked, so that each answer holds a score. */
  readonly scores: boolean;
  readonly profileTo: string | null;
}

/** Page views as browsers ask, in turns with a bare Fastify route of the same process that answers the same bytes. */
export async function measureEdge(host: Ready & { server: ServerProcess }, options: EdgeOptions): Promise<Section> {
  const { server, url, edgeKey } = host;
  await server.call('markScores', options.scores);
  const requests = Array.from({ length: options.profiles }, (_, visitor) => ({
    method: 'GET' as const,
    path: edgeUrl('', { key: edgeKey, variables: variablesOf(visitor) }),
  }));
  const answer = await askEach(url, requests, options.scores);
  const bareUrl = await server.call('startBare', answer);
  const headers = { accept: '*/*' };
  const { secondsPerRound: seconds } = options;
  const runOf = (base: string): Promise<HttpRun> =>
    loadHttp(server, { url: base, headers, requests, seconds, connections: EDGE_CONNECTIONS });
  await runOf(url);
  await runOf(bareUrl);
  const edge: HttpRun[] = [];
  const bare: HttpRun[] = [];
  const loaded: HttpRun[] = [];
  for (let round = 0; round < options.rounds; round++) {
    const highest = await runOf(url);
    edge.push(highest);
    bare.push(await runOf(bareUrl));
    loaded.push(await loadHttp(server, { url, headers, requests, seconds, perSecond: highest.perSecond * LOAD_SHARE }));
  }
  await server.call('startProfile');
  await runOf(url);
  const name = options.scores ? 'edge-scores' : 'edge';
  const file = options.profileTo === null ? null : `${options.profileTo}/${name}.cpuprofile`;
  const { parts } = await server.call('stopProfile', file);
  const each = (runs: readonly HttpRun[], field: keyof HttpRun): number[] => runs.map((run) => run[field]);
  return {
    title: `Page views: edgeProfile over HTTP, ${String(options.profiles)} visitors${options.scores ? ', with a score' : ''}`,
    notes: [
      `GET with the key and ${EDGE_DOCUMENT_ID.slice(0, 15)}… in the address, another visitor each time; segments, 2 traits${options.scores ? ', a score' : ''}.`,
      `bare: a Fastify route of the same process, which answers ${String(answer.length)} bytes made before to the same address.`,
      `${String(EDGE_CONNECTIONS)} connections of another process, ${String(CONNECTIONS)} at 70 %, which wait for one answer before they ask for the next.`,
      ...saturationNotes(bare),
    ],
    figures: [
      figure('edgeProfile: highest rate', 'req/s', each(edge, 'perSecond')),
      figure('bare: highest rate', 'req/s', each(bare, 'perSecond')),
      ratio('edgeProfile ÷ bare', each(edge, 'perSecond'), each(bare, 'perSecond'), '≥ 0.5'),
      ratio('edgeProfile ÷ bare, by CPU a request', each(bare, 'cpuUsPerRequest'), each(edge, 'cpuUsPerRequest')),
      figure('edgeProfile: at 70 % of it, p50', 'ms', each(loaded, 'p50Ms')),
      figure('edgeProfile: at 70 % of it, p99', 'ms', each(loaded, 'p99Ms'), '≤ 10'),
      figure('edgeProfile: server busy', '%', each(edge, 'serverBusy')),
      figure('bare: server busy', '%', each(bare, 'serverBusy')),
      figure('edgeProfile: server CPU', 'µs/req', each(edge, 'cpuUsPerRequest')),
      figure('bare: server CPU', 'µs/req', each(bare, 'cpuUsPerRequest')),
    ],
    profile: parts,
  };
}

function variablesOf(visitor: number): Record<string, unknown> {
  // The longest there is: what is measured is the whole answer.
  return { identifier: { namespace: 'anonymous_id', value: knownCookie(visitor) }, deadlineMs: 2_000 };
}

/** Asks for every visitor once, so that each is in the online store; the last answer. */
async function askEach(url: string, requests: readonly { readonly path: string }[], scores: boolean): Promise<string> {
  const ask = async (path: string): Promise<{ text: string; profile: EdgeProfileAnswer }> => {
    const text = await (await fetch(`${url}${path}`)).text();
    const { data } = JSON.parse(text) as { data?: { edgeProfile: EdgeProfileAnswer } };
    if (data === undefined) throw new Error(`a page view was answered ${text}`);
    return { text, profile: data.edgeProfile };
  };
  const isWhole = ({ known, degraded, scores: told }: EdgeProfileAnswer): boolean =>
    known && !degraded && told.length === (scores ? 1 : 0);
  // Until the server has looked at the marks.
  while (!isWhole((await ask(requests[0]?.path ?? '')).profile));
  let answer = '';
  for (let from = 0; from < requests.length; from += CONNECTIONS) {
    const answers = await Promise.all(requests.slice(from, from + CONNECTIONS).map(({ path }) => ask(path)));
    for (const { text, profile } of answers) {
      if (!isWhole(profile)) throw new Error(`a page view was answered ${text}`);
      answer = text;
    }
  }
  return answer;
}
