import { open, readFile } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { Client } from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { validateEvent } from '../../src/events/validate-event.js';
import { CachedIdentifierPolicy } from '../../src/identity/identifier-policy.js';
import { DEFAULT_IDENTITY_RULES } from '../../src/identity/identity-rules.model.js';
import type { LoadUnit } from '../../src/sources/group-rows.js';
import type { Mapping } from '../../src/sources/mapping.model.js';
import { parseMapping } from '../../src/sources/parse-mapping.js';
import { openUnits } from '../../src/sources/send-file.js';
import type { BenchWorld } from './bench-world.js';
import { figure, ratio, type Section } from './report.js';

const SEEDS = fileURLToPath(new URL('../../seeds/', import.meta.url));
const ORDER_FILE = `${SEEDS}data/online-retail.csv.gz`;
const AIM = '≥ 50,000';

/** Each line an event. */
const LINES = parseMapping(`
source: lines
format: csv
columns: { Quantity: int, UnitPrice: double }
time: { column: InvoiceDate, format: 'yyyy-MM-dd HH:mm:ss', zone: Europe/London }
identifiers: { crm_id: { column: CustomerID, transforms: [trim, stripDecimal] } }
event: { type: track, name: order_line }
properties: { invoice: InvoiceNo, sku: StockCode, quantity: Quantity, price: UnitPrice, country: Country }
`);

const CLEANED = parseMapping(
  JSON.stringify({
    ...(JSON.parse(LINES.text) as object),
    clean: { Country: { trim: true, case: 'upper' }, Quantity: { validate: { min: -100_000, otherwise: 'flag' } } },
  }),
);

type Stage = 'parse' | 'map' | 'check';

interface Timed {
  readonly rows: number;
  readonly seconds: number;
  readonly cpuSeconds: number;
}

interface LoadBenchOptions {
  readonly rounds: number;
}

/** From the compressed order file to checked records, stage by stage on one thread, beside a plain COPY of its lines. */
export async function measureLoad(world: BenchWorld, { rounds }: LoadBenchOptions): Promise<Section> {
  const orders = parseMapping(await readFile(`${SEEDS}mappings/orders.yaml`, 'utf8'));
  const url = await world.createDatabase('load');
  const times: Record<'parse' | 'map' | 'check' | 'clean' | 'group' | 'copy', Timed[]> = {
    parse: [],
    map: [],
    check: [],
    clean: [],
    group: [],
    copy: [],
  };
  for (let round = 0; round < rounds; round++) {
    times.parse.push(await timed(() => read(LINES, 'parse')));
    times.map.push(await timed(() => read(LINES, 'map')));
    times.check.push(await timed(() => read(LINES, 'check')));
    times.clean.push(await timed(() => read(CLEANED, 'check')));
    times.group.push(await timed(() => read(orders, 'check')));
    times.copy.push(await timed(() => copy(url)));
  }
  const perSecond = (stage: keyof typeof times) => times[stage].map(({ rows, seconds }) => rows / seconds);
  const perCpu = (stage: keyof typeof times) => times[stage].map(({ rows, cpuSeconds }) => rows / cpuSeconds);
  return {
    title: 'Load: from a compressed CSV file to checked records',
    notes: [
      `${String(times.parse[0]?.rows)} order lines, gzip and CSV, on one thread; each stage does those before it too.`,
      'A checked record is what the log would be handed: mapped, identifiers normalised, encoded. COPY: of the same lines,',
      'decompressed, into a table without an index.',
    ],
    figures: [
      figure('parse', 'rows/s', perSecond('parse')),
      figure('parse and map', 'rows/s', perSecond('map')),
      figure('to checked records, each line one', 'rows/s', perSecond('check'), AIM),
      figure('… by the CPU time of the process', 'rows/s', perCpu('check'), AIM),
      figure('… with a mapping that cleans two columns', 'rows/s', perSecond('clean')),
      figure('to checked records, an invoice one', 'rows/s', perSecond('group'), AIM),
      figure('COPY', 'rows/s', perSecond('copy')),
      ratio('checked records ÷ COPY', perSecond('check'), perSecond('copy')),
    ],
  };
}

async function timed(run: () => Promise<number>): Promise<Timed> {
  const cpu = process.cpuUsage();
  const start = performance.now();
  const rows = await run();
  const seconds = (performance.now() - start) / 1_000;
  const { user, system } = process.cpuUsage(cpu);
  return { rows, seconds, cpuSeconds: (user + system) / 1_000_000 };
}

/** Reads the file up to a stage; the rows that were read. */
async function read(mapping: Mapping, stage: Stage): Promise<number> {
  const handle = await open(ORDER_FILE);
  const policy = new CachedIdentifierPolicy(DEFAULT_IDENTITY_RULES, { former: [] });
  const context = {
    sourceId: 1,
    receivedAtMs: Date.UTC(2026, 0, 1),
    historical: true,
    earliestMs: 0,
    policy,
    origin: {},
    newMessageId: () => '',
    plan: null,
    enrichment: null,
  };
  let rows = 0;
  let records = 0;
  const check = (units: LoadUnit[]): void => {
    for (const { event } of units) {
      if (event !== null && (stage !== 'check' || validateEvent(event, context).ok)) records++;
    }
    units.length = 0;
  };
  try {
    const file = { handle, name: 'orders', sizeBytes: 0, modifiedMs: 0 };
    const { opened, maker } = await openUnits(file, mapping, { fileHash: '0'.repeat(64), timeShiftMs: 0 });
    const units: LoadUnit[] = [];
    for await (const chunk of opened.chunks) {
      rows += chunk.rows.length;
      if (stage === 'parse') continue;
      for (const row of chunk.rows) maker.push(row, units);
      check(units);
    }
    maker.end(units);
    check(units);
  } finally {
    await handle.close();
  }
  if (stage !== 'parse' && records < 20_000) throw new Error(`only ${String(records)} records came of the file`);
  return rows;
}

async function copy(url: string): Promise<number> {
  const text = gunzipSync(await readFile(ORDER_FILE));
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(`DROP TABLE IF EXISTS lines; CREATE TABLE lines (invoice text, sku text, description text,
      quantity text, at text, price text, customer text, country text)`);
    const sink = client.query(copyFrom('COPY lines FROM STDIN (FORMAT csv, HEADER)'));
    await pipeline(Readable.from(chunksOf(text)), sink);
    return sink.rowCount;
  } finally {
    await client.end();
  }
}

function* chunksOf(bytes: Buffer): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += 262_144) yield bytes.subarray(at, at + 262_144);
}
