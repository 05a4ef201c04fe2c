/**
 * The server under measurement, a process of its own, so that what clients cost does not count as the server's.
 *
 *     node --import tsx test/bench/server.program.ts '<ServerOptions as JSON>'
 *
 * Its parent calls it over IPC (see `server-process.ts`); it ends when the parent does.
 */
import type { AddressInfo } from 'node:net';
import Fastify from 'fastify';
import { startApp, type App } from '../../src/app.js';
import { readConfig } from '../../src/config.js';
import type { IncomingEvent } from '../../src/events/event.model.js';
import { createLogger } from '../../src/platform/logger.js';
import { serve } from '../../src/serve.js';
import { addBeside } from './add-beside.js';
import { bareForest, enterLive, PEOPLE_AT_ONCE, recomputed, type BareForest } from './server-recompute.js';
import { CpuProfiler } from './cpu-profiler.js';
import { LoopWatch } from './loop-watch.js';
import type { Ready, ServerCalls, ServerOptions, Timing } from './server-process.js';
import {
  cartsDue,
  ENTERED_SEGMENT,
  EDGE_TRAITS,
  FEATURES,
  FOREST_SEGMENTS,
  knownVisitors,
  MODEL,
  MORE_SEGMENTS,
  SCORED_SEGMENT,
  SEGMENTS,
  shopEvents,
  shopModel,
  WIDE_FEATURES,
} from './shop-workload.js';

const BATCH_EVENTS = 500;
const CONCURRENT_CALLS = 4;
const DRAINED_POLL_MS = 5;

const options = JSON.parse(process.argv[2] ?? '{}') as ServerOptions;

async function define({ engine, models, db, isWorking }: App): Promise<void> {
  const { features, segments } = engine.services;
  const views = [{ name: 'web', description: '', source: null, features: FEATURES }];
  if (options.wide === true) views.push({ name: 'wide', description: '', source: null, features: WIDE_FEATURES });
  await features.apply({ views, services: [] });
  const { bytes, manifest } = await shopModel(options.forest === true ? 'benign_forest_100' : 'benign_forest');
  const { model } = await models.register(bytes, manifest);
  await models.promote(model.key, model.version);
  const conditions = { ...SEGMENTS, [ENTERED_SEGMENT.key]: ENTERED_SEGMENT.expression };
  if (options.many === true || options.forest === true) Object.assign(conditions, MORE_SEGMENTS);
  if (options.forest === true)
    for (const [key, expression] of Object.entries(FOREST_SEGMENTS)) conditions[key] = expression;
  if (options.scores) conditions[SCORED_SEGMENT.key] = SCORED_SEGMENT.expression;
  for (const [key, expression] of Object.entries(conditions)) {
    await segments.upsert({ key, name: key, description: '', tags: [], edge: true, expression });
    await segments.activate(key);
  }
  await engine.services.traits.apply(EDGE_TRAITS.map((name) => ({ name, description: '', edge: true })));
  if (!isWorking) await engine.worker.drain();
  await until(async () => {
    const [row] = await db.query<{ swept: boolean }>(
      `SELECT (SELECT min(swept_version) FROM partitions) >= definitions_version AS swept FROM installation`,
    );
    return row?.swept === true;
  });
}

async function until(isDone: () => Promise<boolean>): Promise<void> {
  while (!(await isDone())) await new Promise((resolve) => setTimeout(resolve, DRAINED_POLL_MS));
}

/** The keys that clients of a bench use. */
async function makeKeys({ sources, keys }: App): Promise<Omit<Ready, 'url'>> {
  const { id } = await sources.ensure({ key: 'web', kind: 'http' });
  const write = await keys.create({ name: 'bench writer', scopes: ['ingest'], sourceId: id });
  const read = await keys.create({ name: 'bench reader', scopes: ['read', 'pii'] });
  const edge = await keys.create({ name: 'bench pages', scopes: ['edge'], ratePerSecond: 1_000_000 });
  return { writeKey: write.secret, readKey: read.secret, edgeKey: edge.secret, pid: process.pid };
}

async function accept({ sources, engine }: App, events: readonly IncomingEvent[]): Promise<void> {
  const source = await sources.ensure({ key: 'web', kind: 'http' });
  for (let from = 0; from < events.length; from += BATCH_EVENTS * CONCURRENT_CALLS) {
    const calls = Array.from({ length: CONCURRENT_CALLS }, (_, i) => {
      const start = from + i * BATCH_EVENTS;
      return engine.accept.accept(source, events.slice(start, start + BATCH_EVENTS), { historical: false });
    });
    for (const result of (await Promise.all(calls)).flat()) {
      if (result.status !== 'accepted') throw new Error(`an event was ${result.status}`);
    }
  }
}

