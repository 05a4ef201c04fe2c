import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import type { Database } from '../../src/platform/postgres.js';
import type { BenchWorld } from './bench-world.js';
import { HttpCalls } from './http-calls.js';
import { figure, percentile, ratio, type Figure, type Section } from './report.js';
import type { ServerProcess } from './server-process.js';
import { asTrackingCall, shopEvents } from './shop-workload.js';

const BATCH_EVENTS = 500;
const CONNECTIONS = 4;
const WARM_UP_EVENTS = 10_000;
const COPIES = 3;

export interface IngestOptions {
  readonly events: number;
  readonly rounds: number;
  /** Whether a segment asks a model at each event. */
  readonly scores: boolean;
  /** Where profiles are written; null: nowhere. */
  readonly profileTo: string | null;
}

/** What each round saw, under the name of the figure; rates a second, times in µs an event. */
type Rounds = Record<'copy' | 'accept' | 'acceptCpu' | 'apply' | 'applyCpu' | 'applyPgCpu', number[]> &
  Record<'acked' | 'applied' | 'httpCpu' | 'httpPgCpu', number[]>;

/**
 * Events into an empty database: straight to the accept service and then through the pipeline, over HTTP with the
 * pipeline at work at the same time, and the same payloads by a plain COPY; in turns.
 */
export async function measureIngest(world: BenchWorld, options: IngestOptions): Promise<Section> {
  const { events, rounds: count, scores } = options;
  const suffix = scores ? '_scored' : '';
  const directUrl = await world.createDatabase(`ingest_direct${suffix}`);
  const direct = await world.startServer({ databaseUrl: directUrl, worker: false, define: true, scores });
  const database = await world.connect(directUrl);
  await database.execute(
    'CREATE TABLE plain_copy (pos bigint, accepted_at bigint, occurred_at bigint, anchor_id uuid, payload bytea)',
  );
  const httpUrl = await world.createDatabase(`ingest_http${suffix}`);
  const http = await world.startServer({ databaseUrl: httpUrl, worker: true, define: true, scores });
  const rounds: Rounds = {
    ...{ copy: [], accept: [], acceptCpu: [], apply: [], applyCpu: [], applyPgCpu: [] },
    ...{ acked: [], applied: [], httpCpu: [], httpPgCpu: [] },
  };
  await direct.server.call('accept', WARM_UP_EVENTS, 0);
  await direct.server.call('drain');
  await postEvents(http, { events: WARM_UP_EVENTS, round: 0 });
  for (let round = 1; round <= count; round++) {
    await measureDirect(world, direct.server, { events, round }, rounds);
    rounds.copy.push(await copyRate(database, directUrl, events));
    await measureHttp(world, http, { events, round }, rounds);
  }
  const profile = await profileDirect(direct.server, options);
  await Promise.all([direct.server.stop(), http.server.stop()]);
  return {
    title: `Ingest, ${String(events)} events a round${scores ? ', scored: a segment asks a model at each event' : ''}`,
    notes: [
      'accept: to the accept service, in the server’s process, until durable; apply: from the log through all stages.',
      `HTTP: /v1/batch, ${String(BATCH_EVENTS)} a batch, ${String(CONNECTIONS)} connections of another process, the pipeline works at the same time.`,
      'COPY: the same payloads and positions into a table without an index, in one transaction.',
    ],
    figures: figuresOf(rounds),
    profile,
  };
}

function figuresOf(rounds: Rounds): Figure[] {
  const perSecond = '/s';
  return [
    figure('plain COPY', perSecond, rounds.copy),
    figure('accept', perSecond, rounds.accept),
    figure('apply', perSecond, rounds.apply, '≥ 8,000'),
    ratio('apply ÷ COPY', rounds.apply, rounds.copy),
    figure('accept: Node CPU', 'µs/event', rounds.acceptCpu),
    figure('apply: Node CPU', 'µs/event', rounds.applyCpu, '≤ 60'),
    figure('apply: PostgreSQL CPU', 'µs/event', rounds.applyPgCpu),
    figure('HTTP: acknowledged', perSecond, rounds.acked),
    figure('HTTP: applied, from the first request on', perSecond, rounds.applied, '≥ 8,000'),
    ratio('HTTP: applied ÷ COPY', rounds.applied, rounds.copy),
    figure('HTTP: Node CPU, accept and apply', 'µs/event', rounds.httpCpu),
    figure('HTTP: PostgreSQL CPU', 'µs/event', rounds.httpPgCpu),
  ].filter(({ median }) => !Number.isNaN(median));
}

