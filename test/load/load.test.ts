import { appendFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import { DeadLetterStore } from '../../src/events/dead-letter.store.js';
import type { AcceptResult, LoggedEvent } from '../../src/events/event.model.js';
import { ManualClock } from '../../src/platform/clock.js';
import { WeftError } from '../../src/platform/errors.js';
import { LoadService, type LoadRequest } from '../../src/sources/load.service.js';
import { LoadStore } from '../../src/sources/load.store.js';
import type { EventAcceptor } from '../../src/sources/load-sender.js';
import { parseMapping } from '../../src/sources/parse-mapping.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { readLog, TRACKING_ENTITIES, trackingServices, type TrackingServices } from '../support/tracking-server.js';
import { NO_REVERTER } from '../support/no-reverter.js';

const NOW = Date.UTC(2026, 0, 1);
const ORDER_FILE = fileURLToPath(new URL('../../seeds/data/online-retail.csv.gz', import.meta.url));

const SINGLE = parseMapping(`
source: visits
format: csv
columns: { n: int }
when: kind != "internal"
time: at
identifiers: { user_id: who }
event: { type: track, name: visited }
properties: { n: n, page: { column: page, type: json } }
`);

const GROUPED = parseMapping(`
source: orders
format: csv
columns: { n: int, price: double }
group: { by: [invoice], within: 50, lines: { path: lines, fields: { sku: sku, n: n } } }
key: "{invoice}"
time: at
identifiers: { crm_id: who }
event: { type: track, name: order_completed }
properties: { total: { sum: n * price } }
`);

let db: TestDatabase;
let services: TrackingServices;
let folder: string;
const clock = new ManualClock(NOW);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weft-load-test-'));
});
afterAll(async () => {
  await rm(folder, { recursive: true });
});
beforeEach(async () => {
  db = await createTestDatabase({ entities: TRACKING_ENTITIES });
  services = trackingServices(db.database, clock);
});
afterEach(async () => {
  await db.drop();
});

/** As a new process has it. */
function loadService(
  overrides: { acceptor?: EventAcceptor; stdin?: Readable; sleep?: (ms: number) => Promise<void> } = {},
): LoadService {
  return new LoadService({
    sources: services.sources,
    loads: new LoadStore(db.database),
    acceptor: overrides.acceptor ?? services.accept,
    checker: services.accept,
    deadLetters: new DeadLetterStore(),
    db: db.database,
    clock,
    sleep: overrides.sleep ?? (() => Promise.resolve()),
    reverter: NO_REVERTER,
    stdin: overrides.stdin ?? Readable.from([]),
  });
}

async function file(name: string, content: string | Buffer): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, content);
  return path;
}

function visitRow(i: number): string {
  return `u${String(i % 97)},2024-03-${String((i % 28) + 1).padStart(2, '0')}T10:00:00Z,${String(i)},${i % 50 === 3 ? 'internal' : 'web'},`;
}

/** Rows of which every 50th is left out by `when`, and every 40th from row 21 on has a faulty number. */
function visits(rows: number): string {
  const lines = Array.from({ length: rows }, (_, i) =>
    i % 40 === 19 ? visitRow(i).replace(`,${String(i)},`, ',many,') : visitRow(i),
  );
  return `who,at,n,kind,page\n${lines.join('\n')}\n`;
}

/** Orders of three lines, the lines of neighbouring orders interleaved; every 30th order has a faulty price. */
function orders(count: number): string {
  const lines: string[] = [];
  for (let order = 0; order < count; order += 2) {
    for (let line = 0; line < 3; line++) {
      for (const id of [order, order + 1]) {
        const price = id % 30 === 7 && line === 1 ? 'free' : '1.1';
        lines.push(
          `${String(id)},2024-01-01 00:00:${String(line).padStart(2, '0')},sku${String(line)},${String(line + 1)},${price},c${String(id % 50)}`,
        );
      }
    }
  }
  return `invoice,at,sku,n,price,who\n${lines.join('\n')}\n`;
}

