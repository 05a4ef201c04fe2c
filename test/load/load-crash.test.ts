import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { gunzipSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { parseSeedSegments } from '../../seeds/seed-definitions.js';
import { parseFeatures } from '../../src/features/parse-features.js';
import { compiled } from '../support/compiled-program.js';
import type { LoadPlan } from '../support/load-worker.js';
import { readFeed, readState, withoutEntries, withoutPositions } from '../support/pipeline-state.js';
import { randomFrom, shuffled } from '../support/random-log.js';
import { createWorld, DAY_MS, type World } from '../support/world.js';

const SEEDS = new URL('../../seeds/', import.meta.url);
const NOW = Date.UTC(2026, 0, 1);
const KILLS = 10;
/** In the order of loading; `emit`: its events are no history, and changes come of them. */
const SOURCES = ['crm', 'orders', 'social', 'web'] as const;
type SourceKey = (typeof SOURCES)[number];

interface RealFile {
  readonly header: string;
  /** What must stay together and in its order: a row, or all rows of an order. */
  readonly pieces: readonly string[];
  readonly suffix: string;
  readonly gzip: boolean;
  readonly mapping: string;
  readonly options: readonly string[];
}

/** A test that gave up waiting leaves none behind. */
const children = new Set<ChildProcess>();

let folder: string;
let files: Record<SourceKey, RealFile>;
let undisturbed: World;
/** Batches that the log acknowledged in the undisturbed run. */
let batches = 0;
let expected: Awaited<ReturnType<typeof outcome>>;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weft-load-crash-'));
  files = await realFiles();
  undisturbed = await newWorld();
  const run = await runLoader(undisturbed, await inOnePiece(), null);
  expect(run.isDone).toBe(true);
  batches = run.batches;
  expected = await outcome(undisturbed);
}, 300_000);

afterAll(async () => {
  for (const child of children) child.kill('SIGKILL');
  await undisturbed.close();
  await rm(folder, { recursive: true, force: true });
});

