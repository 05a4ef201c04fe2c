import { setTimeout as sleep } from 'node:timers/promises';

import { readNamedVariable } from './config.js';
import type { Engine } from './engine.js';
import { EntityRecordService } from './features/entity-record.service.js';
import { IdentityDecisionReader } from './identity/identity-decision.reader.js';
import type { Clock } from './platform/clock.js';
import type { Database } from './platform/postgres.js';
import { LoadService } from './sources/load.service.js';
import { LoadStore } from './sources/load.store.js';
import type { SourceService } from './sources/source.service.js';
import { openWarehouse } from './sources/warehouse/open-warehouse.js';
import { WarehouseLoadService } from './sources/warehouse/warehouse-load.service.js';
import { WarehousePositionStore } from './sources/warehouse/warehouse-position.store.js';

export interface Loads {
  readonly loads: LoadService;
  readonly warehouseLoads: WarehouseLoadService;
}

/** What loads files and rows of databases into the log. */
export function createLoads(
  engine: Engine,
  sources: SourceService,
  acceptor: Pick<Engine['accept'], 'accept'>,
  { db, clock }: { readonly db: Database; readonly clock: Clock },
): Loads {
  const loads = new LoadService({
    sources,
    loads: new LoadStore(db),
    acceptor,
    checker: engine.accept,
    records: new EntityRecordService({ db, clock }),
    deadLetters: engine.deadLetters,
    identities: new IdentityDecisionReader(),
    reverter: engine.retractions,
    db,
    clock,
    sleep: (ms, signal) => sleep(ms, undefined, signal === undefined ? {} : { signal }),
    stdin: process.stdin,
  });
  const warehouseLoads = new WarehouseLoadService({
    loads,
    positions: new WarehousePositionStore(db),
    open: (query) => openWarehouse(query, { readVariable: readNamedVariable, clock }),
    clock,
  });
  return { loads, warehouseLoads };
}