/** What the log holds, without what depends on when and in which order it was accepted. */
async function logged(): Promise<unknown[]> {
  const events = await readLog(services.log, 0);
  return events
    .map(({ messageId, occurredAt, name, identifiers, properties, historical }: LoggedEvent) => ({
      messageId,
      occurredAt,
      name,
      identifiers,
      properties,
      historical,
    }))
    .sort((a, b) => (a.messageId < b.messageId ? -1 : 1));
}

interface LetterRow {
  code: string;
  reason: string;
  rowNumber: number;
  stage: string;
  payload: string;
}

async function letters(): Promise<LetterRow[]> {
  return db.database.query<LetterRow>(
    `SELECT code, reason, row_number AS "rowNumber", stage, convert_from(substr(payload, 2), 'UTF8') AS payload
       FROM dead_letters ORDER BY row_number`,
  );
}

/** Undisturbed but for an abort after so many batches. */
async function loadUntil(batches: number, request: LoadRequest): Promise<string> {
  const abort = new AbortController();
  let sent = 0;
  const acceptor: EventAcceptor = {
    accept: async (source, events, options) => {
      sent++;
      if (sent > batches) abort.abort();
      return services.accept.accept(source, events, options);
    },
  };
  const result = await loadService({ acceptor }).load({ ...request, signal: abort.signal });
  return result.outcome;
}

