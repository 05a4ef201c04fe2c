/**
 * The order file, by the command line: `npx tsx test/bench/order-file.bench.ts`.
 *
 * Customers are loaded first, as what was there before. Then the 541,909 order lines: killed twice at random moments, and
 * resumed; loaded a second time; sent once more with `--again`; reverted. After each it is checked that each line is there
 * exactly once, repeated ones as often as in the file, that nothing changed the second time, and that in the end
 * everything is as it was before. Prints a line for each step; throws where something is not as it should be.
 */
import { deepStrictEqual, ok, strictEqual } from 'node:assert';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { decodeEvent } from '../../src/events/event-codec.js';
import type { Database } from '../../src/platform/postgres.js';
import type { SourceRow } from '../../src/sources/row.model.js';
import { CsvSplitter } from '../../src/sources/split-csv.js';
import { BenchWorld } from './bench-world.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const ORDERS = ['seeds/data/online-retail.csv.gz', '--mapping', 'seeds/mappings/orders.yaml'];
const CUSTOMERS = ['seeds/data/crm-customers.csv.gz', '--mapping', 'seeds/mappings/crm-customers.yaml'];
const LINES = 541_909;
const REPEATED_LINES = 5_268;
const KILLS = 2;
const PAGE = 2_000;

interface Loaded {
  readonly outcome: string;
  readonly loadId: string;
  readonly resumed: boolean;
  readonly rows: number;
  readonly events: number;
  readonly accepted: number;
  readonly duplicates: number;
  readonly refused: number;
}

