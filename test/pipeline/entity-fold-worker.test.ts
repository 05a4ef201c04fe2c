import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readEntityFoldLag } from '../../src/features/entity-fold-lag.reader.js';
import { parseFeatures } from '../../src/features/parse-features.js';
import { checkEntityFolds } from '../../src/monitoring/check-entity-folds.js';
import { compiled } from '../support/compiled-program.js';
import { drainTogether } from '../support/drain-together.js';
import type { KillPlace } from '../support/killed-database.js';
import { aTrack, createWorld, MINUTE_MS, START_MS, type World } from '../support/world.js';

const VIEWS = `entities: [{ name: article, join_key: article_id }]
views:
  - name: article_reads
    entity: article
    key: properties.article
    features:
      - { name: reads, aggregate: count, events: [read] }
      - { name: last_reader, aggregate: last, value: properties.reader, events: [read] }
`;
/** Events of a step are those of the batches of four rounds. */
const LIMITS = { maxBatchEvents: 2, maxBackfillEvents: 8 };
const ARTICLES = 5;

let world: World;
let sent = 0;
let damaged = 0;
const told: { events: number; ageMs: number }[] = [];

beforeAll(async () => {
  world = await createWorld(START_MS, {
    limits: LIMITS,
    observers: {
      itemsLagging: (events, ageMs) => told.push({ events, ageMs }),
      itemsDamaged: (count) => (damaged += count),
    },
  });
  await world.engine.services.features.apply(parseFeatures(VIEWS, 'f.yaml'));
  await world.accept([]);
  await world.drain();
});

afterAll(() => world.close());

async function send(count: number): Promise<void> {
  const events = Array.from({ length: count }, () => {
    const i = sent++;
    const reader = `reader-${String(i % 7)}`;
    return aTrack('read', { user_id: reader }, { properties: { article: `a${String(i % ARTICLES)}`, reader } });
  });
  await world.accept(events);
}

const lagOf = async (): Promise<number> => (await readEntityFoldLag(world.db))?.events ?? -1;
const isApplied = async (): Promise<boolean> => {
  const [row] = await world.db.query('SELECT FROM partitions WHERE applied_pos < (SELECT pos FROM log_head) LIMIT 1');
  return row === undefined;
};
const items = () =>
  world.db.query<{ key: string; state: string; events: number }>(
    `SELECT s.key, encode(s.state, 'hex') AS state,
            (SELECT count(*) FROM entity_events e WHERE e.fold_id = s.fold_id AND e.key = s.key) AS events
     FROM entity_states s ORDER BY s.key`,
  );

/** Each event is in once: the items are what folding their events anew makes of them. */
async function expectWhole(drain: () => Promise<void>): Promise<void> {
  const standing = await items();
  expect(standing.map(({ events }) => events)).toEqual(Array.from({ length: ARTICLES }, () => sent / ARTICLES));
  await world.db.query(
    `INSERT INTO entity_refolds (fold_id, key, done_pos, state) SELECT fold_id, key, 0, '' FROM entity_states`,
  );
  await world.db.query(`UPDATE entity_states SET state = ''`);
  await drain();
  expect(await items()).toEqual(standing);
}

/** Runs a worker process until all is folded, or is killed at its first step; what it printed. */
async function runWorker(place: KillPlace): Promise<string> {
  const script = compiled(new URL('../support/entity-fold-process.ts', import.meta.url));
  const args = [script, world.test.url, String(world.clock.now()), place];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString();
  });
  const [, signal] = (await once(child, 'close')) as [number | null, string | null];
  expect(signal).toBe('SIGKILL');
  return output.trim();
}

describe('the fold of events into items', () => {
  it('is kept up with by a worker that always has events, and how far it is behind is told', async () => {
    await send(120);
    let most = 0;
    while (!(await isApplied())) {
      await world.engine.worker.runOnce();
      most = Math.max(most, await lagOf());
    }
    // A step is made where more than a step is left: twice that, and what comes in between.
    expect(most).toBeGreaterThan(8);
    expect(most).toBeLessThanOrEqual(24);
    expect(told.some(({ events }) => events > 8)).toBe(true);
    await world.drain();
    expect(told.at(-1)).toEqual({ events: 0, ageMs: 0 });
    expect(await checkEntityFolds(world.db, world.clock.now())).toMatchObject({ outcome: 'ok', detail: 'up to date' });
    await expectWhole(world.drain);
  });

  it('folds an item anew whose state cannot be read, and the others with what comes meanwhile', async () => {
    await world.drain();
    const before = await items();
    await world.db.query(`UPDATE entity_states SET state = '\\xffffff' WHERE key = 'a1'`);
    await send(10);
    await world.drain();
    expect(damaged).toBe(1);
    expect((await items()).map(({ events }) => events)).toEqual(before.map(({ events }) => events + 2));
    // A pass whose state cannot be read begins anew.
    await world.db.query(
      `INSERT INTO entity_refolds (fold_id, key, done_pos, state)
       SELECT fold_id, key, (SELECT max(pos) FROM log_head), '\\xffffff' FROM entity_states WHERE key = 'a2'`,
    );
    await world.drain();
    expect(damaged).toBe(2);
    await expectWhole(world.drain);
    const definitions = await world.engine.definitions.current();
    const article = definitions.entities.get('article');
    const features = [...(article?.features.values() ?? [])];
    const values = await article?.readNow(world.db, ['a1', 'a2'], features, world.clock.now() + 1);
    expect(values?.rows.map(([reads]) => reads?.value)).toEqual([sent / ARTICLES, sent / ARTICLES]);
  });

  it('is gone on with by others after a process is killed before the commit of a step, and after it', async () => {
    await world.db.transaction(async (held) => {
      // As somebody who removes events: the worker applies, and folds nothing.
      await held.query('SELECT FROM entity_folds FOR SHARE');
      await send(40);
      await world.drain();
    });
    expect(await lagOf()).toBe(40);
    const late = await checkEntityFolds(world.db, world.clock.now() + 11 * MINUTE_MS);
    expect(late).toMatchObject({
      outcome: 'warning',
      detail: '40 positions of the log behind, the oldest of 660 s ago',
    });
    await world.engine.worker.stop();
    const standing = await items();
    expect(await runWorker('before')).toMatch(/^before .*entity_folds/);
    expect([await lagOf(), await items()]).toEqual([40, standing]);
    expect(await runWorker('after')).toMatch(/^after .*entity_folds/);
    expect(await lagOf()).toBe(32);
    expect(await items()).not.toEqual(standing);

    const workers = [await world.another(LIMITS), await world.another(LIMITS)].map(({ worker }) => worker);
    await send(60);
    await drainTogether(workers);
    expect(await lagOf()).toBe(0);
    await expectWhole(() => drainTogether(workers));
  });
});
