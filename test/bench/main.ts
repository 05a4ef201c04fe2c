/**
 * `npm run bench`: what Weft costs, as ratios within one run, on one temporary PostgreSQL. See docs/benchmarks.md.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command, InvalidArgumentError } from 'commander';
import { BenchWorld } from './bench-world.js';
import { measureBeside } from './measure-beside.js';
import { measureCosts } from './measure-costs.js';
import { measureEdge } from './measure-edge.js';
import { measureFeast } from './measure-feast.js';
import { measureIdentity } from './measure-identity.js';
import { measureIngest } from './measure-ingest.js';
import { measureLatency } from './measure-latency.js';
import { measureLoad } from './measure-load.js';
import { measureReads } from './measure-reads.js';
import { measureRecompute } from './measure-recompute.js';
import { measureSubscribers } from './measure-subscribers.js';
import { measureSearch } from './measure-search.js';
import { measureTimers } from './measure-timers.js';
import { formatMachine, formatSection, machineOf, type Report, type Section } from './report.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const PARTS = [
  'ingest',
  'beside',
  'reads',
  'edge',
  'feast',
  'latency',
  'subscribers',
  'timers',
  'recompute',
  'identity',
  'search',
  'load',
  'costs',
] as const;
type Part = (typeof PARTS)[number];

interface Options {
  readonly out?: string;
  readonly only?: readonly Part[];
  readonly profile?: string;
  readonly events: number;
  readonly profiles: number;
  readonly seconds: number;
  readonly kill?: true;
}

const PROFILES = 10_000;
const READS = { profiles: PROFILES, rounds: 3, secondsPerRound: 3 };
const FEAST = { profiles: 1_000, rounds: 3, secondsPerRound: 2 };
const SUBSCRIBERS = { subscribers: 10_000, changes: 10, rounds: 3 };
const LATENCY = {
  rounds: 3,
  steps: [
    { perSecond: 50, seconds: 4, batch: 1, told: 1, aim: '≤ 50' },
    { perSecond: 500, seconds: 2, batch: 1, told: 1 },
    { perSecond: 2_000, seconds: 10, batch: 10, told: 1, aim: '≤ 50' },
  ],
};

async function* measure(world: BenchWorld, options: Options, signal: AbortSignal): AsyncGenerator<Section> {
  const { events, only = PARTS } = options;
  const profileTo = options.profile ?? null;
  if (only.includes('ingest')) {
    yield await measureIngest(world, { events, rounds: 3, scores: false, profileTo });
    yield await measureIngest(world, { events, rounds: 2, scores: true, profileTo });
  }
  if (only.includes('beside')) yield await measureBeside(world, { events, rounds: 3 });
  if (only.includes('reads') || only.includes('edge')) {
    const databaseUrl = await world.createDatabase('reads');
    const server = { databaseUrl, scores: false };
    const local = await world.startServer({ ...server, worker: true, define: true });
    await local.server.call('acceptKnown', PROFILES);
    await local.server.call('applied');
    if (only.includes('edge')) {
      yield await measureEdge(local, { ...READS, scores: 'none', profileTo });
      yield await measureEdge(local, { ...READS, scores: 'new', profileTo });
      yield await measureEdge(local, { ...READS, scores: 'known', profileTo });
    }
    if (only.includes('reads')) {
      yield await measureReads(local, { ...READS, onlineStore: 'in the server’s process', profileTo });
    }
    await local.server.stop();
    const redisUrl = only.includes('reads') ? await world.startRedis() : null;
    if (redisUrl !== null) {
      const remote = await world.startServer({ ...server, worker: false, define: false, redisUrl });
      yield await measureReads(remote, { ...READS, rounds: 2, onlineStore: 'in Redis', profileTo: null });
      await remote.server.stop();
    }
  }
  if (only.includes('latency')) {
    const databaseUrl = await world.createDatabase('latency');
    const host = await world.startServer({ databaseUrl, scores: false, worker: true, define: true, many: true });
    yield await measureLatency(host, { ...LATENCY, profileTo });
    await host.server.stop();
  }
  if (only.includes('subscribers')) {
    const databaseUrl = await world.createDatabase('subscribers');
    const host = await world.startServer({ databaseUrl, scores: false, worker: true, define: true });
    yield await measureSubscribers(host, { ...SUBSCRIBERS, profileTo });
    await host.server.stop();
  }
  if (only.includes('timers')) {
    const { seconds, kill = false } = options;
    yield await measureTimers(world, { perSecond: 1_000, seconds, kill });
  }
  if (only.includes('recompute')) {
    yield await measureRecompute(world, { profiles: options.profiles, rounds: 2, profileTo });
  }
  if (only.includes('feast')) yield await measureFeatures(world, profileTo);
  if (only.includes('identity')) {
    yield await measureIdentity(world, { profiles: options.profiles, events: 5_000 });
  }
  if (only.includes('search')) yield await measureSearch(world, { profiles: options.profiles, questions: 100 });
  if (only.includes('load')) yield await measureLoad(world, { rounds: 3 });
  if (only.includes('costs')) yield await measureCosts(signal);
}

async function measureFeatures(world: BenchWorld, profileTo: string | null): Promise<Section> {
  const databaseUrl = await world.createDatabase('feast');
  const host = await world.startServer({ databaseUrl, scores: false, worker: true, define: true, wide: true });
  await host.server.call('acceptKnown', FEAST.profiles);
  await host.server.call('applied');
  const python = process.env['WEFT_TEST_FEAST_PYTHON'];
  const redisUrl = python === undefined ? null : await world.startRedis();
  const feast =
    python === undefined || redisUrl === null ? null : { python, redisUrl, folder: world.folderOf('feast') };
  const section = await measureFeast(host, { ...FEAST, profileTo, feast });
  await host.server.stop();
  return section;
}

async function run(options: Options, signal: AbortSignal): Promise<void> {
  const started = new Date();
  const startMs = performance.now();
  if (options.profile !== undefined) await mkdir(options.profile, { recursive: true });
  const interrupted = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => {
      reject(new Error('interrupted'));
    });
  });
  // It may come when nobody waits for it.
  interrupted.catch(() => undefined);
  const world = await BenchWorld.start();
  const sections: Section[] = [];
  try {
    const machine = machineOf(world.postgresVersion);
    process.stdout.write(formatMachine(machine));
    const all = measure(world, options, signal);
    for (;;) {
      const next = await Promise.race([all.next(), interrupted]);
      if (next.done === true) break;
      sections.push(next.value);
      process.stdout.write(formatSection(next.value));
    }
    const tookS = Math.round((performance.now() - startMs) / 1_000);
    await write({ startedAt: started.toISOString(), tookS, machine, sections }, options.out);
  } finally {
    await world.close();
  }
}

async function write(report: Report, out: string | undefined): Promise<void> {
  const file = out ?? join(ROOT, 'bench', 'results', `${report.startedAt.slice(0, 10)}.json`);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, `${JSON.stringify(report, null, 2)}\n`);
  process.stdout.write(`\n${String(report.tookS)} s; written to ${file}\n`);
}

function parts(text: string): Part[] {
  return text.split(',').map((name) => {
    const part = PARTS.find((known) => known === name);
    if (part === undefined) throw new InvalidArgumentError(`Parts are ${PARTS.join(', ')}.`);
    return part;
  });
}

function positive(text: string): number {
  const number = Number(text);
  if (!Number.isSafeInteger(number) || number < 1) throw new InvalidArgumentError('It is not a positive whole number.');
  return number;
}

const interrupt = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) {
  process.once(name, () => {
    interrupt.abort();
  });
}

await new Command('bench')
  .description('Measures what Weft costs, and writes the figures as JSON.')
  .option('--out <file>', 'where to write them; default: bench/results/<date>.json')
  .option('--only <parts>', `some of ${PARTS.join(', ')}, with commas between`, parts)
  .option('--profile <folder>', 'writes .cpuprofile files of the server there')
  .option('--events <number>', 'events of a round of ingest', positive, 40_000)
  .option(
    '--profiles <number>',
    'profiles among which identities are resolved one by one, people found, and everybody evaluated anew',
    positive,
    1_000_000,
  )
  .option('--seconds <number>', 'how long a thousand timers are due each second', positive, 60)
  .option('--kill', 'kills the server while timers are due, and starts it again')
  .action(async (options: Options) => {
    await run(options, interrupt.signal).catch((error: unknown) => {
      if (!interrupt.signal.aborted) throw error;
      process.stderr.write('interrupted; everything is stopped and deleted\n');
      process.exitCode = 130;
    });
  })
  .parseAsync();