async function seed(path: string): Promise<string> {
  const bytes = await readFile(new URL(path, SEEDS));
  return (path.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString();
}

/**
 * Some thousands of rows of the demo's data, with keys that do not depend on the file. Every hundredth row of most is
 * damaged, and so is an address now and then.
 */
async function realFiles(): Promise<typeof files> {
  const lines = async (path: string): Promise<string[]> => (await seed(path)).split('\n').filter((line) => line !== '');
  const damaged = (rows: readonly string[]): string[] => rows.map((row, i) => (i % 100 === 7 ? `${row},` : row));
  const [crmHeader = '', ...crm] = await lines('data/crm-customers.csv.gz');
  const [orderHeader = '', ...orders] = await lines('data/online-retail.csv.gz');
  const [webHeader = '', ...web] = await lines('data/web-events.csv.gz');
  const social = await lines('data/social-interactions.jsonl.gz');
  const invoices = new Map<string, string[]>();
  for (const row of orders.slice(0, 6_000)) {
    const invoice = row.slice(0, row.indexOf(','));
    invoices.set(invoice, [...(invoices.get(invoice) ?? []), row]);
  }
  const shift = (days: number): string[] => ['--time-shift', `${String(days)}d`];
  return {
    crm: {
      header: crmHeader,
      pieces: damaged(crm.slice(0, 900)).map((row, i) => (i % 40 === 3 ? row.replace('@', ' at ') : row)),
      suffix: 'csv',
      gzip: false,
      mapping: `${await seed('mappings/crm-customers.yaml')}key: '{crm_id} {recorded_at}'\n`,
      options: shift(5_400),
    },
    orders: {
      header: orderHeader,
      pieces: [...invoices.values()].map((rows) => rows.join('\n')),
      suffix: 'csv',
      gzip: false,
      mapping: await seed('mappings/orders.yaml'),
      options: shift(5_500),
    },
    social: {
      header: '',
      pieces: damaged(social.slice(0, 1_500)),
      suffix: 'jsonl.gz',
      gzip: true,
      mapping: await seed('mappings/social.yaml'),
      options: shift(690),
    },
    web: {
      header: webHeader,
      pieces: damaged(web.slice(0, 2_000)),
      suffix: 'csv.gz',
      gzip: true,
      mapping: await seed('mappings/web.yaml'),
      options: ['--emit', ...shift(715)],
    },
  };
}

async function writeFiles(name: string, key: SourceKey, parts: readonly (readonly string[])[]): Promise<string[][]> {
  const { header, suffix, gzip, mapping, options } = files[key];
  const mappingFile = join(folder, `${key}.yaml`);
  await writeFile(mappingFile, mapping);
  return Promise.all(
    parts.map(async (pieces, i) => {
      const path = join(folder, `${name}-${key}-${String(i)}.${suffix}`);
      const text = `${header === '' ? '' : `${header}\n`}${pieces.join('\n')}\n`;
      await writeFile(path, gzip ? gzipSync(text) : text);
      return [path, '--mapping', mappingFile, ...options];
    }),
  );
}

async function writePlan(name: string, plan: LoadPlan): Promise<string> {
  const path = join(folder, `${name}.json`);
  await writeFile(path, JSON.stringify(plan));
  return path;
}

async function inOnePiece(): Promise<string> {
  const commands: string[][] = [];
  for (const key of SOURCES) commands.push(...(await writeFiles('whole', key, [files[key].pieces])));
  return writePlan('whole', { limits: { maxBatchUnits: 25, maxBatchRows: 400, checkpointEveryBatches: 3 }, commands });
}

/** With the demo's features and those of its segments that need no model. */
async function newWorld(): Promise<World> {
  const world = await createWorld(NOW);
  // Times being equal, the source decides which value is the later one.
  for (const source of SOURCES) await world.accept([], { source });
  await world.engine.services.features.apply(parseFeatures(await seed('features.yaml'), 'features.yaml'));
  for (const { key, expression } of parseSeedSegments(await seed('segments.yaml'))) {
    if (!/score\(|label\(|high_purchase_intent/.test(expression)) await world.defineSegment(key, expression);
  }
  await world.drain();
  await world.engine.worker.stop();
  return world;
}

/** Runs the process until it is done, or kills it once so many batches are acknowledged, and some time. */
async function runLoader(
  world: World,
  planFile: string,
  kill: { readonly afterBatches: number; readonly thenMs: number } | null,
): Promise<{ isDone: boolean; batches: number }> {
  const script = compiled(new URL('../support/load-worker.ts', import.meta.url));
  const child = spawn(process.execPath, [script, world.test.url, planFile, String(NOW)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.add(child);
  const exited = once(child, 'exit').then(() => children.delete(child));
  let output = '';
  const acknowledged = (): number => output.split('.').length - 1;
  const reached = new Promise<void>((resolve) => {
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString();
      if (kill !== null && output.includes('ready') && acknowledged() >= kill.afterBatches) resolve();
    });
  });
  if (kill !== null) {
    await Promise.race([reached, exited]);
    await Promise.race([sleep(kill.thenMs), exited]);
    child.kill('SIGKILL');
  }
  await exited;
  return { isDone: output.includes('done'), batches: acknowledged() };
}

/** All that is known in the end, without ids, and how far each load came. */
async function outcome(world: World) {
  world.clock.advance(2 * DAY_MS);
  const engine = await world.another();
  await engine.worker.drain();
  const state = await readState(world.db, await engine.definitions.current(), world.clock.now());
  const entries = withoutPositions(state.entries);
  const feed = withoutPositions(await readFeed(world.db));
  const letters = await world.db.query<{ source: string; row: number; text: string }>(
    `SELECT s.key AS source, row_number AS row,
            concat_ws(' ', stage, code, reason, message_id, received_at, convert_from(substr(payload, 2), 'UTF8')) AS text
     FROM dead_letters d JOIN sources s ON s.id = d.source_id ORDER BY 1, 2`,
  );
  const loads = await world.db.query<{ source: string; rows: number; events: number; dropped: object }>(
    `SELECT s.key AS source, file_name, status, rows_read AS rows, rows_skipped, accepted + duplicates AS events,
            refused, identifiers_dropped AS dropped, time_shift_ms, emit
     FROM loads l JOIN sources s ON s.id = l.source_id ORDER BY 1, 2`,
  );
  const [log] = await world.db.query<{ events: number }>('SELECT count(*)::int4 AS events FROM event_log');
  return { state: { ...state, entries }, feed, letters, loads, events: log?.events ?? 0 };
}

describe('weft load', () => {
  it('is tested on loads of which all kinds of things come', () => {
    const { state, feed, letters, loads, events } = expected;
    const rows = loads.reduce((sum, load) => sum + load.rows, 0);
    expect(rows).toBe(10_400);
    expect(events).toBe(loads.reduce((sum, load) => sum + load.events, 0));
    expect(events).toBeGreaterThan(4_000);
    expect(state.profiles.some((identifiers) => /crm_id.*email.*twitter/.test(identifiers))).toBe(true);
    expect(new Set(state.memberships.map((line) => line.split(' in ')[1])).size).toBeGreaterThan(7);
    expect(feed.filter((line) => line.endsWith(' event')).length).toBeGreaterThan(100);
    expect(feed.filter((line) => line.includes(' timer')).length).toBeGreaterThan(10);
    expect(new Set(letters.map(({ text }) => text.split(' ')[1]))).toEqual(
      new Set(['NO_IDENTIFIER', 'ROW_RAGGED', 'ROW_MALFORMED']),
    );
    expect(loads[0]?.dropped).toEqual({ 'email.malformed': 23 });
    expect(batches).toBeGreaterThan(150);
  });

  it('ends, killed at ten random moments and run again, as if nothing had happened', { timeout: 600_000 }, async () => {
    const world = await newWorld();
    try {
      const plan = await inOnePiece();
      const random = randomFrom(NOW);
      const moments = Array.from({ length: KILLS }, () => random() * 0.9 * batches).sort((a, b) => a - b);
      const reached: number[] = [];
      for (const [i, moment] of moments.entries()) {
        const afterBatches = Math.floor(moment - (moments[i - 1] ?? 0));
        const run = await runLoader(world, plan, { afterBatches, thenMs: random() * 20 });
        expect(run.isDone).toBe(false);
        const [done] = await world.db.query<{ loads: number; events: number }>(
          `SELECT (SELECT count(*) FROM loads WHERE status = 'done') AS loads, (SELECT count(*) FROM event_log) AS events`,
        );
        expect(done?.loads).toBeLessThan(SOURCES.length);
        reached.push(done?.events ?? 0);
      }
      expect(new Set(reached).size).toBeGreaterThan(KILLS / 2);
      expect((await runLoader(world, plan, null)).isDone).toBe(true);
      expect(await outcome(world)).toEqual(expected);
    } finally {
      await world.close();
    }
  });

  it(
    'ends the same, but for the order of changes, with its rows in another order, in several files and other batches',
    { timeout: 300_000 },
    async () => {
      const world = await newWorld();
      try {
        const random = randomFrom(5);
        const commands: string[][] = [];
        for (const key of SOURCES) {
          const pieces = shuffled(random, files[key].pieces);
          const third = Math.ceil(pieces.length / 3);
          const parts = [pieces.slice(0, third), pieces.slice(third, third + 10), pieces.slice(third + 10)];
          commands.push(...(await writeFiles('shuffled', key, parts)));
        }
        const limits = { maxBatchUnits: 173, maxBatchRows: 1_000, checkpointEveryBatches: 1 };
        const plan = await writePlan('shuffled', { limits, commands: shuffled(random, commands) });
        expect((await runLoader(world, plan, null)).isDone).toBe(true);
        const { state, letters, loads, events } = await outcome(world);
        // What a membership began with follows the order of acceptance.
        expect(withoutEntries(state)).toEqual(withoutEntries(expected.state));
        expect(events).toBe(expected.events);
        expect(letters.map(withoutRow).sort()).toEqual(expected.letters.map(withoutRow).sort());
        const sum = (of: (load: (typeof loads)[number]) => number, from: typeof loads): Record<string, number> => {
          const sums: Record<string, number> = {};
          for (const load of from) sums[load.source] = (sums[load.source] ?? 0) + of(load);
          return sums;
        };
        expect(sum((load) => leftOut(load.dropped), loads)).toEqual(
          sum((load) => leftOut(load.dropped), expected.loads),
        );
        expect(sum((load) => load.rows, loads)).toEqual(sum((load) => load.rows, expected.loads));
        expect(sum((load) => load.events, loads)).toEqual(sum((load) => load.events, expected.loads));
      } finally {
        await world.close();
      }
    },
  );
});

function withoutRow({ source, text }: { source: string; text: string }): string {
  return `${source} ${text}`;
}

function leftOut(dropped: object): number {
  return (Object.values(dropped) as number[]).reduce((total, count) => total + count, 0);
}
