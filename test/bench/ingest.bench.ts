/**
 * How fast events are acknowledged and fully applied (identity, traits, features, segments, feed), against a plain COPY
 * of the same payloads in the same run. Run: `npx tsx test/bench/ingest.bench.ts [events]`; prints JSON.
 */
import { mkdtemp, chmod, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createEngine } from '../../src/engine.js';
import type { IncomingEvent } from '../../src/events/event.model.js';
import type { FeatureDefinition } from '../../src/features/feature.model.js';
import { systemClock } from '../../src/platform/clock.js';
import { EmbeddedPostgres } from '../../src/platform/embedded-postgres.js';
import { createDataSource, Database } from '../../src/platform/postgres.js';
import type { OnlineStore } from '../../src/profiles/online-store.model.js';

const EVENTS = Number(process.argv[2] ?? 40_000);
const HISTORICAL = process.argv.includes('--historical');
const BATCH = 500;
const DAY_MS = 86_400_000;

const NAMES = ['product_view', 'product_view', 'product_view', 'catalog', 'search', 'add_to_cart', 'purchase', 'home'];

/** A small generator, so that every run sees the same events (Park–Miller). */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}

function makeEvents(count: number, nowMs: number): IncomingEvent[] {
  const next = random(42);
  const visitors = Math.max(1, Math.floor(count / 15));
  return Array.from({ length: count }, (_, i) => {
    const visitor = Math.floor(next() * visitors);
    const identifiers = [{ ns: 'anonymous_id', value: `cookie-${String(visitor)}` }];
    const isIdentify = next() < 0.05;
    if (isIdentify) identifiers.push({ ns: 'user_id', value: `user-${String(visitor >> 1)}` });
    return {
      type: isIdentify ? 'identify' : 'track',
      ...(isIdentify ? {} : { name: NAMES[Math.floor(next() * NAMES.length)] ?? 'home' }),
      messageId: `message-${String(i)}`,
      identifiers,
      timestampMs: nowMs - Math.floor(next() * (HISTORICAL ? 30 * DAY_MS : 1_000)),
      properties: {
        sku: `sku-${String(Math.floor(next() * 200))}`,
        value: Math.floor(next() * 10_000) / 100,
        currency: 'GBP',
      },
      context: { page: { path: '/products/blue-mug', referrer: 'https://search.example.com/' }, locale: 'en-GB' },
      ...(isIdentify ? { traits: { plan: 'free', city: 'Leeds' } } : {}),
    } as IncomingEvent;
  });
}

const feature = (name: string, more: Partial<FeatureDefinition>): FeatureDefinition => ({
  name,
  view: 'web',
  description: '',
  aggregate: 'count',
  events: ['product_view'],
  source: null,
  where: null,
  value: null,
  windowMs: null,
  unitMs: null,
  limit: null,
  type: 'int',
  ...more,
});

const FEATURES = [
  ...['product_view', 'add_to_cart', 'purchase', 'search'].flatMap((event) => [
    feature(`${event}_1h`, { events: [event], windowMs: 3_600_000 }),
    feature(`${event}_7d`, { events: [event], windowMs: 7 * DAY_MS }),
    feature(`${event}_30d`, { events: [event], windowMs: 30 * DAY_MS }),
  ]),
  feature('spend', { events: ['purchase'], aggregate: 'sum', value: 'properties.value', type: 'double' }),
  feature('spend_30d', {
    events: ['purchase'],
    aggregate: 'sum',
    value: 'properties.value',
    windowMs: 30 * DAY_MS,
    type: 'double',
  }),
  feature('avg_price_7d', { aggregate: 'avg', value: 'properties.value', windowMs: 7 * DAY_MS, type: 'double' }),
  feature('max_price', { aggregate: 'max', value: 'properties.value', type: 'double' }),
  feature('skus_7d', { aggregate: 'distinct', value: 'properties.sku', windowMs: 7 * DAY_MS }),
  feature('last_sku', { aggregate: 'last', value: 'properties.sku', type: 'string' }),
  feature('first_sku', { aggregate: 'first', value: 'properties.sku', type: 'string' }),
  feature('days_since_visit', { aggregate: 'recency', events: [], unitMs: DAY_MS }),
];