interface Round {
  readonly events: number;
  readonly round: number;
}

async function measureDirect(
  world: BenchWorld,
  server: ServerProcess,
  { events, round }: Round,
  rounds: Rounds,
): Promise<void> {
  const accept = await server.call('accept', events, round);
  const pgBefore = await world.postgresCpuMs();
  const apply = await server.call('drain');
  const pgAfter = await world.postgresCpuMs();
  rounds.accept.push((events / accept.ms) * 1_000);
  rounds.acceptCpu.push((accept.cpuMs / events) * 1_000);
  rounds.apply.push((events / apply.ms) * 1_000);
  rounds.applyCpu.push((apply.cpuMs / events) * 1_000);
  pushDifference(rounds.applyPgCpu, pgBefore, pgAfter, events);
}

type HttpServer = Awaited<ReturnType<BenchWorld['startServer']>>;

async function measureHttp(world: BenchWorld, http: HttpServer, round: Round, rounds: Rounds): Promise<void> {
  const [cpuBefore, pgBefore] = [await http.server.call('cpuMs'), await world.postgresCpuMs()];
  const { ackedMs, appliedMs } = await postEvents(http, round);
  const [cpuAfter, pgAfter] = [await http.server.call('cpuMs'), await world.postgresCpuMs()];
  rounds.acked.push((round.events / ackedMs) * 1_000);
  rounds.applied.push((round.events / appliedMs) * 1_000);
  pushDifference(rounds.httpCpu, cpuBefore, cpuAfter, round.events);
  pushDifference(rounds.httpPgCpu, pgBefore, pgAfter, round.events);
}

/** µs an event. */
function pushDifference(into: number[], beforeMs: number | null, afterMs: number | null, events: number): void {
  if (beforeMs !== null && afterMs !== null) into.push(((afterMs - beforeMs) / events) * 1_000);
}

async function postEvents(
  { server, url, writeKey }: HttpServer,
  { events: count, round }: Round,
): Promise<{ ackedMs: number; appliedMs: number }> {
  const calls = shopEvents({ count, round, nowMs: Date.now() - 1_000 }).map(asTrackingCall);
  const bodies: Buffer[] = [];
  for (let from = 0; from < calls.length; from += BATCH_EVENTS) {
    bodies.push(Buffer.from(JSON.stringify({ batch: calls.slice(from, from + BATCH_EVENTS) })));
  }
  const http = new HttpCalls(CONNECTIONS, writeKey);
  const startMs = performance.now();
  await Promise.all(
    Array.from({ length: CONNECTIONS }, async () => {
      for (let body = bodies.pop(); body !== undefined; body = bodies.pop()) {
        const answer = await http.post(`${url}/v1/batch`, body);
        if (!answer.startsWith('{"success":true')) throw new Error(`a batch was answered ${answer}`);
      }
    }),
  );
  const ackedMs = performance.now() - startMs;
  await server.call('applied');
  const appliedMs = performance.now() - startMs;
  http.close();
  return { ackedMs, appliedMs };
}

/** The newest events of the log, a second; the median of several copies, which take a quarter of a second each. */
async function copyRate(database: Database, url: string, events: number): Promise<number> {
  const rows = await database.query<{ line: string }>(
    `SELECT concat_ws(E'\\t', pos, accepted_at, occurred_at, anchor_id, '\\' || payload::text) AS line
     FROM event_log ORDER BY pos DESC LIMIT $1`,
    [events],
  );
  const lines = rows.map((row) => `${row.line}\n`);
  const rates: number[] = [];
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    for (let i = 0; i < COPIES; i++) {
      const start = performance.now();
      const sink = client.query(copyFrom('COPY plain_copy FROM STDIN'));
      await pipeline(Readable.from(lines), sink);
      rates.push((sink.rowCount / (performance.now() - start)) * 1_000);
    }
  } finally {
    await client.end();
  }
  return percentile(rates, 50);
}

async function profileDirect(server: ServerProcess, { events, rounds, scores, profileTo }: IngestOptions) {
  await server.call('accept', events, rounds + 1);
  await server.call('startProfile');
  await server.call('drain');
  const file = profileTo === null ? null : `${profileTo}/apply${scores ? '-scored' : ''}.cpuprofile`;
  return (await server.call('stopProfile', file)).parts;
}
