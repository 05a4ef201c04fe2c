import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { IdentityDecisionReader } from '../../src/identity/identity-decision.reader.js';
import { DeadLetterStore } from '../../src/events/dead-letter.store.js';
import type { LoggedEvent } from '../../src/events/event.model.js';
import { ManualClock } from '../../src/platform/clock.js';
import type { LoadLimits } from '../../src/sources/load-feed.js';
import { LoadService, type LoadRequest } from '../../src/sources/load.service.js';
import { LoadStore } from '../../src/sources/load.store.js';
import type { EventAcceptor } from '../../src/sources/load-sender.js';
import { parseMapping } from '../../src/sources/parse-mapping.js';
import { openWarehouse } from '../../src/sources/warehouse/open-warehouse.js';
import type { OpenStore } from '../../src/sources/warehouse/store-client.js';
import { WarehouseLoadService } from '../../src/sources/warehouse/warehouse-load.service.js';
import { WarehousePositionStore } from '../../src/sources/warehouse/warehouse-position.store.js';
import { createTestDatabase, type TestDatabase } from './database.js';
import { NO_REVERTER } from './no-reverter.js';
import { readLog, TRACKING_ENTITIES, trackingServices, type TrackingServices } from './tracking-server.js';

export const NOW = Date.UTC(2026, 0, 1);

export const SINGLE = parseMapping(`
source: visits
format: csv
columns: { n: int }
when: kind != "internal"
time: at
identifiers: { user_id: who }
event: { type: track, name: visited }
properties: { n: n, page: { column: page, type: json } }
`);

export const GROUPED = parseMapping(`
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

export interface LetterRow {
  code: string;
  reason: string;
  rowNumber: number;
  stage: string;
  payload: string;
}

export interface LoadOverrides {
  readonly acceptor?: EventAcceptor;
  readonly stdin?: Readable;
  readonly sleep?: (ms: number) => Promise<void>;
  readonly limits?: LoadLimits;
  readonly loads?: LoadStore;
}

export interface LoadWorld {
  readonly db: TestDatabase;
  readonly services: TrackingServices;
  readonly clock: ManualClock;
  /** As a new process has it. */
  loadService(overrides?: LoadOverrides): LoadService;
  /** Loads of the rows of queries, which are opened with these. */
  warehouseLoads(open: Omit<OpenStore, 'clock'> & Partial<OpenStore>, overrides?: LoadOverrides): WarehouseLoadService;
  /** A file with this content; its path. */
  file(name: string, content: string | Buffer): Promise<string>;
  /** What the log holds, without what depends on when and in which order it was accepted. */
  logged(): Promise<unknown[]>;
  letters(): Promise<LetterRow[]>;
  /** Undisturbed but for an abort after so many batches; how it ended. */
  loadUntil(batches: number, request: LoadRequest, limits?: LoadLimits): Promise<string>;
  close(): Promise<void>;
}

/** An empty database, a folder for files, and what loads them. */
export async function createLoadWorld(): Promise<LoadWorld> {
  const folder = await mkdtemp(join(tmpdir(), 'weft-load-test-'));
  const db = await createTestDatabase({ entities: TRACKING_ENTITIES });
  const clock = new ManualClock(NOW);
  const services = trackingServices(db.database, clock);
  const loadService = (overrides: LoadOverrides = {}): LoadService =>
    new LoadService({
      sources: services.sources,
      loads: overrides.loads ?? new LoadStore(db.database),
      acceptor: overrides.acceptor ?? services.accept,
      checker: services.accept,
      deadLetters: new DeadLetterStore(),
      identities: new IdentityDecisionReader(),
      db: db.database,
      clock,
      sleep: overrides.sleep ?? (() => Promise.resolve()),
      reverter: NO_REVERTER,
      stdin: overrides.stdin ?? Readable.from([]),
      ...(overrides.limits === undefined ? {} : { limits: overrides.limits }),
    });
  return {
    db,
    services,
    clock,
    loadService,
    warehouseLoads: (open, overrides) =>
      new WarehouseLoadService({
        loads: loadService(overrides),
        positions: new WarehousePositionStore(db.database),
        open: (query) => openWarehouse(query, { clock, ...open }),
        clock,
      }),
    file: async (name, content) => {
      const path = join(folder, name);
      await writeFile(path, content);
      return path;
    },
    logged: async () => {
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
    },
    letters: () =>
      db.database.query<LetterRow>(
        `SELECT code, reason, row_number AS "rowNumber", stage, convert_from(substr(payload, 2), 'UTF8') AS payload
       FROM dead_letters ORDER BY row_number`,
      ),
    loadUntil: async (batches, request, limits) => {
      const abort = new AbortController();
      let sent = 0;
      const acceptor: EventAcceptor = {
        accept: async (source, events, options) => {
          sent++;
          if (sent > batches) abort.abort();
          return services.accept.accept(source, events, options);
        },
      };
      const result = await loadService({ acceptor, ...(limits === undefined ? {} : { limits }) }).load({
        ...request,
        signal: abort.signal,
      });
      return result.outcome;
    },
    close: async () => {
      await db.drop();
      await rm(folder, { recursive: true });
    },
  };
}

export function visitRow(i: number): string {
  return `u${String(i % 97)},2024-03-${String((i % 28) + 1).padStart(2, '0')}T10:00:00Z,${String(i)},${i % 50 === 3 ? 'internal' : 'web'},`;
}

/** Rows of which every 50th is left out by `when`, and every 40th from row 21 on has a faulty number. */
export function visits(rows: number): string {
  const lines = Array.from({ length: rows }, (_, i) =>
    i % 40 === 19 ? visitRow(i).replace(`,${String(i)},`, ',many,') : visitRow(i),
  );
  return `who,at,n,kind,page\n${lines.join('\n')}\n`;
}

/** Orders of three lines, the lines of neighbouring orders interleaved; every 30th order has a faulty price. */
export function orders(count: number): string {
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
