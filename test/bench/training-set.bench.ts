/**
 * Training sets of windowed features: `npx tsx test/bench/training-set.bench.ts [--small] [--profile] [--keep FOLDER]`.
 *
 * 1,000,000 labels × 20 features over 10,000,000 events of 100,000 people; `--small`: a twenty-fifth of each. Events are
 * written into the log as the product writes them, sealed, in the order of time; that somebody is a person comes of an
 * event that the pipeline applied. Labels are in no order. What is measured is the command: `weft export training-set`
 * in a process of its own. Prints one JSON object; progress goes to standard error. `--profile` leaves a `.cpuprofile`
 * beside the output. The databases are in a temporary folder (of the full size some 15 GB), which goes in the end; it does
 * not begin without room for it. Ends with 1 if the command held more than 2 GiB.
 *
 * With `--keep`, databases and labels stay in that folder: a run that was stopped goes on after the last stage that was
 * done, and the next one measures the export alone, of the same events and labels. Delete the folder to begin anew.
 */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { mkdir, readFile, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { finished } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { startApp, type App } from '../../src/app.js';
import { readConfig } from '../../src/config.js';
import { encodePayload } from '../../src/events/event-codec.js';
import type { PreparedEvent } from '../../src/events/event-log.model.js';
import { dedupeIdOf, type Identifier } from '../../src/events/event.model.js';
import { parseFeatures } from '../../src/features/parse-features.js';
import { createLogger } from '../../src/platform/logger.js';
import { writeFileAtomically } from '../../src/platform/write-file-atomically.js';
import { createDataSource, Database } from '../../src/platform/postgres.js';
import { randomFrom, type Random } from '../support/random-log.js';
import { BenchWorld } from './bench-world.js';

interface Size {
  readonly people: number;
  readonly events: number;
  readonly labels: number;
  /** What the databases, their log of writes and the set take at most, in GB. */
  readonly diskGb: number;
}

const FULL: Size = { people: 100_000, events: 10_000_000, labels: 1_000_000, diskGb: 30 };
const SMALL: Size = { people: 4_000, events: 400_000, labels: 40_000, diskGb: 3 };
const MAX_PEAK_MIB = 2_048;
/** Of statements that look after all events at once. */
const UPKEEP_TIMEOUT_MS = 3_600_000;

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const DAY_MS = 86_400_000;
const DAYS = 180;
const BATCH = 1_000;
const APPENDS_AT_ONCE = 4;
const SERVICE = 'bench';

const NAMES = ['view', 'view', 'view', 'view', 'search', 'cart', 'order'];
const PAGES = Array.from({ length: 40 }, (_, i) => `/category-${String(i)}/product`);
const FEATURES = [
  ...['1h', '1d', '7d', '30d', '90d'].map(
    (w) => `{ name: views_${w}, aggregate: count, events: [view], window: ${w} }`,
  ),
  ...['1d', '7d', '30d', '90d'].map(
    (w) => `{ name: spend_${w}, aggregate: sum, events: [order], value: properties.total, window: ${w} }`,
  ),
  ...['7d', '30d'].map(
    (w) => `{ name: basket_${w}, aggregate: avg, events: [order], value: properties.total, window: ${w} }`,
  ),
  '{ name: most_30d, aggregate: max, events: [order], value: properties.total, window: 30d }',
  '{ name: least_30d, aggregate: min, events: [order], value: properties.total, window: 30d }',
  ...['7d', '30d'].map(
    (w) => `{ name: pages_${w}, aggregate: distinct, events: [view], value: properties.page, window: ${w} }`,
  ),
  '{ name: first_page_7d, aggregate: first, events: [view], value: properties.page, type: string, window: 7d }',
  '{ name: last_page_7d, aggregate: last, events: [view], value: properties.page, type: string, window: 7d }',
  '{ name: carts_7d, aggregate: count, events: [cart], window: 7d }',
  '{ name: dear_views_30d, aggregate: count, events: [view], where: properties.price > 50.0, window: 30d }',
  '{ name: searches_per_day, aggregate: rate, events: [search], window: 30d, unit: 1d }',
];
const DEFINITIONS = `views:
  - name: web
    features:
${FEATURES.map((feature) => `      - ${feature}`).join('\n')}
services:
  - { name: ${SERVICE}, features: [${FEATURES.map((feature) => /name: (\w+)/.exec(feature)?.[1] ?? '').join(', ')}] }
`;

function tell(text: string): void {
  process.stderr.write(`${(performance.now() / 1_000).toFixed(1).padStart(8)} s  ${text}\n`);
}

const cookieOf = (person: number): string => `cookie-of-person-${String(person)}`;

/** The program on the database, for as long as `use` runs. */
async function withApp<T>(env: NodeJS.ProcessEnv, worker: 'yes' | 'no', use: (app: App) => Promise<T>): Promise<T> {
  const logger = createLogger({ level: 'error', destination: process.stderr });
  const app = await startApp({ config: readConfig(env), logger, worker });
  try {
    return await use(app);
  } finally {
    await app.stop();
  }
}

/** One event of everybody, through the pipeline. */
async function makePeople(app: App, people: number, atMs: number): Promise<number> {
  const source = await app.sources.ensure({ key: 'web', kind: 'http' });
  await app.engine.services.features.apply(parseFeatures(DEFINITIONS, 'bench.yaml'));
  for (let from = 0; from < people; from += BATCH) {
    const events = Array.from({ length: Math.min(BATCH, people - from) }, (_, i) => ({
      type: 'page' as const,
      messageId: `first-${String(from + i)}`,
      timestampMs: atMs,
      identifiers: [{ ns: 'anonymous_id', value: cookieOf(from + i) }],
    }));
    await app.engine.accept.accept(source, events, { historical: true });
  }
  await app.applied();
  return source.id;
}

function eventOf(
  random: Random,
  identifiers: readonly Identifier[],
  place: { n: number; atMs: number; sourceId: number },
) {
  const name = NAMES[Math.floor(random() * NAMES.length)] ?? '';
  const page = PAGES[Math.floor(random() * random() * PAGES.length)] ?? '';
  const amount = Math.round(random() * 10_000) / 100;
  const messageId = `message-${String(place.n)}`;
  return {
    dedupeId: dedupeIdOf(place.sourceId, messageId),
    payload: encodePayload({
      type: 'track',
      name,
      messageId,
      identifiers,
      properties: name === 'order' ? { total: amount, currency: 'EUR' } : { page, price: amount, title: 'A thing' },
      traits: {},
      context: { page: { url: `https://shop.example${page}` }, campaign: { source: 'newsletter' } },
      groupId: null,
    }),
  };
}

async function checkRoom({ diskGb }: Size): Promise<void> {
  const { bavail, bsize } = await statfs(tmpdir());
  const freeGb = (bavail * bsize) / 1e9;
  if (freeGb >= diskGb) return;
  throw new Error(`${tmpdir()} has ${freeGb.toFixed(1)} GB free, and this needs ${String(diskGb)}: set TMPDIR`);
}

/** What a program in use would have done by and by; longer than any statement of the program may take. */
async function lookAfterLog(url: string): Promise<void> {
  const db = await Database.open(await createDataSource(url, { poolSize: 1, statementTimeoutMs: UPKEEP_TIMEOUT_MS }));
  try {
    await db.query('VACUUM (ANALYZE) event_log');
    tell('the log is vacuumed');
  } finally {
    await db.close();
  }
}

/** The history, in the order of time, straight into the log: all that accepting it would have left there. */
async function writeHistory({ engine, db }: App, size: Size, sourceId: number, fromMs: number): Promise<void> {
  const random = randomFrom(1);
  const { rulesVersion } = engine.policy;
  const people = Array.from(
    { length: size.people },
    (_, person) => engine.policy.resolve([{ ns: 'anonymous_id', value: cookieOf(person) }]).identifiers,
  );
  const stepMs = (DAYS * DAY_MS) / size.events;
  for (let n = 0; n < size.events;) {
    const appends: Promise<unknown>[] = [];
    for (; appends.length < APPENDS_AT_ONCE && n < size.events;) {
      const batch: PreparedEvent[] = [];
      for (; batch.length < BATCH && n < size.events; n++) {
        const identifiers = people[Math.floor(random() * size.people)] ?? [];
        const [anchor] = identifiers;
        if (anchor === undefined) throw new Error('somebody has no identifier');
        const atMs = Math.floor(fromMs + n * stepMs);
        batch.push({
          ...eventOf(random, identifiers, { n, atMs, sourceId }),
          sourceId,
          anchorId: anchor.id,
          identifiers,
          occurredAt: atMs,
          rulesVersion,
          historical: true,
        });
      }
      appends.push(engine.log.append(batch));
    }
    await Promise.all(appends);
    if (n % (size.events / 10) < BATCH * APPENDS_AT_ONCE) tell(`${String(n)} events`);
  }
  // Nothing but online values would come of applying them.
  await db.query('UPDATE partitions SET applied_pos = (SELECT pos FROM log_head)');
}

async function writeLabels(path: string, size: Size, fromMs: number): Promise<void> {
  const random = randomFrom(2);
  const file = createWriteStream(path);
  file.write('ns,value,time,label\n');
  for (let i = 0; i < size.labels; i++) {
    const person = cookieOf(Math.floor(random() * size.people));
    const timeMs = Math.floor(fromMs + random() * DAYS * DAY_MS);
    const isDrained = file.write(`anonymous_id,${person},${String(timeMs)},${random() < 0.1 ? '1' : '0'}\n`);
    if (!isDrained) await once(file, 'drain');
  }
  file.end();
  await finished(file);
}

/** The command's manifest, how long it ran, and the most memory that it held. */
async function runExport(env: NodeJS.ProcessEnv, args: readonly string[]) {
  const start = performance.now();
  const profile = process.argv.includes('--profile') ? ['--cpu-prof', '--cpu-prof-dir=.'] : [];
  const child = spawn(process.execPath, [...profile, 'bin/weft.js', 'export', 'training-set', ...args], {
    cwd: ROOT,
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.on('data', (bytes: Buffer) => (output += bytes.toString()));
  let peakKb = 0;
  const watch = setInterval(() => {
    void readFile(`/proc/${String(child.pid)}/status`, 'utf8').then(
      (text) => (peakKb = Math.max(peakKb, Number(/VmHWM:\s*(\d+)/.exec(text)?.[1] ?? 0))),
      () => undefined,
    );
  }, 250);
  await once(child, 'close');
  clearInterval(watch);
  if (child.exitCode !== 0) throw new Error(`the export ended with ${String(child.exitCode)}`);
  const { rows, sha256 } = JSON.parse(output) as { rows: number; sha256: string };
  return { rows, sha256, seconds: (performance.now() - start) / 1_000, peakMiB: Math.round(peakKb / 1_024) };
}

/** How far a kept folder is, and what its stages have to agree upon. */
interface Kept {
  readonly people: number;
  /** In hex: the events are sealed with it. */
  readonly secret: string;
  readonly fromMs: number;
  /** Of the events; null: the history is not written, or only in part. */
  readonly sourceId: number | null;
  readonly hasLabels: boolean;
}

function keptFolder(): string | undefined {
  const at = process.argv.indexOf('--keep');
  if (at < 0) return undefined;
  const folder = process.argv[at + 1];
  if (folder === undefined || folder.startsWith('-')) throw new Error('--keep needs a folder');
  return resolve(folder);
}

async function readKept(path: string): Promise<Kept> {
  const fromMs = Date.now() - (DAYS + 1) * DAY_MS;
  const begun = {
    people: size.people,
    secret: randomBytes(32).toString('hex'),
    fromMs,
    sourceId: null,
    hasLabels: false,
  };
  const text = await readFile(path, 'utf8').catch(() => null);
  const kept = text === null ? begun : (JSON.parse(text) as Kept);
  if (kept.people !== size.people) throw new Error(`${path} is of another size: name another folder, or delete it`);
  return kept;
}

const DATABASES = ['training', 'training_keys'];
const size = process.argv.includes('--small') ? SMALL : FULL;
const keep = keptFolder();
if (keep === undefined) await checkRoom(size);
const world = await BenchWorld.start(keep);
try {
  const folder = world.folderOf('sets');
  await mkdir(folder, { recursive: true });
  const keptPath = join(folder, 'kept.json');
  let kept = await readKept(keptPath);
  const note = async (more: Partial<Kept>): Promise<void> => {
    kept = { ...kept, ...more };
    await writeFileAtomically(keptPath, JSON.stringify(kept), 0o600);
  };
  const env = {
    ...process.env,
    WEFT_DATABASE_URL: world.urlOf('training'),
    WEFT_SECRET: kept.secret,
    WEFT_DATA_DIR: folder,
  };
  const { fromMs } = kept;
  if (kept.sourceId === null) {
    await note({});
    // Half a history is of no use: where it stopped is not known.
    for (const name of DATABASES) await world.dropDatabase(name);
    for (const name of DATABASES) await world.createDatabase(name);
    const sourceId = await withApp(env, 'yes', (app) => makePeople(app, size.people, fromMs));
    tell(`${String(size.people)} people`);
    await withApp(env, 'no', (app) => writeHistory(app, size, sourceId, fromMs));
    await lookAfterLog(env.WEFT_DATABASE_URL);
    await note({ sourceId });
  } else tell('people and their history are there');
  const labels = join(folder, 'labels.csv');
  if (!kept.hasLabels) {
    await writeLabels(labels, size, fromMs);
    await note({ hasLabels: true });
  }
  tell('the labels are written');
  const out = join(folder, 'set.parquet');
  const before = await world.postgresCpuMs();
  const { rows, sha256, seconds, peakMiB } = await runExport(env, [
    '-l',
    labels,
    '-s',
    SERVICE,
    '-o',
    out,
    '--json',
    '--force',
    '--restart',
  ]);
  const postgresCpuS = before === null ? null : Math.round(((await world.postgresCpuMs()) ?? 0) - before) / 1_000;
  const { people, events, labels: labelRows } = size;
  const report = {
    ...{ people, events, labels: labelRows },
    features: FEATURES.length,
    rows,
    seconds: Math.round(seconds * 10) / 10,
    rowsPerSecond: Math.round(rows / seconds),
    peakMiB,
    postgresCpuS,
    postgres: world.postgresVersion,
    sha256,
  };
  process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
  if (peakMiB > MAX_PEAK_MIB) {
    process.stderr.write(`the command held ${String(peakMiB)} MiB, more than ${String(MAX_PEAK_MIB)}\n`);
    process.exitCode = 1;
  }
} finally {
  await world.close();
}
