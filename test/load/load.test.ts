import { appendFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import type { LoggedEvent } from '../../src/events/event.model.js';
import type { EventAcceptor } from '../../src/sources/load-sender.js';
import { parseMapping } from '../../src/sources/parse-mapping.js';
import { createLoadWorld, NOW, SINGLE, visitRow, visits, type LoadWorld } from '../support/load-world.js';
import { readLog } from '../support/tracking-server.js';

const ORDER_FILE = fileURLToPath(new URL('../../seeds/data/online-retail.csv.gz', import.meta.url));

let world: LoadWorld;

beforeEach(async () => {
  world = await createLoadWorld();
});
afterEach(() => world.close());

describe('a batch load', () => {
  it('brings every row into the log, the dead letters or the count of skipped rows', async () => {
    const path = await world.file('visits.csv', visits(3_000));
    const result = await world.loadService().load({ file: path, mapping: SINGLE });
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
    const events = await readLog(world.services.log, 0);
    expect(events).toHaveLength(2_865);
    expect(events.every((event) => event.historical)).toBe(true);
    expect(await world.services.sources.findByKey('visits')).toMatchObject({ kind: 'batch' });
  });

  it('is refused while its source is paused, and leaves no trace', async () => {
    const mapping = { ...SINGLE, source: 'halted' };
    await world.services.sources.create({ key: 'halted', kind: 'batch' });
    await world.services.sources.update('halted', { paused: true });
    const path = await world.file('halted.csv', visits(10));
    const refused = { code: 'SOURCE_PAUSED', hint: 'resume it first: weft sources resume halted' };
    await expect(world.loadService().load({ file: path, mapping })).rejects.toMatchObject(refused);
    await world.services.sources.update('halted', { paused: false });
    expect(await world.loadService().load({ file: path, mapping })).toMatchObject({
      outcome: 'loaded',
      resumed: false,
    });
  });

  it('keeps refused rows with their number, column and reason', async () => {
    const text =
      'who,at,n,kind,page\nu1,2024-01-01,1,web,\nu2,2024-01-01,x,web,\nu3,2024-01-01\nu4,soon,1,web,\n,2024-01-01,1,web,\nu6,2024-01-01,1,web,{\n';
    await world.loadService().load({ file: await world.file('dirty.csv', text), mapping: SINGLE });
    const found = await world.letters();
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

  it('shifts the last time of the file to an instant', async () => {
    const text = 'who,at,n,kind,page\nu1,2024-01-02,1,web,\nu2,2024-01-01,1,web,\nu3,2030-01-01,1,internal,\n';
    const result = await world.loadService().load({
      file: await world.file('shift.csv', text),
      mapping: SINGLE,
      shiftToMs: NOW - 3_600_000,
      emit: true,
    });
    expect(result).toMatchObject({ timeShiftMs: NOW - 3_600_000 - Date.UTC(2024, 0, 2), emit: true });
    const events = await readLog(world.services.log, 0);
    expect(events.map((event) => [event.occurredAt, event.historical])).toEqual([
      [NOW - 3_600_000, false],
      [NOW - 3_600_000 - 86_400_000, false],
    ]);
  });

  it('reads gzip whatever the name, and standard input', async () => {
    const gz = gzipSync(visits(100));
    const fromFile = await world.loadService().load({ file: await world.file('visits', gz), mapping: SINGLE });
    const fromStdin = await world.loadService({ stdin: Readable.from([gz.subarray(0, 9), gz.subarray(9)]) }).load({
      file: '-',
      mapping: SINGLE,
    });
    expect(fromFile).toMatchObject({ outcome: 'loaded', rows: 100 });
    expect(fromStdin).toMatchObject({ outcome: 'already_loaded', loadId: fromFile.loadId });
  });

  it('keeps what came before the end of a gzip file that was cut off', async () => {
    const rows = Array.from({ length: 40_000 }, (_, i) => visitRow(i * 40)).join('\n');
    const gz = gzipSync(`who,at,n,kind,page\n${rows}\n`);
    const path = await world.file('cut.csv.gz', gz.subarray(0, gz.length - 20));
    await expect(world.loadService().load({ file: path, mapping: SINGLE })).rejects.toThrow('the gzip data ends early');
    expect((await world.db.database.query('SELECT status FROM loads'))[0]).toEqual({ status: 'failed' });
  });

  it('notices that the file grew while it was loaded', async () => {
    const path = await world.file('grows.csv', visits(1_000));
    const growing: EventAcceptor = {
      accept: async (source, events, options) => {
        await appendFile(path, `${visitRow(1)}\n`);
        return world.services.accept.accept(source, events, options);
      },
    };
    await expect(world.loadService({ acceptor: growing }).load({ file: path, mapping: SINGLE })).rejects.toThrow(
      'was changed while',
    );
  });

  it('leaves no trace of a file that does not fit, or is not there', async () => {
    await expect(
      world.loadService().load({ file: join(tmpdir(), 'weft-none.csv'), mapping: SINGLE }),
    ).rejects.toMatchObject({
      code: 'BAD_REQUEST',
      message: 'cannot read the file: there is none with this name',
    });
    await expect(
      world.loadService().load({ file: await world.file('empty.csv', ''), mapping: SINGLE }),
    ).rejects.toThrow('the file is empty');
    await expect(
      world
        .loadService()
        .load({ file: await world.file('utf16.csv', Buffer.from('\uFEFFa,b\n', 'utf16le')), mapping: SINGLE }),
    ).rejects.toThrow('UTF-16');
    await expect(
      world.loadService().load({ file: await world.file('other.csv', 'who,when\n'), mapping: SINGLE }),
    ).rejects.toThrow('no column "n"');
    const latin = Buffer.from('who,at,n,kind,page,Straße\nu1,2024-01-01,1,web,,x\n', 'latin1');
    await expect(
      world.loadService().load({ file: await world.file('latin.csv', latin), mapping: SINGLE }),
    ).rejects.toMatchObject({
      hint: expect.stringContaining('encoding: windows-1252') as string,
    });
    expect(await world.db.database.query('SELECT 1 FROM loads UNION ALL SELECT 1 FROM sources')).toEqual([]);
  });

  it('shows in a dry run what it would do, and writes nothing', async () => {
    const path = await world.file('dry.csv', visits(3_000));
    const result = await world.loadService().dryRun({ file: path, mapping: SINGLE });
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
      await world.db.database.query(
        'SELECT 1 FROM loads UNION ALL SELECT 1 FROM sources UNION ALL SELECT 1 FROM event_log',
      ),
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
    const result = await world.loadService().load({ file: ORDER_FILE, mapping });
    expect(result).toMatchObject({
      outcome: 'loaded',
      rows: 541_909,
      events: 22_190,
      accepted: 22_190,
      refused: 3_710,
    });
    expect(result.refusedByCode).toEqual({ NO_IDENTIFIER: 3_710 });
    const events = await readLog(world.services.log, 0);
    const sum = (of: (event: LoggedEvent) => unknown): number =>
      events.reduce((total, event) => total + Number(of(event)), 0);
    // Lines that carry a customer; the others are in quarantine.
    expect(sum((event) => event.properties['line_count'])).toBe(406_829);
    expect(sum((event) => (event.properties['lines'] as unknown[]).length)).toBe(406_829);
    expect(sum((event) => event.properties['total'])).toBeCloseTo(8_300_065.814, 2);
    expect(events.filter((event) => event.name === 'order_cancelled')).toHaveLength(3_654);
  });
});