async function timed(work: () => Promise<void>): Promise<Timing> {
  const cpu = process.cpuUsage();
  const start = performance.now();
  await work();
  const ms = performance.now() - start;
  const { user, system } = process.cpuUsage(cpu);
  return { ms, cpuMs: (user + system) / 1_000 };
}

/** A Fastify of its own beside the program's, in the same process, that answers what it is told to. */
async function startBare(body: string): Promise<string> {
  const bare = Fastify();
  bare.route({
    method: ['GET', 'POST'],
    url: '/graphql',
    handler: (_request, reply) => reply.type('application/json; charset=utf-8').send(body),
  });
  await bare.listen({ host: '127.0.0.1', port: 0 });
  const { port } = bare.server.address() as AddressInfo;
  app.lifecycle.start('bare server', () => bare, { drain: (started) => started.close() }).catch(fail);
  return `http://127.0.0.1:${String(port)}`;
}

function callsOf(app: App): ServerCalls {
  const { worker } = app.engine;
  const profiler = new CpuProfiler();
  const loop = new LoopWatch();
  let bare: BareForest | null = null;
  return {
    accept: (count, round) => {
      const isTold = options.beside !== undefined;
      const events = shopEvents({ count, round, nowMs: Date.now() - 1_000, isTold });
      return timed(() => accept(app, events));
    },
    acceptKnown: async (visitors) => {
      const events = knownVisitors(visitors, Date.now() - 1_000);
      return timed(() => accept(app, events));
    },
    acceptPeople: async (people) => {
      for (let from = 0; from < people; from += PEOPLE_AT_ONCE) {
        await accept(app, knownVisitors(Math.min(PEOPLE_AT_ONCE, people - from), Date.now() - 1_000, from));
      }
    },
    recompute: () => timed(() => recomputed(app)),
    scoreBare: async (rows, batchRows) => {
      bare ??= await bareForest(rows);
      const { run } = bare;
      return timed(() => run(batchRows));
    },
    enterLive: (count, everyMs, isBeside) => enterLive(app, { count, everyMs, isBeside }),
    acceptCarts: (people, firstMs, everyMs) => timed(() => accept(app, cartsDue(people, firstMs, everyMs))),
    drain: () => timed(() => worker.drain()),
    applied: async () => app.applied(),
    cpuMs: async () => {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1_000;
    },
    loopPauses: () => Promise.resolve(loop.read()),
    startBare,
    markScores: (isMarked) => app.models.setEdge(MODEL, isMarked),
    startProfile: () => profiler.start(),
    stopProfile: (file) => profiler.stop(file),
  };
}

function fail(error: unknown): void {
  process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  process.exitCode = 1;
  process.disconnect();
}

const app = await startApp({
  config: readConfig({
    WEFT_DATABASE_URL: options.databaseUrl,
    WEFT_REDIS_URL: options.redisUrl ?? '',
    WEFT_PORT: '0',
    WEFT_SECRET: 'the secret of a bench, which ends with it',
    WEFT_INGEST_EVENTS_PER_SECOND: '1000000',
    WEFT_GRAPHQL_REQUESTS_PER_SECOND: '1000000',
    WEFT_GRAPHQL_CONNECTIONS_PER_KEY: '100000',
  }),
  logger: createLogger({ level: 'warn', destination: process.stderr }),
  worker: options.worker ? 'yes' : 'no',
});
if (options.define) await define(app);
await addBeside(app, options.beside);
const keys = await makeKeys(app);
const { url } = await serve(app);
const calls = callsOf(app);

process.on('message', ({ id, name, args }: { id: number; name: keyof ServerCalls; args: unknown[] }) => {
  (calls[name] as (...given: unknown[]) => Promise<unknown>)(...args)
    .then((result) => process.send?.({ id, result }))
    .catch((error: unknown) => process.send?.({ id, error: error instanceof Error ? error.stack : String(error) }));
});
// Ctrl-C reaches the whole group of processes; the parent decides when this one goes.
process.on('SIGINT', () => undefined);
process.on('disconnect', () => {
  app.engine.worker
    .stop()
    .then(() => app.stop())
    .catch(fail);
});
const ready: Ready = { url, ...keys };
process.send?.({ id: 0, result: ready });