describe('a batch load', () => {
  it('brings every row into the log, the dead letters or the count of skipped rows', async () => {
    const path = await file('visits.csv', visits(3_000));
    const result = await loadService().load({ file: path, mapping: SINGLE });
    expect(result).toMatchObject({
      outcome: 'loaded',
      source: 'visits',
      resumed: false,
      rows: 3_000,
      skipped: 60,
      events: 2_865,
      accepted: 2_865,
      duplicates: 0,
      refused: 75,
      refusedByCode: { BAD_VALUE: 75 },
    });
    expect(result.rows).toBe(result.skipped + result.events + result.refused);
    const events = await readLog(services.log, 0);
    expect(events).toHaveLength(2_865);
    expect(events.every((event) => event.historical)).toBe(true);
    expect(await services.sources.findByKey('visits')).toMatchObject({ kind: 'batch' });
  });

  it('is refused while its source is paused, and leaves no trace', async () => {
    const mapping = { ...SINGLE, source: 'halted' };
    await services.sources.create({ key: 'halted', kind: 'batch' });
    await services.sources.update('halted', { paused: true });
    const path = await file('halted.csv', visits(10));
    const refused = { code: 'SOURCE_PAUSED', hint: 'resume it first: weft sources resume halted' };
    await expect(loadService().load({ file: path, mapping })).rejects.toMatchObject(refused);
    await services.sources.update('halted', { paused: false });
    expect(await loadService().load({ file: path, mapping })).toMatchObject({ outcome: 'loaded', resumed: false });
  });

  it('keeps refused rows with their number, column and reason', async () => {
    const text =
      'who,at,n,kind,page\nu1,2024-01-01,1,web,\nu2,2024-01-01,x,web,\nu3,2024-01-01\nu4,soon,1,web,\n,2024-01-01,1,web,\nu6,2024-01-01,1,web,{\n';
    await loadService().load({ file: await file('dirty.csv', text), mapping: SINGLE });
    const found = await letters();
    expect(found.map(({ rowNumber, code, stage }) => [rowNumber, code, stage])).toEqual([
      [3, 'BAD_VALUE', 'load'],
      [4, 'ROW_RAGGED', 'load'],
      [5, 'BAD_TIME', 'load'],
      [6, 'NO_IDENTIFIER', 'load'],
      [7, 'BAD_VALUE', 'load'],
    ]);
    expect(found[0]).toMatchObject({
      reason: 'column "n": "x" is not an integer',
      payload: '{"who":"u2","at":"2024-01-01","n":"x","kind":"web","page":""}',
    });
    expect(found[1]?.payload).toBe('u3,2024-01-01');
  });

  it('changes nothing when it is run again, and says so', async () => {
    const path = await file('again.csv', visits(1_500));
    const first = await loadService().load({ file: path, mapping: SINGLE });
    const [before, lettersBefore] = [await logged(), await letters()];
    const second = await loadService().load({ file: path, mapping: SINGLE });
    expect(second).toMatchObject({
      outcome: 'already_loaded',
      accepted: 0,
      duplicates: first.accepted,
      refused: first.refused,
    });
    expect(second).toMatchObject({ rows: 1_500, skipped: first.skipped, events: first.events, loadedAt: NOW });
    expect(second.rows).toBe(second.skipped + second.events + second.refused);
    const third = await loadService().load({ file: path, mapping: SINGLE, again: true });
    expect(third).toMatchObject({ outcome: 'loaded', accepted: 0, duplicates: first.accepted, refused: first.refused });
    expect(await logged()).toEqual(before);
    expect(await letters()).toEqual(lettersBefore);
  });

  it.each([0, 3, 12, 23])(
    'ends the same when it is stopped after %i batches and run again by a new process',
    async (batches) => {
      const path = await file('stopped.csv', orders(24_000));
      expect(await loadUntil(batches, { file: path, mapping: GROUPED, timeShiftMs: 1_000 })).toBe('interrupted');
      const result = await loadService().load({ file: path, mapping: GROUPED, timeShiftMs: 999 });
      expect(result).toMatchObject({ outcome: 'loaded', resumed: true, timeShiftMs: 1_000, shiftKept: true });
      expect(result.accepted + result.duplicates).toBe(result.events);
      expect(result).toMatchObject({ rows: 72_000, events: 23_200, refused: 800 });
      const [stopped, stoppedLetters] = [await logged(), await letters()];

      await db.drop();
      db = await createTestDatabase({ entities: TRACKING_ENTITIES });
      services = trackingServices(db.database, clock);
      const undisturbed = await loadService().load({ file: path, mapping: GROUPED, timeShiftMs: 1_000 });
      expect(undisturbed).toMatchObject({ accepted: 23_200, refused: 800, resumed: false });
      expect(await logged()).toEqual(stopped);
      expect(await letters()).toEqual(stoppedLetters);
    },
  );

  it('ends the same when the process dies between the log and the checkpoint', async () => {
    const path = await file('dies.csv', visits(4_000));
    let calls = 0;
    const dying: EventAcceptor = {
      accept: async (source, events, options) => {
        calls++;
        const results = await services.accept.accept(source, events, options);
        if (calls === 4) throw new Error('killed');
        return results;
      },
    };
    await expect(loadService({ acceptor: dying }).load({ file: path, mapping: SINGLE })).rejects.toThrow('killed');
    const result = await loadService().load({ file: path, mapping: SINGLE });
    expect(result).toMatchObject({ outcome: 'loaded', resumed: true, events: 3_820, refused: 100 });
    expect(result.duplicates).toBeGreaterThan(0);
    expect(await readLog(services.log, 0)).toHaveLength(3_820);
    expect(await letters()).toHaveLength(100);
  });

  it('gives events without a time the time when the load began, also after a stop', async () => {
    const mapping = parseMapping(`
source: timeless
format: csv
identifiers: { user_id: who }
event: { type: track, name: seen }
`);
    const rows = Array.from({ length: 6_000 }, (_, i) => `u${String(i)}`).join('\n');
    const path = await file('timeless.csv', `who\n${rows}\n`);
    const own = new ManualClock(NOW);
    services = trackingServices(db.database, own);
    const abort = new AbortController();
    const stopping: EventAcceptor = {
      accept: async (source, events, options) => {
        const results = await services.accept.accept(source, events, options);
        abort.abort();
        return results;
      },
    };
    const stopped = await loadService({ acceptor: stopping }).load({ file: path, mapping, signal: abort.signal });
    expect(stopped.outcome).toBe('interrupted');
    own.advance(86_400_000);
    expect(await loadService().load({ file: path, mapping })).toMatchObject({ outcome: 'loaded', events: 6_000 });
    expect(new Set((await readLog(services.log, 0)).map((event) => event.occurredAt))).toEqual(new Set([NOW]));
  });

  it('stops where too many rows are refused, and goes on with a wider limit', async () => {
    const bad = Array.from({ length: 60_000 }, (_, i) => `u${String(i)},2024-01-01,${i % 5 === 0 ? 'x' : '1'},web,`);
    const path = await file('bad.csv', `who,at,n,kind,page\n${bad.join('\n')}\n`);
    const result = await loadService().load({ file: path, mapping: SINGLE });
    expect(result.outcome).toBe('too_many_refused');
    expect(result.rows).toBeLessThan(60_000);
    expect(result.refused).toBeGreaterThan(1_000);
    const wider = await loadService().load({ file: path, mapping: SINGLE, errorLimit: { rows: 0, share: 0.25 } });
    expect(wider).toMatchObject({ outcome: 'loaded', resumed: true, rows: 60_000, events: 48_000, refused: 12_000 });
    expect(await readLog(services.log, 0)).toHaveLength(48_000);
  });

  it('waits and tries again when the log is overloaded', async () => {
    const path = await file('busy.csv', visits(1_000));
    const delays: number[] = [];
    let calls = 0;
    const busy: EventAcceptor = {
      accept: async (source, events, options): Promise<AcceptResult[]> => {
        calls++;
        if (calls % 2 === 1) throw new WeftError('OVERLOADED', 'queue full', { retryAfterMs: 30 });
        return services.accept.accept(source, events, options);
      },
    };
    const sleep = (ms: number): Promise<void> => {
      delays.push(ms);
      return Promise.resolve();
    };
    const result = await loadService({ acceptor: busy, sleep }).load({ file: path, mapping: SINGLE });
    expect(result).toMatchObject({ outcome: 'loaded', accepted: 955 });
    expect(delays.length).toBeGreaterThan(0);
    expect(new Set(delays)).toEqual(new Set([30]));
  });

  it('shifts the last time of the file to an instant', async () => {
    const text = 'who,at,n,kind,page\nu1,2024-01-02,1,web,\nu2,2024-01-01,1,web,\nu3,2030-01-01,1,internal,\n';
    const result = await loadService().load({
      file: await file('shift.csv', text),
      mapping: SINGLE,
      shiftToMs: NOW - 3_600_000,
      emit: true,
    });
    expect(result).toMatchObject({ timeShiftMs: NOW - 3_600_000 - Date.UTC(2024, 0, 2), emit: true });
    const events = await readLog(services.log, 0);
    expect(events.map((event) => [event.occurredAt, event.historical])).toEqual([
      [NOW - 3_600_000, false],
      [NOW - 3_600_000 - 86_400_000, false],
    ]);
  });

  it('reads gzip whatever the name, and standard input', async () => {
    const gz = gzipSync(visits(100));
    const fromFile = await loadService().load({ file: await file('visits', gz), mapping: SINGLE });
    const fromStdin = await loadService({ stdin: Readable.from([gz.subarray(0, 9), gz.subarray(9)]) }).load({
      file: '-',
      mapping: SINGLE,
    });
    expect(fromFile).toMatchObject({ outcome: 'loaded', rows: 100 });
    expect(fromStdin).toMatchObject({ outcome: 'already_loaded', loadId: fromFile.loadId });
  });

  it('keeps what came before the end of a gzip file that was cut off', async () => {
    const rows = Array.from({ length: 40_000 }, (_, i) => visitRow(i * 40)).join('\n');
    const gz = gzipSync(`who,at,n,kind,page\n${rows}\n`);
    const path = await file('cut.csv.gz', gz.subarray(0, gz.length - 20));
    await expect(loadService().load({ file: path, mapping: SINGLE })).rejects.toThrow('the gzip data ends early');
    expect((await db.database.query('SELECT status FROM loads'))[0]).toEqual({ status: 'failed' });
  });

  it('notices that the file grew while it was loaded', async () => {
    const path = await file('grows.csv', visits(1_000));
    const growing: EventAcceptor = {
      accept: async (source, events, options) => {
        await appendFile(path, `${visitRow(1)}\n`);
        return services.accept.accept(source, events, options);
      },
    };
    await expect(loadService({ acceptor: growing }).load({ file: path, mapping: SINGLE })).rejects.toThrow(
      'was changed while',
    );
  });

  it('leaves no trace of a file that does not fit, or is not there', async () => {
    await expect(loadService().load({ file: join(folder, 'none.csv'), mapping: SINGLE })).rejects.toMatchObject({
      code: 'BAD_REQUEST',
      message: 'cannot read the file: there is none with this name',
    });
    await expect(loadService().load({ file: await file('empty.csv', ''), mapping: SINGLE })).rejects.toThrow(
      'the file is empty',
    );
    await expect(
      loadService().load({ file: await file('utf16.csv', Buffer.from('\uFEFFa,b\n', 'utf16le')), mapping: SINGLE }),
    ).rejects.toThrow('UTF-16');
    await expect(loadService().load({ file: await file('other.csv', 'who,when\n'), mapping: SINGLE })).rejects.toThrow(
      'no column "n"',
    );
    const latin = Buffer.from('who,at,n,kind,page,Straße\nu1,2024-01-01,1,web,,x\n', 'latin1');
    await expect(loadService().load({ file: await file('latin.csv', latin), mapping: SINGLE })).rejects.toMatchObject({
      hint: expect.stringContaining('encoding: windows-1252') as string,
    });
    expect(await db.database.query('SELECT 1 FROM loads UNION ALL SELECT 1 FROM sources')).toEqual([]);
  });

  it('shows in a dry run what it would do, and writes nothing', async () => {
    const path = await file('dry.csv', visits(3_000));
    const result = await loadService().dryRun({ file: path, mapping: SINGLE });
    expect(result).toMatchObject({
      rows: 3_000,
      events: 2_865,
      skipped: 60,
      refused: 75,
      outcome: 'loaded',
      alreadyLoaded: false,
    });
    expect(result.firstEvents).toHaveLength(3);
    expect(result.firstRefusals[0]).toEqual({
      rowNumber: 21,
      code: 'BAD_VALUE',
      reason: 'column "n": "many" is not an integer',
    });
    expect(
      await db.database.query('SELECT 1 FROM loads UNION ALL SELECT 1 FROM sources UNION ALL SELECT 1 FROM event_log'),
    ).toEqual([]);
  });
});

