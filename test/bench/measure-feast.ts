import { HttpCalls } from './http-calls.js';
import { startFeastServer, type FeastValues } from './feast-server.js';
import { loadHttp, type CpuMeter, type HttpRun } from './load-http.js';
import { figure, ratio, type Section } from './report.js';
import type { Ready, ServerProcess } from './server-process.js';
import { knownCookie, WIDE_FEATURES } from './shop-workload.js';

const SIZES = [1, 10, 100] as const;
/** Different requests of a size. */
const REQUESTS = 50;
const JOIN_KEY = 'anonymous_id';
const NAMES = WIDE_FEATURES.map(({ name }) => name);
const ASKED = NAMES.map((name) => `wide:${name}`);
/** Passed by for the rate; for times each request is alone. */
const CONNECTIONS = 10;

export interface FeastOptions {
  readonly profiles: number;
  readonly rounds: number;
  readonly secondsPerRound: number;
  readonly profileTo: string | null;
  /** Null: Feast's server is left out, as where there is no Python that has it. */
  readonly feast: { readonly python: string; readonly redisUrl: string; readonly folder: string } | null;
}

interface Asked {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly cpu: CpuMeter;
}

interface Runs {
  readonly rate: HttpRun[];
  readonly alone: HttpRun[];
}

/** `POST /get-online-features`: 50 features of 1, 10 and 100 entities, in turns with Feast's own server on Redis. */
export async function measureFeast(host: Ready & { server: ServerProcess }, options: FeastOptions): Promise<Section> {
  const { server, url, readKey } = host;
  const json = { 'content-type': 'application/json' };
  const ours: Asked = {
    url,
    headers: { ...json, authorization: `Bearer ${readKey}` },
    cpu: () => server.call('cpuMs'),
  };
  const values = await readAll(url, readKey, options.profiles);
  const other =
    options.feast === null ? null : await startFeastServer(options.feast.python, { ...options.feast, values });
  const feast = other === null ? null : { url: other.url, headers: json, cpu: () => other.cpuMs() };
  try {
    const figures = [];
    for (const size of SIZES) figures.push(...(await measureSize(size, ours, feast, options)));
    await server.call('startProfile');
    await runOf(ours, requestsOf(100, options.profiles), {
      connections: CONNECTIONS,
      seconds: options.secondsPerRound,
    });
    const file = options.profileTo === null ? null : `${options.profileTo}/feast.cpuprofile`;
    const { parts } = await server.call('stopProfile', file);
    return {
      title: 'Features by Feast’s HTTP interface, 50 of each entity',
      notes: notesOf(options),
      figures,
      profile: parts,
    };
  } finally {
    await other?.stop();
  }
}

function notesOf({ profiles, feast }: FeastOptions): string[] {
  return [
    `${String(profiles)} profiles in the server’s process; ${String(REQUESTS)} different requests of each size.`,
    `Rates of ${String(CONNECTIONS)} connections of another process; times of one connection, whose requests are alone.`,
    feast === null
      ? 'Feast’s server is not measured: WEFT_TEST_FEAST_PYTHON names no Python that has it, or there is no redis-server.'
      : 'Feast: its own feature server, one worker, on Redis, with the same values; CPU without that of Redis. In turns.',
  ];
}

async function measureSize(
  size: number,
  ours: Asked,
  feast: Asked | null,
  options: FeastOptions,
): Promise<Section['figures']> {
  const requests = requestsOf(size, options.profiles);
  const [own, other]: [Runs, Runs] = [
    { rate: [], alone: [] },
    { rate: [], alone: [] },
  ];
  const sides: [Asked, Runs][] = [[ours, own], ...(feast === null ? [] : [[feast, other] satisfies [Asked, Runs]])];
  for (const [side] of sides) await runOf(side, requests, { connections: CONNECTIONS, seconds: 1 });
  for (let round = 0; round < options.rounds; round++) {
    for (const [side, runs] of sides) {
      const seconds = options.secondsPerRound;
      runs.rate.push(await runOf(side, requests, { connections: CONNECTIONS, seconds }));
      runs.alone.push(await runOf(side, requests, { connections: 1, seconds }));
    }
  }
  const each = (runs: readonly HttpRun[], field: keyof HttpRun): number[] => runs.map((run) => run[field]);
  const what = `${String(size)} × ${String(NAMES.length)}`;
  const sideFigures = (name: string, runs: Runs, aim?: string): Section['figures'] => [
    figure(`${what}, ${name}`, 'req/s', each(runs.rate, 'perSecond')),
    figure(`${what}, ${name}: p50`, 'ms', each(runs.alone, 'p50Ms')),
    figure(`${what}, ${name}: p99`, 'ms', each(runs.alone, 'p99Ms'), aim),
    figure(`${what}, ${name}: server CPU`, 'µs/req', each(runs.rate, 'cpuUsPerRequest')),
  ];
  return [
    ...sideFigures('Weft', own, size === 100 ? '≤ 5' : undefined),
    ...(feast === null
      ? []
      : [
          ...sideFigures('Feast', other),
          ratio(`${what}, Weft ÷ Feast`, each(own.rate, 'perSecond'), each(other.rate, 'perSecond'), '≥ 10'),
          ratio(
            `${what}, Weft ÷ Feast, by CPU`,
            each(other.rate, 'cpuUsPerRequest'),
            each(own.rate, 'cpuUsPerRequest'),
          ),
        ]),
  ];
}

function runOf(
  { url, headers, cpu }: Asked,
  requests: readonly Buffer[],
  { connections, seconds }: { readonly connections: number; readonly seconds: number },
): Promise<HttpRun> {
  const posts = requests.map((body) => ({ method: 'POST' as const, body }));
  return loadHttp(cpu, { url: `${url}/get-online-features`, headers, requests: posts, seconds, connections });
}

function requestsOf(size: number, profiles: number): Buffer[] {
  return Array.from({ length: REQUESTS }, (_, i) => bodyOf(size, (visitor) => (i * size + visitor) % profiles));
}

function bodyOf(size: number, visitorAt: (index: number) => number): Buffer {
  const cookies = Array.from({ length: size }, (_, i) => knownCookie(visitorAt(i)));
  return Buffer.from(JSON.stringify({ features: ASKED, entities: { [JOIN_KEY]: cookies } }));
}

/** What Weft answers of everybody, for Feast to answer the same. */
async function readAll(url: string, key: string, profiles: number): Promise<FeastValues> {
  const size = 100;
  const http = new HttpCalls(1, key);
  const rows: Record<string, unknown[]> = {};
  for (let from = 0; from < profiles; from += size) {
    const body = bodyOf(size, (index) => from + index);
    const answer = JSON.parse(await http.post(`${url}/get-online-features`, body)) as {
      readonly results: readonly { readonly values: unknown[]; readonly statuses: readonly string[] }[];
      readonly metadata: { readonly feature_names: readonly string[] };
    };
    for (const [i, name] of answer.metadata.feature_names.entries()) {
      const column = answer.results[i];
      if (column?.statuses.every((status) => status === 'NOT_FOUND') === true) throw new Error(`nobody has ${name}`);
      (rows[name] ??= []).push(...(column?.values ?? []));
    }
  }
  http.close();
  return {
    join_key: JOIN_KEY,
    features: Object.fromEntries(WIDE_FEATURES.map(({ name, type }) => [name, type])),
    rows,
  };
}
