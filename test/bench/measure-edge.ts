import { EDGE_DOCUMENT_ID, edgeUrl, type EdgeProfileAnswer } from '../support/edge-calls.js';
import { CONNECTIONS, loadHttp, type HttpRun } from './load-http.js';
import { LoopWatch, type LoopPauses } from './loop-watch.js';
import { saturationNotes } from './measure-reads.js';
import { figure, ratio, type Section } from './report.js';
import type { Ready, ServerProcess } from './server-process.js';
import { knownCookie } from './shop-workload.js';

/** Of the highest rate, at which the answer times are measured. */
const LOAD_SHARE = 0.7;
/** So many that the server is never without a request: with fewer it pays for waking its clients each time. */
const EDGE_CONNECTIONS = 50;

/**
 * What the answers hold of models: nothing; what one says of each visitor, asked for the first time; or what it said of
 * them a moment ago, which is remembered.
 */
export type EdgeScores = 'none' | 'new' | 'known';

export interface EdgeOptions {
  readonly profiles: number;
  readonly rounds: number;
  readonly secondsPerRound: number;
  readonly scores: EdgeScores;
  readonly profileTo: string | null;
}

type Host = Ready & { readonly server: ServerProcess };

interface Loaded {
  readonly run: HttpRun;
  readonly server: LoopPauses;
  readonly client: LoopPauses;
}

/** Page views as browsers ask, in turns with a bare Fastify route of the same process that answers the same bytes. */
export async function measureEdge(host: Host, options: EdgeOptions): Promise<Section> {
  const views = new PageViews(host, options);
  const answer = await views.askEach();
  const bareUrl = await host.server.call('startBare', answer);
  await views.highest();
  await views.highest(bareUrl);
  const edge: HttpRun[] = [];
  const bare: HttpRun[] = [];
  const loaded: Loaded[] = [];
  for (let round = 0; round < options.rounds; round++) {
    const highest = await views.highest();
    edge.push(highest);
    bare.push(await views.highest(bareUrl));
    // Too short a time for a percentile: visitors are new only once.
    if (options.scores !== 'new') loaded.push(await views.atRate(highest.perSecond * LOAD_SHARE));
  }
  const profile = await views.profiled();
  return {
    title: `Page views: edgeProfile over HTTP, ${String(options.profiles)} visitors${TITLES[options.scores]}`,
    notes: [
      `GET with the key and ${EDGE_DOCUMENT_ID.slice(0, 15)}… in the address, another visitor each time; segments, 2 traits${options.scores === 'none' ? '' : ', a score'}.`,
      `bare: a Fastify route of the same process, which answers ${String(answer.length)} bytes made before to the same address.`,
      `${String(EDGE_CONNECTIONS)} connections of another process, ${String(CONNECTIONS)} at 70 %, which wait for one answer before they ask for the next.`,
      'What counts is the ratio by CPU: that of rates is one of the two servers only where the client keeps both busy.',
      ...saturationNotes(bare),
    ],
    figures: [...highestFigures(edge, bare), ...loadedFigures(loaded)],
    profile,
  };
}

const TITLES: Readonly<Record<EdgeScores, string>> = {
  none: '',
  new: ', with a score of each for the first time',
  known: ', with a score that is known',
};

function highestFigures(edge: readonly HttpRun[], bare: readonly HttpRun[]): Section['figures'] {
  const each = (runs: readonly HttpRun[], field: keyof HttpRun): number[] => runs.map((run) => run[field]);
  return [
    ratio(
      'edgeProfile ÷ bare, by CPU a request',
      each(bare, 'cpuUsPerRequest'),
      each(edge, 'cpuUsPerRequest'),
      '≥ 0.5',
    ),
    figure('edgeProfile: server CPU', 'µs/req', each(edge, 'cpuUsPerRequest')),
    figure('bare: server CPU', 'µs/req', each(bare, 'cpuUsPerRequest')),
    ratio('edgeProfile ÷ bare, by rate', each(edge, 'perSecond'), each(bare, 'perSecond')),
    figure('edgeProfile: highest rate', 'req/s', each(edge, 'perSecond')),
    figure('bare: highest rate', 'req/s', each(bare, 'perSecond')),
    figure('edgeProfile: server busy', '%', each(edge, 'serverBusy')),
    figure('bare: server busy', '%', each(bare, 'serverBusy')),
  ];
}