describe('the load of real orders', () => {
  it('conserves all 541,909 lines and 25,900 invoices', async () => {
    const mapping = parseMapping(`
source: orders
format: csv
columns: { Quantity: int, UnitPrice: double }
group: { by: [InvoiceNo], lines: { path: lines, most: 600, fields: { sku: StockCode, quantity: Quantity, price: UnitPrice } } }
key: "{InvoiceNo}"
time: { column: InvoiceDate, format: "yyyy-MM-dd HH:mm:ss", zone: Europe/London }
identifiers: { crm_id: { column: CustomerID, transforms: [stripDecimal] } }
event: { type: track, name: { switch: [{ when: 'InvoiceNo.startsWith("C")', name: order_cancelled }, { name: order_completed }] } }
properties: { total: { sum: Quantity * UnitPrice }, line_count: { count: true } }
errors: 30%
`);
    const result = await loadService().load({ file: ORDER_FILE, mapping });
    expect(result).toMatchObject({
      outcome: 'loaded',
      rows: 541_909,
      events: 22_190,
      accepted: 22_190,
      refused: 3_710,
    });
    expect(result.refusedByCode).toEqual({ NO_IDENTIFIER: 3_710 });
    const events = await readLog(services.log, 0);
    const sum = (of: (event: LoggedEvent) => unknown): number =>
      events.reduce((total, event) => total + Number(of(event)), 0);
    // Lines that carry a customer; the others are in quarantine.
    expect(sum((event) => event.properties['line_count'])).toBe(406_829);
    expect(sum((event) => (event.properties['lines'] as unknown[]).length)).toBe(406_829);
    expect(sum((event) => event.properties['total'])).toBeCloseTo(8_300_065.814, 2);
    expect(events.filter((event) => event.name === 'order_cancelled')).toHaveLength(3_654);
  });
});