const SEGMENTS: Record<string, string> = {
  viewed_not_bought: 'performed("product_view", "7d") && !performed("purchase", "7d")',
  cart_abandoned:
    'since("add_to_cart") >= "5m" && since("add_to_cart") < "24h" && (!performed("purchase") || last("purchase") < last("add_to_cart"))',
  keen: 'f.product_view_1h >= 3',
  big_spender: 'f.spend > 200',
  lapsed: 'f.spend > 50 && since("purchase") > "90d"',
  browsers: 'f.product_view_30d > 5 && f.purchase_30d == 0',
  free_plan: 'traits.plan == "free"',
  explorers: 'f.skus_7d >= 4 && f.search_7d >= 1',
};

class Discard implements OnlineStore {
  bytes = 0;
  putMany(entries: readonly { bytes: Buffer }[]): Promise<void> {
    for (const entry of entries) this.bytes += entry.bytes.length;
    return Promise.resolve();
  }
  getMany(keys: readonly string[]): Promise<null[]> {
    return Promise.resolve(keys.map(() => null));
  }
  deleteMany(): Promise<void> {
    return Promise.resolve();
  }
}

async function main(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'weft-bench-'));
  await chmod(folder, 0o711);
  const server = await EmbeddedPostgres.start({ dataDir: folder });
  const db = await Database.open(await createDataSource(server.url));
  try {
    await db.runMigrations();
    await db.query(`INSERT INTO sources (key, name, kind, created_at) VALUES ('web', 'web', 'http', 0)`);
    const store = new Discard();
    let changes = 0;
    const ignore = (): void => undefined;
    const fail = (error: unknown): void => {
      throw error as Error;
    };
    const engine = await createEngine({
      db,
      clock: systemClock,
      onlineStore: store,
      onlineStoreIsShared: false,
      observers: {
        accepted: ignore,
        duplicates: ignore,
        refused: ignore,
        deadLettersLost: ignore,
        failed: fail,
        retrying: (error) => {
          console.error(error);
        },
        poisoned: (_, error) => {
          fail(error);
        },
        lagging: ignore,
        onRun: ignore,
      },
      onCommitted: (batch) => {
        changes += batch.changes.length;
      },
    });
    await engine.services.features.apply({
      views: [{ name: 'web', description: '', source: null, features: FEATURES }],
      services: [],
    });
    for (const [key, expression] of Object.entries(SEGMENTS)) {
      await engine.services.segments.upsert({ key, name: key, description: '', tags: [], expression });
      await engine.services.segments.activate(key);
    }
    await engine.worker.drain();
    const events = makeEvents(EVENTS, Date.now() - 1_000);
    const ackStart = performance.now();
    for (let i = 0; i < events.length; i += BATCH * 4) {
      await Promise.all(
        [0, 1, 2, 3].map((k) => {
          const slice = events.slice(i + k * BATCH, i + (k + 1) * BATCH);
          return slice.length === 0
            ? null
            : engine.accept.accept({ id: 1, key: 'web' }, slice, { historical: HISTORICAL });
        }),
      );
    }
    const ackMs = performance.now() - ackStart;
    const cpu = process.cpuUsage();
    const applyStart = performance.now();
    await engine.worker.drain();
    const applyMs = performance.now() - applyStart;
    const { user, system } = process.cpuUsage(cpu);
    await db.query(
      'CREATE TABLE plain_copy (pos bigint, accepted_at bigint, occurred_at bigint, anchor_id uuid, payload bytea)',
    );
    const [, copyMs] = await timed(() =>
      db.transaction(async (tx) => {
        const rows = await tx.query<{ line: string }>(
          `SELECT concat_ws(E'\\t', pos, accepted_at, occurred_at, anchor_id, '\\' || payload::text) AS line FROM event_log`,
        );
        const start = performance.now();
        await tx.copyIn(
          'COPY plain_copy FROM STDIN',
          rows.map((row) => `${row.line}\n`),
        );
        return performance.now() - start;
      }),
    );
    const rate = (ms: number): number => Math.round((EVENTS / ms) * 1000);
    const result = {
      events: EVENTS,
      historical: HISTORICAL,
      ackPerSecond: rate(ackMs),
      appliedPerSecond: rate(applyMs),
      ackedAndAppliedPerSecond: rate(ackMs + applyMs),
      copyPerSecond: rate(copyMs),
      appliedToCopy: Number((copyMs / applyMs).toFixed(3)),
      applyNodeCpuUsPerEvent: Number(((user + system) / EVENTS).toFixed(1)),
      changes,
      publishedBytes: store.bytes,
    };
    console.log(JSON.stringify(result, null, 2));
    await engine.worker.stop();
  } finally {
    await db.close();
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

async function timed(work: () => Promise<number>): Promise<[null, number]> {
  return [null, await work()];
}

await main();
