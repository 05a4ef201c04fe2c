import { openBigQueryWarehouse, type OpenBigQuery } from './open-bigquery.js';
import { openPostgresWarehouse } from './postgres-warehouse.js';
import type { WarehouseQuery, WarehouseSource } from './warehouse.model.js';

/** @throws WeftError NOT_CONFIGURED where a variable that the query names is not set */
export function openWarehouse(query: WarehouseQuery, deps: OpenBigQuery): WarehouseSource {
  switch (query.kind) {
    case 'postgres':
      return openPostgresWarehouse(query, deps.readVariable);
    case 'bigquery':
      return openBigQueryWarehouse(query, deps);
  }
}
