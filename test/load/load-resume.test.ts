import { readFile } from 'node:fs/promises';
import { gunzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import type { AcceptResult } from '../../src/events/event.model.js';
import { WeftError } from '../../src/platform/errors.js';
import type { EventAcceptor } from '../../src/sources/load-sender.js';
import { LoadStore, type LoadKey, type LoadRecord } from '../../src/sources/load.store.js';
import { parseMapping } from '../../src/sources/parse-mapping.js';
import type { SourceRow } from '../../src/sources/row.model.js';
import { CsvSplitter } from '../../src/sources/split-csv.js';
import { randomFrom } from '../support/random-log.js';
import { readLog } from '../support/tracking-server.js';
import { createLoadWorld, GROUPED, NOW, orders, SINGLE, visits, type LoadWorld } from '../support/load-world.js';

const SEEDS = new URL('../../seeds/', import.meta.url);
/** Of the 541,909 of the file: all of them are loaded by the bench of the order file, and processes killed. */
const REAL_LINES = 20_000;

interface OrderLine {
  readonly sku: string;
  readonly quantity: number;
  readonly price: number;
}

let world: LoadWorld;

beforeEach(async () => {
  world = await createLoadWorld();
});
afterEach(() => world.close());

describe('a batch load that does not go through at once', () => {
  it('changes nothing when it is run again, and says so', async () => {
    const path = await world.file('again.csv', visits(1_500));
    const first = await world.loadService().load({ file: path, mapping: SINGLE });
    const [before, lettersBefore] = [await world.logged(), await world.letters()];
    const second = await world.loadService().load({ file: path, mapping: SINGLE });
    expect(second).toMatchObject({
      outcome: 'already_loaded',
      accepted: 0,
      duplicates: first.accepted,
      refused: first.refused,
    });
    expect(second).toMatchObject({ rows: 1_500, skipped: first.skipped, events: first.events, loadedAt: NOW });
    expect(second.rows).toBe(second.skipped + second.events + second.refused);
    const third = await world.loadService().load({ file: path, mapping: SINGLE, again: true });
    expect(third).toMatchObject({ outcome: 'loaded', accepted: 0, duplicates: first.accepted, refused: first.refused });
    expect(await world.logged()).toEqual(before);
    expect(await world.letters()).toEqual(lettersBefore);
  });

  it.each([0, 3, 12, 23])(
    'ends the same when it is stopped after %i batches and run again by a new process',
    async (batches) => {
      const path = await world.file('stopped.csv', orders(24_000));
      expect(await world.loadUntil(batches, { file: path, mapping: GROUPED, timeShiftMs: 1_000 })).toBe('interrupted');
      const result = await world.loadService().load({ file: path, mapping: GROUPED, timeShiftMs: 999 });
      expect(result).toMatchObject({ outcome: 'loaded', resumed: true, timeShiftMs: 1_000, shiftKept: true });
      expect(result.accepted + result.duplicates).toBe(result.events);
      expect(result).toMatchObject({ rows: 72_000, events: 23_200, refused: 800 });
      const [stopped, stoppedLetters] = [await world.logged(), await world.letters()];

      await world.close();
      world = await createLoadWorld();
      const same = await world.file('stopped.csv', orders(24_000));
      const undisturbed = await world.loadService().load({ file: same, mapping: GROUPED, timeShiftMs: 1_000 });
      expect(undisturbed).toMatchObject({ accepted: 23_200, refused: 800, resumed: false });
      expect(await world.logged()).toEqual(stopped);
      expect(await world.letters()).toEqual(stoppedLetters);
    },
  );

  it('has each line of a real file once, repeated ones as often as they are there, stopped twice at random', async () => {
    const text = gunzipSync(await readFile(new URL('data/online-retail.csv.gz', SEEDS))).toString();
    const lines = text.split('\n').slice(0, REAL_LINES + 1);
    const path = await world.file('orders.csv', `${lines.join('\n')}\n`);
    const mapping = parseMapping(await readFile(new URL('mappings/orders.yaml', SEEDS), 'utf8'));
    const limits = { maxBatchUnits: 40, maxBatchRows: 400, checkpointEveryBatches: 3 };
    const random = randomFrom(REAL_LINES);
    for (let i = 0; i < 2; i++) {
      const batches = Math.floor(1 + random() * 8);
      expect(await world.loadUntil(batches, { file: path, mapping }, limits)).toBe('interrupted');
    }
    const result = await world.loadService({ limits }).load({ file: path, mapping });
    expect(result).toMatchObject({ outcome: 'loaded', resumed: true, rows: REAL_LINES });

    const rows: SourceRow[] = [];
    const splitter = new CsvSplitter(',');
    splitter.push(lines.slice(1).join('\n'), false, rows);
    splitter.end(false, rows);
    const lineOf = (invoice: unknown, sku: unknown, quantity: unknown, price: unknown): string =>
      JSON.stringify([invoice, sku, Number(quantity), Number(price)]);
    const ofPeople = rows.flatMap(({ cells }) => {
      const [invoice, sku, , quantity, , price, customer] = cells ?? [];
      return customer === '' ? [] : [lineOf(invoice, sku, quantity, price)];
    });
    expect(rows).toHaveLength(REAL_LINES);
    // The file repeats itself, which is what a loader that takes equal lines for one would lose.
    expect(new Set(ofPeople).size).toBeLessThan(ofPeople.length - 50);
    const linesInLog = async (): Promise<string[]> => {
      const events = (await world.logged()) as { messageId: string; properties: { lines: OrderLine[] } }[];
      return events
        .flatMap(({ messageId, properties: { lines: of } }) =>
          of.map(({ sku, quantity, price }) => lineOf(messageId, sku, quantity, price)),
        )
        .sort();
    };
    const inLog = await linesInLog();
    expect(inLog).toEqual(ofPeople.sort());
    const second = await world.loadService({ limits }).load({ file: path, mapping });
    expect(second).toMatchObject({ outcome: 'already_loaded', accepted: 0, rows: REAL_LINES });
    const again = await world.loadService({ limits }).load({ file: path, mapping, again: true });
    expect(again).toMatchObject({ accepted: 0, duplicates: result.events });
    expect(await linesInLog()).toEqual(inLog);
  });

  it('is run by one process at a time, and whoever comes second is told', async () => {
    const path = await world.file('twice.csv', visits(1_500));
    const others: unknown[] = [];
    const acceptor: EventAcceptor = {
      accept: async (source, events, options) => {
        // Standing for a second process: it has a service of its own.
        const other = world.loadService().load({ file: path, mapping: SINGLE, again: true });
        others.push(await other.catch((error: unknown) => error));
        return world.services.accept.accept(source, events, options);
      },
    };
    const first = await world.loadService({ acceptor }).load({ file: path, mapping: SINGLE });
    expect(others.length).toBeGreaterThan(0);
    for (const other of others) {
      expect(other).toMatchObject({
        code: 'CONFLICT',
        message: `another process is loading this file: the load ${first.loadId}`,
        where: 'twice.csv',
      });
    }
    expect(first).toMatchObject({ outcome: 'loaded', duplicates: 0 });
    expect(first.accepted).toBe((await world.logged()).length);
    expect(await world.db.database.query('SELECT status, accepted, duplicates FROM loads')).toEqual([
      { status: 'done', accepted: first.accepted, duplicates: 0 },
    ]);
  });

  it('is left as it is by a process that had read of it before another one ended it', async () => {
    const path = await world.file('late.csv', visits(1_500));
    expect(await world.loadUntil(1, { file: path, mapping: SINGLE })).toBe('interrupted');
    const counts = 'SELECT status, accepted, duplicates, refused, rows_read FROM loads';
    let looks = 0;
    let ended: unknown[] = [];
    class SlowStore extends LoadStore {
      override async find(key: LoadKey): Promise<LoadRecord | null> {
        const found = await super.find(key);
        if (++looks === 2) {
          await world.loadService().load({ file: path, mapping: SINGLE });
          ended = await world.db.database.query(counts);
        }
        return found;
      }
    }
    const late = world.loadService({ loads: new SlowStore(world.db.database) });
    expect(await late.load({ file: path, mapping: SINGLE })).toMatchObject({ outcome: 'already_loaded', accepted: 0 });
    expect(looks).toBeGreaterThan(2);
    expect(ended).toMatchObject([{ status: 'done' }]);
    expect(await world.db.database.query(counts)).toEqual(ended);
  });

  it('ends the same when the process dies between the log and the checkpoint', async () => {
    const path = await world.file('dies.csv', visits(4_000));
    let calls = 0;
    const dying: EventAcceptor = {
      accept: async (source, events, options) => {
        calls++;
        const results = await world.services.accept.accept(source, events, options);
        if (calls === 4) throw new Error('killed');
        return results;
      },
    };
    await expect(world.loadService({ acceptor: dying }).load({ file: path, mapping: SINGLE })).rejects.toThrow(
      'killed',
    );
    const result = await world.loadService().load({ file: path, mapping: SINGLE });
    expect(result).toMatchObject({ outcome: 'loaded', resumed: true, events: 3_820, refused: 100 });
    expect(result.duplicates).toBeGreaterThan(0);
    expect(await readLog(world.services.log, 0)).toHaveLength(3_820);
    expect(await world.letters()).toHaveLength(100);
  });

  it('gives events without a time the time when the load began, also after a stop', async () => {
    const mapping = parseMapping(`
source: timeless
format: csv
identifiers: { user_id: who }
event: { type: track, name: seen }
`);
    const rows = Array.from({ length: 6_000 }, (_, i) => `u${String(i)}`).join('\n');
    const path = await world.file('timeless.csv', `who\n${rows}\n`);
    const abort = new AbortController();
    const stopping: EventAcceptor = {
      accept: async (source, events, options) => {
        const results = await world.services.accept.accept(source, events, options);
        abort.abort();
        return results;
      },
    };
    const stopped = await world.loadService({ acceptor: stopping }).load({ file: path, mapping, signal: abort.signal });
    expect(stopped.outcome).toBe('interrupted');
    world.clock.advance(86_400_000);
    expect(await world.loadService().load({ file: path, mapping })).toMatchObject({ outcome: 'loaded', events: 6_000 });
    expect(new Set((await readLog(world.services.log, 0)).map((event) => event.occurredAt))).toEqual(new Set([NOW]));
  });

  it('cleans rows by those before them as if it had not been stopped', async () => {
    const mapping = parseMapping(`
source: cleaned
format: csv
clean: { city: { trim: true, impute: previous } }
dedupe: { by: [who, n], keep: last, within: 700 }
key: '{row}'
identifiers: { user_id: who }
event: { type: track, name: seen }
properties: { city: city }
`);
    const rows = Array.from({ length: 8_000 }, (_, i) => ({ row: i, who: `u${String(i % 500)}`, n: i % 3, city: i % 7 === 0 ? ` c${String(i)} ` : '' })); // prettier-ignore
    const lines = rows.map(({ row, who, n, city }) => `${String(row)},${who},${String(n)},${city}`);
    const path = await world.file('cleaned.csv', `row,who,n,city\n${lines.join('\n')}\n`);
    expect(await world.loadUntil(3, { file: path, mapping })).toBe('interrupted');
    // Equal rows are 1,500 apart, so none is left out.
    const result = await world.loadService().load({ file: path, mapping });
    expect(result).toMatchObject({ outcome: 'loaded', resumed: true, events: 8_000, skipped: 0 });
    const found = (await world.logged()) as { messageId: string; properties: { city: string } }[];
    expect(new Map(found.map(({ messageId, properties }) => [messageId, properties.city]))).toEqual(
      new Map(rows.map(({ row }) => [String(row), `c${String(row - (row % 7))}`])),
    );
  });

  it('stops where too many rows are refused, and goes on with a wider limit', async () => {
    const bad = Array.from({ length: 60_000 }, (_, i) => `u${String(i)},2024-01-01,${i % 5 === 0 ? 'x' : '1'},web,`);
    const path = await world.file('bad.csv', `who,at,n,kind,page\n${bad.join('\n')}\n`);
    const result = await world.loadService().load({ file: path, mapping: SINGLE });
    expect(result.outcome).toBe('too_many_refused');
    expect(result.rows).toBeLessThan(60_000);
    expect(result.refused).toBeGreaterThan(1_000);
    const wider = await world.loadService().load({ file: path, mapping: SINGLE, errorLimit: { rows: 0, share: 0.25 } });
    expect(wider).toMatchObject({ outcome: 'loaded', resumed: true, rows: 60_000, events: 48_000, refused: 12_000 });
    expect(await readLog(world.services.log, 0)).toHaveLength(48_000);
  });

  it('waits and tries again when the log is overloaded', async () => {
    const path = await world.file('busy.csv', visits(1_000));
    const delays: number[] = [];
    let calls = 0;
    const busy: EventAcceptor = {
      accept: async (source, events, options): Promise<AcceptResult[]> => {
        calls++;
        if (calls % 2 === 1) throw new WeftError('OVERLOADED', 'queue full', { retryAfterMs: 30 });
        return world.services.accept.accept(source, events, options);
      },
    };
    const sleep = (ms: number): Promise<void> => {
      delays.push(ms);
      return Promise.resolve();
    };
    const result = await world.loadService({ acceptor: busy, sleep }).load({ file: path, mapping: SINGLE });
    expect(result).toMatchObject({ outcome: 'loaded', accepted: 955 });
    expect(delays.length).toBeGreaterThan(0);
    expect(new Set(delays)).toEqual(new Set([30]));
  });

  it('goes on once its database is there again, wherever in a load that was stopped', async () => {
    const limits = { maxBatchUnits: 100, maxBatchRows: 100, checkpointEveryBatches: 1 };
    const path = await world.file('restart.csv', visits(1_500));
    const away = new WeftError('UNAVAILABLE', 'the database is starting or stopping', { retryAfterMs: 1_000 });
    let asked = 0;
    const loads = new LoadStore(world.db.database);
    const update = loads.update.bind(loads);
    // Three times in a row, at each checkpoint and at the end.
    loads.update = (...args) => (asked++ % 4 < 3 ? Promise.reject(away) : update(...args));
    const delays: number[] = [];
    const sleep = (ms: number): Promise<void> => {
      delays.push(ms);
      return Promise.resolve();
    };
    const result = await world.loadService({ limits, sleep, loads }).load({ file: path, mapping: SINGLE });
    expect(result).toMatchObject({ outcome: 'loaded', rows: 1_500 });
    expect(delays.slice(0, 3)).toEqual([1_000, 2_000, 4_000]);
    expect(delays.length).toBeGreaterThan(30);
    expect(await world.loadService().load({ file: path, mapping: SINGLE })).toMatchObject({
      outcome: 'already_loaded',
      accepted: 0,
    });
  });

  it('says how to go on where its database stays away', async () => {
    const path = await world.file('away.csv', visits(1_000));
    const gone: EventAcceptor = {
      accept: () => Promise.reject(new WeftError('UNAVAILABLE', 'the connection to the database broke')),
    };
    let waitedMs = 0;
    const sleep = (ms: number): Promise<void> => {
      waitedMs += ms;
      return Promise.resolve();
    };
    await expect(world.loadService({ acceptor: gone, sleep }).load({ file: path, mapping: SINGLE })).rejects.toThrow(
      expect.objectContaining({
        code: 'UNAVAILABLE',
        hint: 'what was accepted stays; run the same command again to go on from here',
      }),
    );
    expect(waitedMs).toBeGreaterThan(60_000);
    expect(await world.loadService().load({ file: path, mapping: SINGLE })).toMatchObject({ outcome: 'loaded' });
  });
});