function loadedFigures(loaded: readonly Loaded[]): Section['figures'] {
  if (loaded.length === 0) return [];
  const each = (read: (round: Loaded) => number): number[] => loaded.map(read);
  return [
    figure(
      'at 70 % of it: p50',
      'ms',
      each(({ run }) => run.p50Ms),
    ),
    figure(
      'at 70 % of it: p99',
      'ms',
      each(({ run }) => run.p99Ms),
      '≤ 10',
    ),
    figure(
      'at 70 %: server late, p99',
      'ms',
      each(({ server }) => server.p99Ms),
    ),
    figure(
      'at 70 %: server late, longest',
      'ms',
      each(({ server }) => server.maxMs),
    ),
    figure(
      'at 70 %: server, longest garbage collection',
      'ms',
      each(({ server }) => server.gcMaxMs),
    ),
    figure(
      'at 70 %: client late, p99',
      'ms',
      each(({ client }) => client.p99Ms),
    ),
    figure(
      'at 70 %: client late, longest',
      'ms',
      each(({ client }) => client.maxMs),
    ),
  ];
}

class PageViews {
  readonly #host: Host;
  readonly #options: EdgeOptions;
  readonly #requests: readonly { readonly method: 'GET'; readonly path: string }[];
  readonly #loop = new LoopWatch();

  constructor(host: Host, options: EdgeOptions) {
    this.#host = host;
    this.#options = options;
    this.#requests = Array.from({ length: options.profiles }, (_, visitor) => ({
      method: 'GET' as const,
      path: edgeUrl('', { key: host.edgeKey, variables: variablesOf(visitor) }),
    }));
  }

  /** Asks for every visitor once, so that each is in the online store; the last answer. */
  async askEach(): Promise<string> {
    await this.#mark();
    let answer = '';
    for (let from = 0; from < this.#requests.length; from += CONNECTIONS) {
      const some = this.#requests.slice(from, from + CONNECTIONS);
      for (const { text, profile } of await Promise.all(some.map(({ path }) => this.#ask(path)))) {
        if (!this.#isWhole(profile)) throw new Error(`a page view was answered ${text}`);
        answer = text;
      }
    }
    return answer;
  }

  /** As many as are answered. @param bareUrl of the bare route; default: of Weft */
  async highest(bareUrl?: string): Promise<HttpRun> {
    const { scores, secondsPerRound } = this.#options;
    const isNew = scores === 'new' && bareUrl === undefined;
    if (isNew) await this.#mark();
    return this.#load({ url: bareUrl ?? this.#host.url, seconds: isNew ? null : secondsPerRound });
  }

  async atRate(perSecond: number): Promise<Loaded> {
    const { server, url } = this.#host;
    await server.call('loopPauses');
    this.#loop.read();
    const run = await loadHttp(() => server.call('cpuMs'), {
      url,
      headers: HEADERS,
      requests: this.#requests,
      seconds: this.#options.secondsPerRound,
      perSecond,
    });
    return { run, server: await server.call('loopPauses'), client: this.#loop.read() };
  }

  async profiled(): Promise<NonNullable<Section['profile']>> {
    const { profileTo, scores } = this.#options;
    const { server } = this.#host;
    if (scores === 'new') await this.#mark();
    await server.call('startProfile');
    await this.#load({ url: this.#host.url, seconds: scores === 'new' ? null : this.#options.secondsPerRound });
    const name = scores === 'none' ? 'edge' : `edge-scores-${scores}`;
    return (await server.call('stopProfile', profileTo === null ? null : `${profileTo}/${name}.cpuprofile`)).parts;
  }

  #load(load: { readonly url: string; readonly seconds: number | null }): Promise<HttpRun> {
    const { server } = this.#host;
    return loadHttp(() => server.call('cpuMs'), {
      ...load,
      headers: HEADERS,
      requests: this.#requests,
      connections: EDGE_CONNECTIONS,
    });
  }

  /** Has the model marked, anew where it was: what was known of its scores is forgotten. */
  async #mark(): Promise<void> {
    const marks = this.#options.scores === 'none' ? [false] : [false, true];
    for (const isMarked of marks) {
      await this.#host.server.call('markScores', isMarked);
      // Until the server has looked.
      const [first] = this.#requests;
      while ((await this.#ask(first?.path ?? '')).profile.scores.length !== (isMarked ? 1 : 0));
    }
  }

  async #ask(path: string): Promise<{ text: string; profile: EdgeProfileAnswer }> {
    const text = await (await fetch(`${this.#host.url}${path}`)).text();
    const { data } = JSON.parse(text) as { data?: { edgeProfile: EdgeProfileAnswer } };
    if (data === undefined) throw new Error(`a page view was answered ${text}`);
    return { text, profile: data.edgeProfile };
  }

  #isWhole({ known, degraded, scores }: EdgeProfileAnswer): boolean {
    return known && !degraded && scores.length === (this.#options.scores === 'none' ? 0 : 1);
  }
}

const HEADERS = { accept: '*/*' };

function variablesOf(visitor: number): Record<string, unknown> {
  // The longest there is: what is measured is the whole answer.
  return { identifier: { namespace: 'anonymous_id', value: knownCookie(visitor) }, deadlineMs: 2_000 };
}