function weft(url: string, args: readonly string[]) {
  return spawn(process.execPath, ['bin/weft.js', ...args], {
    cwd: ROOT,
    env: { ...process.env, WEFT_DATABASE_URL: url },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

/** Standard output of a command that must end well; 3 says that some rows were refused. */
async function run(url: string, args: readonly string[]): Promise<string> {
  const child = weft(url, args);
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  await once(child, 'close');
  ok(child.exitCode === 0 || child.exitCode === 3, `weft ${args.join(' ')} ended with ${String(child.exitCode)}`);
  return output;
}

async function load(url: string, args: readonly string[]): Promise<Loaded> {
  return JSON.parse(await run(url, ['load', ...args, '--quiet', '--json'])) as Loaded;
}

/** Kills the process once so many events are in the log. */
async function killedAt(url: string, db: Database, events: number): Promise<number> {
  const child = weft(url, ['load', ...ORDERS, '--quiet']);
  const closed = once(child, 'close');
  while (child.exitCode === null && (await countEvents(db)) < events) await sleep(5);
  child.kill('SIGKILL');
  await closed;
  strictEqual(child.signalCode, 'SIGKILL', 'the load was done before it was killed');
  return countEvents(db);
}

async function countEvents(db: Database): Promise<number> {
  const rows = await db.query<{ n: number }>(
    `SELECT count(*)::int4 AS n FROM event_log e JOIN sources s ON s.id = e.source_id WHERE s.key = 'orders'`,
  );
  return rows[0]?.n ?? 0;
}

/** Lines of the file by invoice, in their order; those of invoices without a customer are the second. */
async function linesOfFile(): Promise<readonly [Map<string, string[]>, Map<string, string[]>]> {
  const text = gunzipSync(await readFile(`${ROOT}seeds/data/online-retail.csv.gz`)).toString();
  const rows: SourceRow[] = [];
  const splitter = new CsvSplitter(',');
  splitter.push(text, false, rows);
  splitter.end(false, rows);
  const [header, ...lines] = rows.map(({ cells }) => cells ?? []);
  strictEqual(header?.[0], 'InvoiceNo');
  strictEqual(lines.length, LINES);
  const texts = lines.map((cells) => JSON.stringify(cells));
  strictEqual(texts.length - new Set(texts).size, REPEATED_LINES);
  const [kept, refused] = [new Map<string, string[]>(), new Map<string, string[]>()];
  for (const [invoice = '', sku = '', , quantity, , price, customer] of lines) {
    const to = customer === '' ? refused : kept;
    to.set(invoice, [...(to.get(invoice) ?? []), lineText(sku, Number(quantity), Number(price))]);
  }
  return [kept, refused];
}

function lineText(sku: unknown, quantity: unknown, price: unknown): string {
  return JSON.stringify([sku, quantity, price]);
}

/** Lines of the events in the log, by invoice. */
async function linesOfLog(db: Database): Promise<Map<string, string[]>> {
  const found = new Map<string, string[]>();
  for (let after = 0; ;) {
    const page = await db.query<{ pos: number; payload: Buffer }>(
      `SELECT pos, payload FROM event_log e JOIN sources s ON s.id = e.source_id
       WHERE s.key = 'orders' AND pos > $1 ORDER BY pos LIMIT $2`,
      [after, PAGE],
    );
    for (const { pos, payload } of page) {
      const place = { pos, part: 0, sourceId: 1, occurredAt: 0, acceptedAt: 0, historical: true };
      const { messageId, properties } = decodeEvent(payload, place);
      ok(!found.has(messageId), `invoice ${messageId} is there twice`);
      const lines = properties['lines'] as { sku: unknown; quantity: unknown; price: unknown }[];
      found.set(messageId, lines.map(({ sku, quantity, price }) => lineText(sku, quantity, price))); // prettier-ignore
    }
    if (page.length < PAGE) return found;
    after = page.at(-1)?.pos ?? after;
  }
}

/** All that is known of people. */
async function people(db: Database): Promise<unknown[]> {
  return db.query(
    `SELECT i.ns, i.value, i.profile_id, encode(a.traits, 'hex') AS traits, encode(a.state, 'hex') AS state
     FROM identifiers i LEFT JOIN anchor_states a ON a.anchor_id = i.id ORDER BY i.ns, i.value`,
  );
}

function tell(step: string, startedAt: number): void {
  process.stdout.write(`${((performance.now() - startedAt) / 1_000).toFixed(1).padStart(7)} s  ${step}\n`);
}

const world = await BenchWorld.start();
try {
  const start = performance.now();
  const url = await world.createDatabase('orders');
  const customers = await load(url, CUSTOMERS);
  const db = await world.connect(url);
  const before = await people(db);
  tell(`${String(customers.accepted)} customers are there, ${String(before.length)} identifiers`, start);

  const [kept, refused] = await linesOfFile();
  const moments = Array.from({ length: KILLS }, () => Math.floor(kept.size * (0.05 + 0.85 * Math.random())));
  for (const moment of moments.sort((a, b) => a - b)) {
    tell(`killed with ${String(await killedAt(url, db, moment))} of ${String(kept.size)} orders in the log`, start);
  }
  const loaded = await load(url, ORDERS);
  ok(loaded.resumed && loaded.outcome === 'loaded');
  strictEqual(loaded.rows, LINES);
  const inLog = await linesOfLog(db);
  deepStrictEqual(new Map([...inLog].sort()), new Map([...kept].sort()));
  const letters = await db.query<{ n: number }>('SELECT count(*)::int4 AS n FROM dead_letters');
  strictEqual(letters[0]?.n, refused.size);
  const counted = (of: ReadonlyMap<string, string[]>): number => [...of.values()].flat().length;
  strictEqual(counted(inLog) + counted(refused), LINES);
  tell(`resumed: ${String(counted(inLog))} lines once each, ${String(counted(refused))} refused`, start);

  const after = await people(db);
  const second = await load(url, ORDERS);
  strictEqual(second.outcome, 'already_loaded');
  strictEqual(second.accepted, 0);
  const again = await load(url, [...ORDERS, '--again']);
  strictEqual(again.accepted, 0);
  strictEqual(again.duplicates, kept.size);
  deepStrictEqual(await people(db), after);
  strictEqual(await countEvents(db), kept.size);
  tell('loaded again: nothing was sent; sent again: nothing was taken', start);

  await run(url, ['load', 'revert', loaded.loadId, '--yes']);
  deepStrictEqual(await people(db), before);
  strictEqual(await countEvents(db), 0);
  tell('reverted: people are what they were before', start);
} finally {
  await world.close();
}
